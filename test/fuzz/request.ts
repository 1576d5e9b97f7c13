/** Fuzzes the parsers of what users write. */

import { FsError } from '../../api/errors.js'
import { parseMessageLine, parseRequest } from '../../api/request.js'
import { type Settings, samplingLines, samplingVerbs, systemVerb } from '../../cluster/root/settings.js'
import { parseRecords, quote, record, words } from '../../fs/base/quote.js'
import type { Context } from '../../fs/file.js'
import { ctl } from '../../fs/kit/ctl.js'
import { fault, type Target } from './target.js'

const owner = { name: 'glenda', uid: 1000 }
const ctx: Context = { user: { ...owner, role: 'use' }, signal: new AbortController().signal }

const parsers: readonly ((text: string, input: Uint8Array) => unknown)[] = [
  text => parseRequest(text),
  text => parseMessageLine(text),
  roundTripWords,
  roundTripRecords,
  (_text, input) => control(input.subarray(1)),
]

/** Quoted words must read back as they were. */
function roundTripWords(text: string): void {
  for (const line of words(text)) {
    const again = words(line.map(quote).join(' '))
    if (again.length !== 1 || again[0]!.join('\0') !== line.join('\0'))
      fault(`${JSON.stringify(line)} reads back as something else`)
  }
}

/** What a record shows instead of characters that a terminal would obey (fs/base/quote.ts). */
export const shown = (value: string): string =>
  value.replace(/(?!\t)[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, '\ufffd')

/** A record must read back as it was, except for characters that it shows as U+FFFD. */
function roundTripRecords(text: string): void {
  for (const { word, attrs } of parseRecords(text)) {
    if (
      word === '' ||
      /[\r\n'"=\s]/.test(word) ||
      Object.entries(attrs)
        .flat()
        .some(s => /[\r\n]/.test(s))
    )
      continue
    if (Object.keys(attrs).some(name => /['"\s]/.test(name))) continue
    const again = parseRecords(record(word, attrs))[0]
    const wanted = Object.fromEntries(Object.entries(attrs).map(([name, value]) => [name, shown(value)]))
    if (JSON.stringify(again?.attrs) !== JSON.stringify(wanted))
      fault(`${JSON.stringify(attrs)} reads back as something else`)
  }
}

/** A ctl must accept all lines or none, and it must accept what it prints. */
function control(input: Uint8Array): void {
  const settings: Settings = { sampling: {}, system: '' }
  const file = ctl({
    owner,
    verbs: { ...samplingVerbs(() => settings), system: systemVerb(() => settings) },
    read: () => '',
  })
  const write = (data: Uint8Array) => {
    const opened = file.open(1, ctx)
    if (!(opened instanceof Promise)) opened.write?.(0, data, ctx)
  }
  write(input)
  const lines = samplingLines(settings.sampling)
  write(new TextEncoder().encode(lines.join('\n')))
  const again = samplingLines(settings.sampling)
  if (again.sort().join('\n') !== lines.sort().join('\n')) fault('a ctl does not take what it prints')
}

const seeds: readonly string[] = [
  '2{"prompt":"hello","max_tokens":5,"temperature":0.5,"stop":["a","b"],"seed":1}',
  '2{"messages":[{"role":"user","content":"hi"}],"session":3,"tools":[{"type":"function","function":{"name":"f","parameters":{}}}]}',
  '2{"prompt":"x","schema":{"type":"object"},"prefix_ids":[1,2],"digest":"abc","priority":-1,"deadline_ms":5,"keep_s":1.5}',
  '3{"role":"assistant","content":"x","stopped":true}',
  "4greet 'it''s' # no\n# yes\n'two\nlines' x=y",
  "0worker-1 state=up load=0.5 name='a b' x='it''s'",
  "1temperature 0.5\nstop 'a b' c\nseed 7\nsystem 'be kind'\ntop_p\n",
]

/**
 * The parsers of what users write: each gives a value, or an error that names what is wrong. The first byte chooses the
 * parser.
 */
export const request: Target = {
  name: 'request',
  words: [
    '{"',
    '":',
    '[',
    ']',
    '{}',
    'null',
    'true',
    '-1',
    '1e999',
    '"\\ud800"',
    "'",
    "''",
    '\n',
    '#',
    '=',
    '__proto__',
    'toString',
    'stop ',
    'seed ',
    'prompt',
    'messages',
    'tools',
  ],
  seeds: () => seeds.map(seed => new TextEncoder().encode(seed)),
  run(input) {
    const parser = parsers[(input[0] ?? 0) % parsers.length]!
    try {
      parser(new TextDecoder().decode(input.subarray(1)), input)
    } catch (error) {
      if (!(error instanceof FsError) && !(error instanceof SyntaxError)) throw error
    }
  },
}
