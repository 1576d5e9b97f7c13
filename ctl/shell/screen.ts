/** Looks up what a command printed. */

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import { MAX_LINES, MAX_OUTPUT, MAX_SEEN, SCREEN_MS } from './limits.js'
import type { Question } from './question.js'

/** Runs a command-line tool of the terminal. Resolves with '' if it fails or takes too long. */
const ask = (program: string, args: readonly string[], signal: AbortSignal) =>
  new Promise<string>(resolve => {
    const options = { timeout: SCREEN_MS, maxBuffer: 1024 * 1024, signal }
    execFile(program, args, options, (error, stdout) => resolve(error ? '' : stdout))
  })

/**
 * The part of a screen that a command has printed: the text between the command's line and the next prompt. The prompt
 * is recognised by the text that stands before the command. Returns nothing if the command's line is not found: the
 * rest of the screen is not our business.
 */
export function printed(screen: string, command: string): string {
  const lines = screen.trimEnd().split('\n')
  const [first = ''] = command.split('\n')
  const at = lines.findLastIndex(line => line.trimEnd().endsWith(first.trimEnd()))
  if (at < 0) return ''
  const prompt = lines[at]!.trimEnd().slice(0, -first.trimEnd().length).trim()
  const out = lines.slice(at + command.split('\n').length)
  const end = prompt ? out.findIndex(line => line.trim().startsWith(prompt)) : -1
  return out.slice(0, end < 0 ? undefined : end).join('\n')
}

/**
 * Reads a copy of standard error once it is complete; a NUL ends a complete copy. If something still writes to the copy
 * after SCREEN_MS, it is taken as it is.
 */
async function copied(path: string, signal: AbortSignal): Promise<string> {
  for (let end = performance.now() + SCREEN_MS; ; await sleep(20, undefined, { signal })) {
    const text = await readFile(path, 'latin1').catch(() => '')
    if (text.endsWith('\0') || performance.now() > end) return Buffer.from(text, 'latin1').toString('utf8')
  }
}

/**
 * The ways to find out what a command printed; the first one that is available is used. None of them runs the command
 * again or redirects it.
 */
const ways: readonly {
  has: (question: Question) => boolean
  look: (question: Question, signal: AbortSignal) => Promise<string>
}[] = [
  { has: ({ stderr }) => stderr !== '', look: ({ stderr }, signal) => copied(stderr, signal) },
  {
    has: ({ tmux, pane }) => tmux !== '' && /^%\d+$/.test(pane),
    look: async ({ tmux, pane, line }, signal) => {
      const [socket = ''] = tmux.split(',')
      return printed(
        await ask('tmux', ['-S', socket, 'capture-pane', '-p', '-J', '-S', '-100', '-t', pane], signal),
        line,
      )
    },
  },
  {
    has: ({ kitty, window }) => kitty !== '' && /^\d+$/.test(window),
    look: ({ kitty, window }, signal) =>
      ask('kitty', ['@', '--to', kitty, 'get-text', '--match', `id:${window}`, '--extent', 'last_cmd_output'], signal),
  },
]

/** The output of a failed command, as plain text; '' if there is no way to get it. */
export async function output(question: Question, signal: AbortSignal): Promise<string> {
  const text = (await ways.find(({ has }) => has(question))?.look(question, signal)) ?? ''
  return stripVTControlCharacters(text.slice(-MAX_SEEN))
    .replace(/[^\n\t\P{Cc}]/gu, '')
    .trim()
}

/** The end of a text, which is the part that is sent. */
export const end = (text: string): string => text.split('\n').slice(-MAX_LINES).join('\n').slice(-MAX_OUTPUT)
