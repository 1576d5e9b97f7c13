/** What a child process says, a line at a time, and of no line more than a bound. */

/** Characters of a line that are kept. */
const MAX_LINE = 500

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
