/** Tests of the parser, and of the printer together with it. */

import { deepStrictEqual } from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import { DishSyntaxError, type Node, type Part, type Redirect, type Sequence, type Word } from '../../dish/ast.js'
import { parse } from '../../dish/parser.js'
import { print } from '../../dish/print.js'

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom(
    'for',
    'switch',
    'case',
    '<<EOF',
    'EOF\n',
    'if',
    'not',
    '~',
    '!',
    "it's",
    '',
    '#',
    'a=b',
    '=',
    '{',
    '$x',
    '*',
    '[a]',
    '\\',
    '\n',
    '>[2=1]',
  ),
)
const name = fc.stringMatching(/^[a-z_][a-z0-9_]{0,4}$/)
const function_ = fc.stringMatching(/^[a-eg-hj-mo-vx-z][a-z.-]{0,4}$/).filter(name => name !== 'case')

/** Deeper levels are simpler. */
const near = { depthIdentifier: fc.createDepthIdentifier(), maxDepth: 5, depthSize: 'small' as const }

/** Whether a word's parts are as the parser makes them: no two texts side by side. */
const side = (parts: readonly Part[]): boolean =>
  parts.every((part, i) => part.kind !== 'text' || parts[i - 1]?.kind !== 'text')

/** The text of a here document: lines, with variables in them. */
const here = fc
  .array(
    fc.oneof(
      fc.record({ kind: fc.constant('text' as const), text: text.filter(text => text !== '') }),
      fc.record({
        kind: fc.constant('variable' as const),
        name: fc.oneof(name, fc.constantFrom('*', '1')),
        form: fc.constant('joined' as const),
      }),
    ),
    { maxLength: 3 },
  )
  .filter(parts => parts.at(-1)?.kind !== 'text')
  .map((parts): Word => [...parts, { kind: 'text', text: '\n' }])
  .filter(side)

/**
 * Command lines as `parse` makes them. A command that takes everything up to the end of the line (`for`, `if`, `while`,
 * `not`) stands only where nothing follows it. An `if` without an `if not` never comes directly before an `if not`,
 * because it would take that for its own.
 */
const { sequence } = fc.letrec<{
  part: Part
  word: Word
  sequence: Sequence
  simple: Node
  closed: Node
  open: Node
  pipeline: Node
  andOr: Node
}>(tie => {
  const words = fc.array(tie('word'), { maxLength: 3 })

  const body = tie('andOr')
  const commands = fc.array(fc.record({ node: body, background: fc.boolean() }), { minLength: 1, maxLength: 2 })
  const redirect: fc.Arbitrary<Redirect> = fc.oneof(
    fc.record({ kind: fc.constantFrom('>' as const, '>>' as const), fd: fc.constantFrom(1, 2), to: tie('word') }),
    fc.record({ kind: fc.constantFrom('<' as const, '<>' as const), fd: fc.constant(0), to: tie('word') }),
    fc.record({ kind: fc.constant('<<' as const), fd: fc.constant(0), to: here }),
    fc.record({ kind: fc.constant('=' as const), fd: fc.constantFrom(1, 2), to: fc.constantFrom(0, 1, 2) }),
  )
  const redirects = fc.array(redirect, { maxLength: 2 })
  const head = (word: Word) => word[0]?.kind !== 'block'
  const simple = fc
    .record({
      kind: fc.constant('simple' as const),
      assignments: fc.array(fc.record({ name, value: fc.option(tie('word'), { nil: undefined }) }), { maxLength: 2 }),
      words,
      redirects,
    })
    .filter(({ assignments, words, redirects }) => assignments.length + words.length + redirects.length > 0)
    .filter(({ words }) => !words[0] || head(words[0]))
  return {
    part: fc.oneof(
      near,
      fc.record({ kind: fc.constant('text' as const), text }),
      fc.record({ kind: fc.constant('glob' as const), text: fc.constantFrom('*', '?', '[a-z]', '[~x]') }),
      fc.oneof(
        fc.record({
          kind: fc.constant('variable' as const),
          name: fc.oneof(name, fc.constantFrom('*', '1')),
          form: fc.constantFrom('list' as const, 'count' as const, 'joined' as const),
        }),
        fc.record({ kind: fc.constant('variable' as const), name, form: fc.constant('list' as const), index: words }),
      ),
      fc.record({ kind: fc.constant('list' as const), words }),
      fc.record({ kind: fc.constant('output' as const), body: tie('sequence') }),
      fc.record({ kind: fc.constant('block' as const), body: tie('sequence') }),
    ),
    word: fc.array(tie('part'), { minLength: 1, maxLength: 3 }).filter(side),
    simple,
    closed: fc.oneof(
      near,
      tie('simple'),
      fc.record({
        kind: fc.constant('host' as const),
        text: fc.constantFrom('ls', 'ls -l 2>&1', "grep 'a|b' x", '{ a; b; }', 'echo \\;'),
      }),
      fc.record({ kind: fc.constant('block' as const), body: tie('sequence'), redirects }),
      fc.record({
        kind: fc.constant('function' as const),
        name: function_,
        body: fc.option(tie('sequence'), { nil: undefined }),
      }),
      fc.record({
        kind: fc.constant('switch' as const),
        words,
        cases: fc.array(fc.record({ patterns: words, body: tie('sequence') }), { maxLength: 3 }),
        redirects,
      }),
      fc.record({ kind: fc.constant('match' as const), subject: tie('word'), patterns: words }),
    ),
    open: fc.oneof(
      near,
      fc.record({ kind: fc.constant('for' as const), name, words: fc.option(words, { nil: undefined }), body }),
      fc.record({ kind: fc.constant('while' as const), test: commands, body }),
      fc.record({
        kind: fc.constant('if' as const),
        test: commands,
        body: fc.record({ kind: fc.constant('block' as const), body: tie('sequence'), redirects: fc.constant([]) }),
        otherwise: fc.option(body, { nil: undefined }),
      }),
      fc.record({ kind: fc.constant('not' as const), body: tie('pipeline') }),
    ),
    pipeline: fc.oneof(
      near,
      tie('closed'),
      fc
        .record({
          kind: fc.constant('pipe' as const),
          commands: fc.tuple(tie('closed'), fc.oneof(tie('closed'), tie('open'))),
        })
        .map(node => node as Node),
      tie('open'),
    ),
    andOr: fc.oneof(
      near,
      tie('pipeline'),
      fc.record({ kind: fc.constantFrom('and' as const, 'or' as const), left: tie('closed'), right: tie('pipeline') }),
    ),
    sequence: fc.array(fc.record({ node: tie('andOr'), background: fc.boolean() }), { maxLength: 3 }),
  }
})

