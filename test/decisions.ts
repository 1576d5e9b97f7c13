/** Runs texts that list inputs and the decisions that follow from them: tests of rules that are pure functions. */

/**
 * A text is a list of blocks with an empty line between them: lines of input, a line `----`, and the lines that
 * `decide` returns for them. A block without `----` has no output. A line that begins with `#` is a comment.
 * @throws Error for the first block with other output, naming its line
 */
export function runDecisions(text: string, decide: (input: string[]) => string[]): void {
  let row = 1
  for (const block of text.split('\n\n')) {
    const lines = block.split('\n').filter(line => line.trim() !== '' && !line.startsWith('#'))
    const end = lines.indexOf('----')
    const expected = end < 0 ? [] : lines.slice(end + 1)
    let output: string[]
    try {
      output = decide(end < 0 ? lines : lines.slice(0, end))
    } catch (error) {
      throw new Error(`block at line ${row}: ${(error as Error).message}`, { cause: error })
    }
    if (output.join('\n') !== expected.join('\n'))
      throw new Error(`block at line ${row}:\n${block}\n\ngives:\n${output.join('\n')}`)
    row += block.split('\n').length + 1
  }
}
