/** Parses command lines and scripts. */

import {
  type Assignment,
  keywords,
  type Node,
  type Part,
  type Redirect,
  type Sequence,
  type Step,
  type Word,
} from './ast.js'
import { Cursor } from './cursor.js'
import { hostText } from './external-text.js'
import { beginsWord, parseList, parseWord, unexpected } from './parse-word.js'

/** The longest script that is parsed, in UTF-16 units. */
const MAX_TEXT = 4 * 1024 * 1024

/**
 * Parses a script or a line that was typed.
 * @throws DishSyntaxError that says where the error is, and whether more text could complete the command
 */
export function parse(text: string): Sequence {
  const c = new Cursor(text)
  if (text.length > MAX_TEXT) c.fail(`script too long; at most ${MAX_TEXT} characters`, 0, false)
  const steps = sequence(c)
  c.ended()
  if (!c.done) c.fail(c.char === '}' ? 'unmatched "}"' : unexpected(c))
  return steps
}

const FOR = 'usage: for(NAME in WORD…) COMMAND'
const SWITCH = 'usage: switch(WORD) { case PATTERN …; COMMAND … }'

/** Where the next case of a switch begins. */
const nextCase = /case(?=[\s;}]|$)/y

/** Commands up to a closing brace or parenthesis, or the end; in a switch up to the next case. */
function sequence(c: Cursor, inSwitch = false): Sequence {
  const steps: Step[] = []
  for (;;) {
    c.blanks(true)
    while (c.take(';')) c.blanks(true)
    if (c.done || c.char === '}' || c.char === ')' || (inSwitch && c.sees(nextCase))) return steps
    const node = andOr(c)
    c.blanks()
    const background = c.char === '&' && c.take('&')
    steps.push({ node, background })
    if (!background && !c.done && !/[;\n})]/.test(c.char)) c.fail(unexpected(c))
  }
}

/** `{…}` */
function block(c: Cursor): Sequence {
  const opened = c.at
  c.at++
  const body = c.nested(() => sequence(c))
  if (c.done) c.fail('"{" is not closed', opened, true)
  if (!c.take('}')) c.fail('unmatched ")"')
  return body
}

/** `(…)` after `if` and `while`. */
function test(c: Cursor): Sequence {
  c.blanks()
  const opened = c.at
  if (!c.take('(')) c.fail('missing "("; usage: if(COMMAND) COMMAND, while(COMMAND) COMMAND')
  const body = c.nested(() => sequence(c))
  if (c.done) c.fail('"(" is not closed', opened, true)
  if (!c.take(')')) c.fail('unmatched "}"')
  if (body.length === 0) c.fail('missing command in ( )', opened, false)
  return body
}

function andOr(c: Cursor): Node {
  let left = pipeline(c)
  for (;;) {
    c.blanks()
    const kind = c.take('&&') ? 'and' : c.take('||') ? 'or' : undefined
    if (!kind) return left
    c.blanks(true)
    left = { kind, left, right: pipeline(c) }
  }
}

function pipeline(c: Cursor): Node {
  const commands = [command(c)]
  for (;;) {
    c.blanks()
    if (c.char !== '|' || c.sees(/\|\|/y)) break
    c.at++
    c.blanks(true)
    commands.push(command(c))
  }
  return commands.length === 1 ? commands[0]! : { kind: 'pipe', commands }
}