/** Removes prototypes, because records of fast-check have none. */
const plain = (steps: Sequence): unknown => JSON.parse(JSON.stringify(steps))

t.test('a printed script parses as the script that was printed', async t => {
  fc.assert(
    fc.property(sequence, steps => {
      deepStrictEqual(plain(parse(print(steps))), plain(steps), print(steps))
    }),
    { numRuns: 2000 },
  )
  t.pass('2,000 scripts')
})

t.test('a syntax error has its position, and says whether more text could complete the command', async t => {
  const FOR = 'usage: for(NAME in WORD…) COMMAND'
  const SWITCH = 'usage: switch(WORD) { case PATTERN …; COMMAND … }'
  const rows: readonly (readonly [string, string, number, boolean])[] = [
    ["echo 'abc", 'a quote is not closed', 5, true],
    ["!echo 'abc", 'a quote is not closed', 6, true],
    ['!echo (a', '"(" is not closed', 6, true],
    ['{ a', '"{" is not closed', 0, true],
    ['a }', 'unmatched "}"', 2, false],
    ['echo (a b', '"(" is not closed', 5, true],
    ['echo a)', 'unexpected ")"', 6, false],
    ['a |', 'missing command', 3, true],
    ['a && ', 'missing command', 5, true],
    ['| a', 'missing command before "|"', 0, false],
    ['a > ', 'missing file after >', 4, true],
    ['a < | b', 'missing file after <', 4, false],
    ['echo $', "missing name after $; a plain $ is '$'", 5, false],
    ['echo `x', 'missing "{" after `; usage: `{COMMAND…}', 6, false],
    ['echo a^', 'missing word after ^', 7, true],
    ['if(a', '"(" is not closed', 2, true],
    ['if a', 'missing "("; usage: if(COMMAND) COMMAND, while(COMMAND) COMMAND', 3, false],
    ['for i in a', `missing "("; ${FOR}`, 4, false],
    ['if() a', 'missing command in ( )', 2, false],
    ['if(a)', 'missing command', 5, true],
    ['if not a', '"if not" must follow its "if", in the same braces or on the same line', 2, false],
    ['for(1 in a) b', `missing name; ${FOR}`, 4, false],
    ['for(i of a) b', `missing "in"; ${FOR}`, 6, false],
    ['fn', 'missing name; usage: fn NAME { COMMAND… }', 2, true],
    ['fn for {a}', '"for" is a keyword; choose another name', 3, false],
    ['switch(a) {', '"{" is not closed', 10, true],
    ['switch(a) { b }', `missing "case"; ${SWITCH}`, 12, false],
    ['switch a', `missing "("; ${SWITCH}`, 7, false],
    ['case a', `"case" is only valid in a switch; ${SWITCH}`, 0, false],
    ['cat <<EOF\na', 'missing line EOF after the text of <<EOF', 9, true],
    ['cat <<', "missing word after <<; usage: <<EOF, or <<'EOF' for text in which $ is an ordinary character", 6, true],
    ['!', 'missing command after !', 0, false],
    ['a <[1=0]', '<[1=0]: only > copies a descriptor', 3, false],
    ['~', 'missing word', 1, true],
    [`${'{'.repeat(200)}`, 'more than 100 levels of braces and lists', 101, false],
  ]
  for (const [text, message, at, incomplete] of rows) {
    try {
      parse(text)
      t.fail(`${text}: parsed`)
    } catch (error) {
      t.match(error, { message, at, incomplete }, text)
      t.ok(error instanceof DishSyntaxError)
    }
  }
})

t.test('a syntax error in a script is shown as its line and a caret', async t => {
  try {
    parse("ls\n\techo 'x\n")
    t.fail('parsed')
  } catch (error) {
    t.same((error as DishSyntaxError).shown, { line: 2, text: "\techo 'x", caret: '\t     ^' })
  }
})
