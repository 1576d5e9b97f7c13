/** limbot without a chat: one message and its answer. */
import type { RequestBody } from '../api/request.js'
import type { Options } from '../cli/command.js'
import { exitCode, Failure } from '../cli/exit.js'
import type { Invocation } from '../cli/invocation.js'
import { bytes } from '../cli/output.js'
import { sanitize } from '../cli/terminal/sanitize.js'
import { clip } from '../cli/terminal/width.js'
import { type Attachment, composed, mentioned } from './attach.js'
import type { ChatClient } from './chat-client.js'
import { footer, state } from './footer.js'
import { type Rendering, setter } from './rendering.js'
import type { Figures } from './turn.js'

export interface Single {
  readonly io: Invocation
  readonly talk: ChatClient
  readonly options: Options
  readonly look: Rendering
  readonly note: (line: string) => void
  readonly text: string
  readonly files: readonly Attachment[]
}

/** The first block of code in an answer, if there is one. */
export const extracted = (answer: string): string | undefined =>
  /^ {0,3}(`{3,}|~{3,})[^\n]*\n([\s\S]*?)(?:^ {0,3}\1|$(?![\s\S]))/m.exec(answer)?.[2]

/**
 * Sends one message and prints the answer on standard output; everything else goes to standard error.
 * @throws Failure, FsError if there is no answer, or if an attachment or the option -x fails
 */
export async function single({ io, talk, options, look, note, text, files }: Single): Promise<void> {
  const all = [...files, ...mentioned(text)]
  for (const { name, content } of all) note(`attached ${name} (${bytes(Buffer.byteLength(content))})`)
  const content = composed(text, all)
  if (options.dryRun) return dryRun(io, talk, content)

  const whole = options.json || options.extract || options.stream === false
  const line = new StateLine(io, !whole && look.terminal)
  const set = await setter(look, talk.settings.get('markdown') === true, io.stdout)
  let answer = ''
  let figures: Figures
  const show = async (rows: string) => {
    line.clear()
    await io.print(rows)
  }
  try {
    const steps = talk.ask(content, io.signal)
    let step = await steps.next()
    for (; !step.done; step = await steps.next()) {
      const { value } = step
      if (value.is === 'text') {
        answer += value.text
        if (!whole) await show(set.push(value.text))
        line.show(set.rest)
      } else if (value.is === 'note') {
        line.clear()
        note(value.line)
      } else line.show(state(value) ?? '')
    }
    figures = step.value
  } finally {
    line.clear()
    // the text that arrived ends with a newline even if the answer broke off
    if (!whole && answer !== '') await io.print(set.end() + (look.terminal || answer.endsWith('\n') ? '' : '\n'))
  }
  const stopped = figures.reason === 'cancelled'
  if (whole) await io.print(said(answer, figures, options))
  if (stopped) note('[stopped]')
  else if (talk.settings.get('stats') && io.stderr.isTTY && !options.json) note(footer(figures, talk.room.context))
  io.signal.throwIfAborted()
  if (options.extract && extracted(answer) === undefined)
    throw new Failure(exitCode.failed, 'the answer has no code block; omit -x to print all of it')
}

/** Formats a complete answer as the options ask. */
function said(answer: string, figures: Figures, options: Options): string {
  const text = options.extract ? (extracted(answer) ?? '') : answer
  if (!options.json) return text === '' || text.endsWith('\n') ? text : `${text}\n`
  return `${JSON.stringify({ text, ...figures })}\n`
}

async function dryRun(io: Invocation, talk: ChatClient, content: string): Promise<void> {
  const { settings, conversation, system, room } = talk
  const model = settings.get('model')
  const request: RequestBody = {
    ...(model && { model }),
    ...settings.sampling,
    messages: [
      ...(system ? [{ role: 'system' as const, content: system }] : []),
      ...conversation.messages.map(({ role, content }) => ({ role, content })),
      { role: 'user', content },
    ],
  }
  await io.print(`${JSON.stringify(request, null, 2)}\n`)
  io.note(`about ${room.tokens([...conversation.messages, { role: 'user', content }], system)} tokens`)
}

/** One line of the terminal that shows the current state, and is cleared before anything is printed. */
class StateLine {
  #shown = false
  readonly #live: boolean

  constructor(
    readonly io: Invocation,
    live: boolean,
  ) {
    this.#live = live && io.stderr.isTTY === true
  }

  show(text: string): void {
    if (!this.#live) return
    const { dim } = this.io.colors(this.io.stderr)
    this.io.stderr.write(`\r\x1b[K${dim(clip(sanitize(text), (this.io.stderr.columns || 80) - 1))}`)
    this.#shown = text !== ''
  }

  clear(): void {
    if (this.#shown) this.io.stderr.write('\r\x1b[K')
    this.#shown = false
  }
}
