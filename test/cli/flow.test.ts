/** Tests the wrapping of answers on a terminal. */
import t from 'tap'
import { Flow } from '../../cli/terminal/flow.js'

const broken = (columns: number, ...pieces: string[]) => {
  const flow = new Flow(() => columns)
  return pieces.map(piece => flow.push(Buffer.from(piece))).join('') + flow.end()
}

t.test('an answer is wrapped at spaces, however it is cut into pieces', async t => {
  t.equal(broken(10, 'one two three four\n'), 'one two\nthree four\n')
  t.equal(broken(10, 'one tw', 'o thr', 'ee', ' four'), 'one two\nthree four')
  t.equal(broken(80, 'as it is:  two blanks\n\n- and lines\n'), 'as it is:  two blanks\n\n- and lines\n')
  t.equal(broken(5, 'longerthanfive x'), 'longerthanfive\nx', 'a word wider than the terminal stays whole')
  t.equal(broken(8, '漢字漢 字漢字\n'), '漢字漢\n字漢字\n', 'columns count, not characters')
  const flow = new Flow(() => 80)
  t.equal(flow.push(Buffer.from('one tw')), 'one', 'a word is printed once it is complete')
})