const head = /[A-Za-z]+(?=[\s({;]|$)|~(?=[\s(]|$)/y

const compound: Readonly<Record<string, (c: Cursor) => Node>> = {
  if: conditional,
  while: c => {
    const condition = test(c)
    return { kind: 'while', test: condition, body: body(c) }
  },
  for: loop,
  fn: definition,
  switch: choice,
  case: c => c.fail(`"case" is only valid in a switch; ${SWITCH}`, c.at - 4, false),
  not: c => {
    c.blanks()
    return { kind: 'not', body: c.nested(() => pipeline(c)) }
  },
  '~': c => {
    c.blanks()
    const subject = word(c)
    return { kind: 'match', subject, patterns: words(c) }
  },
}

function command(c: Cursor): Node {
  if (c.char === '!') return { kind: 'host', text: hostText(c) }
  if (c.char === '{') {
    const inner = block(c)
    return { kind: 'block', body: inner, redirects: redirects(c) }
  }
  const began = c.at
  const keyword = c.match(head)
  if (keyword !== undefined && keywords.has(keyword)) return compound[keyword]!(c)
  c.at = began
  return simple(c)
}

const word = (c: Cursor): Word => parseWord(c, () => block(c))

function words(c: Cursor): Word[] {
  const out: Word[] = []
  for (;;) {
    c.blanks()
    if (!beginsWord(c)) return out
    out.push(word(c))
  }
}

/** The body of a compound command: everything up to the end of the command line. */
function body(c: Cursor): Node {
  c.blanks(true)
  return c.nested(() => andOr(c))
}

function conditional(c: Cursor): Node {
  if (c.sees(/[^\S\n]+not(?=[\s({;]|$)/y))
    c.fail('"if not" must follow its "if", in the same braces or on the same line', c.at, false)
  const condition = test(c)
  const inner = body(c)
  const before = c.at
  do c.blanks(true)
  while (c.take(';'))
  if (!c.match(/if[^\S\n]+not(?=[\s({;]|$)/y)) {
    c.at = before
    return { kind: 'if', test: condition, body: inner, otherwise: undefined }
  }
  return { kind: 'if', test: condition, body: inner, otherwise: body(c) }
}

function loop(c: Cursor): Node {
  c.blanks()
  const opened = c.at
  if (!c.take('(')) c.fail(`missing "("; ${FOR}`)
  c.blanks(true)
  const name = c.match(/[A-Za-z_][A-Za-z0-9_]*/y)
  if (name === undefined) c.fail(`missing name; ${FOR}`)
  c.blanks(true)
  let list: Word[] | undefined
  if (c.match(/in(?=[\s)])/y)) {
    // parses the rest as a list up to its ); goes back by one character, because parseList skips a (
    c.at--
    list = parseList(c, () => block(c))
  } else if (!c.take(')')) c.fail(c.done ? '"(" is not closed' : `missing "in"; ${FOR}`, c.done ? opened : c.at)
  return { kind: 'for', name, words: list, body: body(c) }
}

/** `switch(WORD…) { case PATTERN…; COMMAND… }` */
function choice(c: Cursor): Node {
  c.blanks()
  if (c.char !== '(') c.fail(`missing "("; ${SWITCH}`)
  const list = parseList(c, () => block(c))
  c.blanks(true)
  const opened = c.at
  if (!c.take('{')) c.fail(`missing "{"; ${SWITCH}`)
  const cases: { patterns: Word[]; body: Sequence }[] = []
  return c.nested(() => {
    for (;;) {
      do c.blanks(true)
      while (c.take(';'))
      if (c.take('}')) return { kind: 'switch', words: list, cases, redirects: redirects(c) }
      if (c.done) c.fail('"{" is not closed', opened, true)
      if (!c.match(nextCase)) c.fail(`missing "case"; ${SWITCH}`, c.at, false)
      const patterns = words(c)
      if (!c.done && !/[;\n}]/.test(c.char)) c.fail(unexpected(c))
      cases.push({ patterns, body: sequence(c, true) })
    }
  })
}

function definition(c: Cursor): Node {
  c.blanks()
  const name = c.match(/[^\s#;&|^$`'{}()<>*?[\\=~!/]+/y)
  if (name === undefined) c.fail('missing name; usage: fn NAME { COMMAND… }')
  if (keywords.has(name)) c.fail(`"${name}" is a keyword; choose another name`, c.at - name.length, false)
  c.blanks()
  return { kind: 'function', name, body: c.char === '{' ? block(c) : undefined }
}

function simple(c: Cursor): Node {
  const assignments: Assignment[] = []
  const out: Word[] = []
  const into: Redirect[] = []
  const began = c.at
  for (;;) {
    c.blanks()
    const name = out.length === 0 && into.length === 0 && c.match(/[A-Za-z_][A-Za-z0-9_]*=/y)
    if (name) assignments.push({ name: name.slice(0, -1), value: beginsWord(c) ? word(c) : undefined })
    else if (/[<>]/.test(c.char)) into.push(redirect(c))
    else if (beginsWord(c)) out.push(word(c))
    else break
  }
  if (c.at === began || assignments.length + out.length + into.length === 0)
    c.fail(c.done ? 'missing command' : `missing command before ${JSON.stringify(c.char)}`)
  return { kind: 'simple', assignments, words: out, redirects: into }
}

function redirects(c: Cursor): Redirect[] {
  const out: Redirect[] = []
  for (;;) {
    c.blanks()
    if (!/[<>]/.test(c.char)) return out
    out.push(redirect(c))
  }
}

function redirect(c: Cursor): Redirect {
  if (c.sees(/<</y)) return hereText(c)
  const kind = c.match(/>>|<>|[<>]/y) as '>' | '>>' | '<' | '<>'
  const fd = c.match(/\[[0-2](?:=[0-2])?\]/y)
  const own = Number(fd?.[1] ?? (kind[0] === '<' ? 0 : 1))
  if (fd && fd.length > 3) {
    if (kind !== '>') c.fail(`${kind}${fd}: only > copies a descriptor`, c.at - fd.length, false)
    return { kind: '=', fd: own, to: Number(fd[3]) }
  }
  c.blanks()
  if (!beginsWord(c)) c.fail(`missing file after ${kind}`)
  return { kind, fd: own, to: word(c) }
}

/** `<<TAG`: the lines after this one, up to a line TAG. Variables in them are expanded, unless TAG is quoted. */
function hereText(c: Cursor): Redirect {
  c.at += 2
  c.blanks()
  const tag = c.match(/'[^'\n]+'|[A-Za-z0-9_]+/y)
  if (tag === undefined)
    c.fail("missing word after <<; usage: <<EOF, or <<'EOF' for text in which $ is an ordinary character")
  const to: Part[] = []
  const quoted = tag.startsWith("'")
  c.awaitText(
    quoted ? tag.slice(1, -1) : tag,
    text => void to.push(...(quoted ? plainText(text) : withVariables(text))),
  )
  return { kind: '<<', fd: 0, to }
}

const plainText = (text: string): Part[] => [{ kind: 'text', text }]

/** `$name` is its words with spaces between, `$$` a dollar sign. A `^` after a name ends the name and is dropped. */
function withVariables(text: string): Part[] {
  const parts: Part[] = []
  let plain = ''
  for (const [piece, name] of text.matchAll(/\$\$|\$([A-Za-z0-9_]+|\*)\^?|[^$]+|\$/g)) {
    if (name === undefined) plain += piece === '$$' ? '$' : piece
    else {
      if (plain) parts.push({ kind: 'text', text: plain })
      plain = ''
      parts.push({ kind: 'variable', name, form: 'joined' })
    }
  }
  return plain || parts.length === 0 ? [...parts, { kind: 'text', text: plain }] : parts
}
