/** Fuzzes the parser of dish. */

import { DishSyntaxError } from '../../dish/ast.js'
import { placeOf } from '../../dish/complete.js'
import { parse } from '../../dish/parser.js'
import { print } from '../../dish/print.js'
import { fault, type Target } from './target.js'

const seeds: readonly string[] = [
  "echo 'it''s' a'b'c > data; cat data | sort -r && not ~ $x a* || echo $#x $\"x $x(2-)",
  'for(i in worker-[0-9]*) echo $i^.c `{grep -c x $i/status} &',
  'if(~ $1 (a b)) {cat <f >>g} ; if not while(not ~ $x) x=($x a)',
  'fn f { shift; echo $* >[2=1] }; fn f',
  "!{ ls | wc; } 2>&1 | cat; !echo 'a;b' \\; c",
  'x=1 y=(1 (2 3)) on worker-0001 { cat status | head -1 } <> data # why',
  "a\\\n b\necho `{!date +%F}^-$x'' ;; { }",
]

/**
 * Command lines: each gives a tree, or an error with a position in the text. The printed form of a tree reads back as
 * the same tree.
 */
export const dish: Target = {
  name: 'dish',
  words: [
    'for(',
    'if(',
    'if not ',
    'while(',
    'fn ',
    'not ',
    '~ ',
    '`{',
    '$#',
    '$"',
    '>[2=1]',
    '<>',
    '&&',
    '||',
    "''",
    '\\\n',
    '!',
    '^',
    '[~a]',
    '{ ',
    ' }',
    'in ',
  ],
  seeds: () => seeds.map(seed => new TextEncoder().encode(seed)),
  run(input) {
    const text = new TextDecoder().decode(input)
    placeOf(text)
    let printed: string
    let tree: string
    try {
      const steps = parse(text)
      tree = JSON.stringify(steps)
      printed = print(steps)
    } catch (error) {
      if (!(error instanceof DishSyntaxError)) throw error
      const { caret, text: line } = error.shown
      if (error.at < 0 || error.at > text.length || caret.length > line.length + 1)
        fault(`${error.message}: place ${error.at}`)
      return
    }
    if (JSON.stringify(again(printed)) !== tree) fault(`${JSON.stringify(printed)} reads back as a different tree`)
  },
}

/** Parses the printed form, which must be valid. */
function again(printed: string): unknown {
  try {
    return parse(printed)
  } catch (error) {
    fault(`${JSON.stringify(printed)} does not read back: ${(error as Error).message}`)
  }
}
