/** Starts limbot from its command line: lists the conversations, prints one answer, or runs a chat. */
import { Chalk } from 'chalk'
import type { Options, Run } from '../cli/command.js'
import { explain, usage } from '../cli/exit.js'
import type { Invocation } from '../cli/invocation.js'
import { timeText } from '../cli/listing.js'
import { table } from '../cli/output.js'
import { sanitize } from '../cli/terminal/sanitize.js'
import { attach, checked } from './attach.js'
import { ChatClient } from './chat-client.js'
import { Conversation, conversationFile, conversations } from './conversation.js'
import { Link } from './link.js'
import { Settings } from './settings.js'

/** How long a single answer waits for a server that goes away midway, in ms. */
const PATIENCE_MS = 60_000
/** Bytes of standard input: as much as one request takes. */
const MOST = 16 * 1024 * 1024

/** Runs limbot: a list of conversations, one answer, or a chat. */
export const run: Run = async (io, words, options) => {
  if (options.list) return list(io)
  const said: string[] = []
  const settings = await Settings.load(options, io.env, line => said.push(line))
  const single = words.length > 0 || !io.stdin.isTTY || options.file !== undefined || options.dryRun === true
  const terminal = io.stdout.isTTY === true && io.env.TERM !== 'dumb'
  const colors = io.colors(io.stdout)
  const look = { terminal, markdown: terminal && colors.level > 0 && !options.raw, colors }
  const chalk = new Chalk({ level: io.colors(io.stderr).level })
  let note = (line: string) => io.note(chalk.dim(sanitize(line)))
  const link = new Link(io, line => note(line), single ? { first: 0, again: PATIENCE_MS } : undefined)
  const conversation = new Conversation(io.env, line => note(line), settings)
  const talk = new ChatClient(link, settings, conversation)
  for (const line of said) note(line)
  const file = resumed(options, io, note)
  let head: string | undefined
  if (file === undefined) await talk.role()
  else head = await talk.resume(file, note)
  try {
    if (single) {
      const { single: one } = await import('./oneshot.js')
      if (head) note(head)
      // the title comes from the words only: piped input may begin with anything
      talk.conversation.call(words.join(' '))
      const message = await given(io, words, options.file)
      await one({ io, talk, options, look, note, ...message })
    } else {
      const [{ chat }, commands] = await Promise.all([import('./chat.js'), import('./commands.js')])
      await chat({
        io,
        talk,
        look,
        head,
        commands,
        noteTo: to => {
          note = to
        },
      })
    }
  } finally {
    await talk.leave().catch(() => {})
    link.close()
  }
}

/** Prints the saved conversations, the most recent first. */
async function list(io: Invocation): Promise<void> {
  const rows = conversations(io.env, why => io.note(why)).map(({ id, title, messages, changed }) => [
    id,
    timeText(changed.getTime() / 1000),
    `${messages}`,
    sanitize(title),
  ])
  await io.print(table(['id', 'changed', 'messages', 'title'], rows, io.stdout.isTTY))
}

/** The file of the conversation to resume, if there is one. */
function resumed(
  { session, continue: last }: Options,
  io: Invocation,
  note: (line: string) => void,
): string | undefined {
  if (session !== undefined) return conversationFile(session, io.env)
  if (!last) return undefined
  const [newest] = conversations(io.env, note)
  if (newest) return conversationFile(newest.id, io.env)
  note('no saved conversation to continue; this one is new')
  return undefined
}

/** Collects the message for a single answer (standard input, then the words) and its files. */
async function given(
  io: Invocation,
  words: readonly string[],
  files: readonly string[] = [],
): Promise<{ text: string; files: ReturnType<typeof attach>[] }> {
  const piped = io.stdin.isTTY ? undefined : await all(io)
  const attached = files.map(path =>
    path === '-' ? checked('standard input', piped ?? new Uint8Array()) : attach(path),
  )
  const input = piped && !files.includes('-') ? textOf(piped) : ''
  const text = [input.trimEnd(), words.join(' ')].filter(Boolean).join('\n\n')
  if (text.trim() === '' && attached.length === 0) throw usage('missing message; give it as TEXT or on standard input')
  return { text, files: attached }
}

function textOf(data: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(data)
  } catch (error) {
    throw usage(`standard input: not text (${explain(error)})`)
  }
}

async function all(io: Invocation): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  const { stdin, signal } = io
  const stop = () => stdin.destroy()
  signal.addEventListener('abort', stop, { once: true })
  try {
    for await (const part of stdin) {
      size += part.length
      if (size > MOST) throw usage(`standard input: too large; at most ${MOST} bytes`)
      parts.push(part)
    }
  } finally {
    signal.removeEventListener('abort', stop)
  }
  signal.throwIfAborted()
  return Buffer.concat(parts)
}
