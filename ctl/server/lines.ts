/** Reads the output of a child process line by line. */

/** How many characters of a line are kept. */
const MAX_LINE = 500

/** Calls `call` with each line of a stream, cut to `most` characters. */
export function eachLine(
  stream: NodeJS.ReadableStream | null | undefined,
  call: (line: string) => void,
  most = MAX_LINE,
): void {
  let rest = ''
  stream?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()!.slice(0, most)
    for (const line of lines) call(line.slice(0, most))
  })
  stream?.on('end', () => rest && call(rest))
}
