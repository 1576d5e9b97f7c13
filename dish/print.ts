/** Writes a syntax tree as text. */

import { type Assignment, keywords, type Node, type Part, type Redirect, type Sequence, type Word } from './ast.js'

/** The here documents that come after the line that is being written. */
let texts: string[] | undefined

/** Writes a line, and after it the here documents that belong to it. */
function withTexts(write: () => string): string {
  if (texts) return write()
  texts = []
  try {
    const line = write()
    return texts.length === 0 ? line : `${line}\n${texts.join('')}`
  } finally {
    texts = undefined
  }
}

/** Writes commands as text, which `parse` reads back as the same commands. */
export const print = (steps: Sequence): string => withTexts(() => sequence(steps))

/** Writes one command as text. */
export const printNode = (node: Node): string => withTexts(() => command(node))

function sequence(steps: Sequence): string {
  const last = steps.length - 1
  return steps.map(({ node, background }, i) => command(node) + (background ? ' &' : i < last ? ';' : '')).join(' ')
}

const block = (body: Sequence): string => (body.length === 0 ? '{}' : `{ ${sequence(body)} }`)

function command(node: Node): string {
  switch (node.kind) {
    case 'simple': {
      const words = () => node.words.map((word, i) => printWord(word, i === 0))
      const redirects = () => node.redirects.map(redirect)
      // a block as a command's name would be read as a block of commands, unless something comes before it
      const parts = node.words[0]?.[0]?.kind === 'block' ? [redirects, words] : [words, redirects]
      return [...node.assignments.map(assignment), ...parts.flatMap(part => part())].join(' ')
    }
    case 'host':
      // a space, so that a final backslash does not escape what comes after it
      return `!${node.text}${node.text.endsWith('\\') ? ' ' : ''}`
    case 'block':
      return [block(node.body), ...node.redirects.map(redirect)].join(' ')
    case 'function':
      return `fn ${node.name}${node.body ? ` ${block(node.body)}` : ''}`
    case 'for':
      return `for(${node.name}${node.words ? ` in${node.words.map(word => ` ${printWord(word)}`).join('')}` : ''}) ${command(node.body)}`
    case 'if':
      return `if(${sequence(node.test)}) ${command(node.body)}${node.otherwise ? `; if not ${command(node.otherwise)}` : ''}`
    case 'while':
      return `while(${sequence(node.test)}) ${command(node.body)}`
    case 'switch': {
      // written in the order of the text, because here documents are kept in that order
      const words = list(node.words)
      const cases = node.cases.map(
        ({ patterns, body }) =>
          `case${patterns.map(word => ` ${printWord(word)}`).join('')}; ${body.length ? `${sequence(body)}; ` : ''}`,
      )
      return [`switch${words} { ${cases.join('')}}`, ...node.redirects.map(redirect)].join(' ')
    }
    case 'match':
      return ['~', printWord(node.subject), ...node.patterns.map(word => printWord(word))].join(' ')
    case 'not':
      return `not ${command(node.body)}`
    case 'and':
      return `${command(node.left)} && ${command(node.right)}`
    case 'or':
      return `${command(node.left)} || ${command(node.right)}`
    case 'pipe':
      return node.commands.map(command).join(' | ')
  }
}

const assignment = ({ name, value }: Assignment): string => `${name}=${value ? printWord(value) : ''}`

function redirect({ kind, fd, to }: Redirect): string {
  if (typeof to === 'number') return `>[${fd}=${to}]`
  if (kind === '<<') return hereText(to)
  const own = kind[0] === '<' ? 0 : 1
  return `${kind}${fd === own ? '' : `[${fd}]`} ${printWord(to)}`
}

/** Writes `<<TAG`, and keeps the text until the end of the line. The tag differs from every line of the text. */
function hereText(to: Word): string {
  const bare = to.every(({ kind }) => kind === 'text')
  const text = to
    .map(part =>
      part.kind === 'text'
        ? bare
          ? part.text
          : part.text.replaceAll('$', '$$$$')
        : `$${(part as { name: string }).name}^`,
    )
    .join('')
  const lines = new Set(text.split('\n'))
  let tag = 'EOF'
  for (let n = 1; lines.has(tag); n++) tag = `EOF${n}`
  texts?.push(`${text}${tag}\n`)
  return bare ? `<<'${tag}'` : `<<${tag}`
}

/** @param first whether it stands where a command's name does */
export function printWord(word: Word, first = false): string {
  let out = ''
  word.forEach((part, i) => {
    const text = printPart(part, first && i === 0)
    const before = word[i - 1]
    if (before && (joins(before, text) || /^[({]/.test(text))) out += '^'
    out += text
  })
  return out
}

/** Whether the text would be read as part of the variable's name before it. */
function joins(before: Part, text: string): boolean {
  return before.kind === 'variable' && !before.index && before.name !== '*' && /^[A-Za-z0-9_]/.test(text)
}

function printPart(part: Part, first: boolean): string {
  switch (part.kind) {
    case 'text':
      return printText(part.text, first)
    case 'glob':
      return part.text
    case 'variable': {
      const sign = { list: '', count: '#', joined: '"' }[part.form]
      return `$${sign}${part.name}${part.index ? list(part.index) : ''}`
    }
    case 'list':
      return list(part.words)
    case 'output':
      return `\`${block(part.body)}`
    case 'block':
      return block(part.body)
  }
}

const list = (words: readonly Word[]): string => `(${words.map(word => printWord(word)).join(' ')})`

/** Quotes a text if it contains a special character. */
function printText(text: string, first: boolean): string {
  const safe = /^[^\s#;&|^$`'{}()<>*?[\\]+$/.test(text) && !(first && (keywords.has(text) || /^!|=/.test(text)))
  return safe ? text : `'${text.replaceAll("'", "''")}'`
}
