/** The chat's slash commands: what each does, when it can be used, and how it completes. */
import { existsSync, writeFileSync } from 'node:fs'
import { getSystemErrorMap } from 'node:util'
import { explain, usage } from '../cli/exit.js'
import { keys, settings } from '../cli/limbotconf.js'
import { timeText } from '../cli/listing.js'
import { bytes } from '../cli/output.js'
import { didYouMean, noSuch } from '../cli/suggest.js'
import type { Completion } from '../cli/terminal/listing.js'
import { attach, paths } from './attach.js'
import type { Chat } from './chat.js'
import { conversationFile, conversations, type Message } from './conversation.js'
import { used } from './footer.js'
import { wrap } from './inline.js'
import { roles, rolesDir } from './roles.js'
import { messageCount } from './text.js'

/** The most conversations that /sessions lists. */
const LISTED = 20

type Item = Completion['items'][number]

/** A command of the chat. */
export interface ChatCommand {
  readonly name: string
  /** Its argument, as /help shows it: `[n]` is optional. */
  readonly args?: string
  readonly help: string
  /**
   * Why the command cannot be used now; undefined, or no function, if it can. Tab does not offer a command that cannot
   * be used.
   */
  readonly not?: (chat: Chat) => string | undefined
  /** The possible arguments, for Tab. */
  readonly complete?: (chat: Chat, begun: string, signal: AbortSignal) => Item[] | Promise<Item[]>
  readonly run: (chat: Chat, arg: string) => void | Promise<void>
}

const items = (names: readonly string[]): Item[] => names.map(text => ({ text }))
const noMessages = ({ talk }: Chat) =>
  talk.conversation.messages.length === 0 ? 'the conversation has no messages yet' : undefined
const noAnswer = ({ talk }: Chat) =>
  talk.conversation.all.some(({ role }) => role === 'assistant') ? undefined : 'there is no answer yet'
const noneKept = ({ io }: Chat) => (conversations(io.env).length ? undefined : 'no conversation is saved yet')

/** All commands, in the order in which /help shows them. */
export const commands: readonly ChatCommand[] = [
  { name: 'help', help: 'list the commands and keys', run: help },
  {
    name: 'model',
    args: '[name]',
    help: 'list the models; choose one; any: the loaded one',
    complete: async (chat, _, signal) => items((await chat.talk.models(signal)).map(({ name }) => name)),
    run: model,
  },
  {
    name: 'node',
    args: '[worker|any]',
    help: 'list the workers; use only one; any: the server chooses',
    complete: async (chat, _, signal) => items([...(await workers(chat, signal)), 'any']),
    run: node,
  },
  { name: 'system', args: '[text|off]', help: 'show the system prompt; set it; off: remove it', run: system },
  {
    name: 'role',
    args: '[name|off]',
    help: 'list the roles; choose one; off: no role',
    complete: chat => items([...roles(chat.io.env), 'off']),
    run: role,
  },
  {
    name: 'attach',
    args: '<file>',
    help: 'attach a file to the next message, like @file in it',
    complete: (_, begun) => paths(begun),
    run(chat, arg) {
      const file = attach(arg)
      chat.attached.push(file)
      return chat.note(`${file.name} (${bytes(Buffer.byteLength(file.content))}) will be sent with the next message`)
    },
  },
  {
    name: 'drop',
    args: '[file]',
    help: 'remove an attached file; without a name, all',
    not: chat => (chat.attached.length ? undefined : 'nothing is attached'),
    complete: chat => items(chat.attached.map(({ name }) => name)),
    run(chat, arg) {
      const at = arg ? chat.attached.findIndex(({ name }) => name === arg) : 0
      if (at === -1)
        throw usage(
          `${arg} is not attached${didYouMean(
            arg,
            chat.attached.map(({ name }) => name),
          )}`,
        )
      const dropped = chat.attached.splice(at, arg ? 1 : chat.attached.length)
      return chat.note(`dropped ${dropped.map(({ name }) => name).join(', ')}`)
    },
  },
  { name: 'context', help: 'show what the model is given, and how full its context is', run: context },
  { name: 'compact', help: 'summarise the older messages now', not: noMessages, run: compact },
  { name: 'undo', args: '[n]', help: 'take back the last exchange, or the last n', not: noMessages, run: undo },
  {
    name: 'retry',
    help: 'send the last message again',
    not: ({ talk }) =>
      talk.conversation.messages.some(m => m.role === 'user') ? undefined : 'you have not sent a message yet',
    run: retry,
  },
  { name: 'edit', help: 'take back the last message and edit it', not: noMessages, run: edit },
  { name: 'copy', help: 'copy the last answer to the clipboard', not: noAnswer, run: copy },
  {
    name: 'save',
    args: '[file]',
    help: 'show where the conversation is saved; write it to a file as Markdown',
    not: noMessages,
    complete: (_, begun) => paths(begun),
    run: save,
  },
  {
    name: 'load',
    args: '<id>',
    help: 'continue another conversation; /sessions lists them',
    not: noneKept,
    complete: ({ io }) => conversations(io.env).map(({ id, title }) => ({ text: id, help: title })),
    run: load,
  },
  { name: 'sessions', help: 'list the saved conversations', not: noneKept, run: sessions },
  {
    name: 'fork',
    help: 'continue in a copy; this conversation stays as it is',
    not: noMessages,
    run(chat) {
      chat.talk.conversation.fork()
      return chat.note(`continuing as ${chat.talk.conversation.id}`)
    },
  },
  {
    name: 'rename',
    args: '<title>',
    help: 'give the conversation a title',
    not: noMessages,
    run(chat, arg) {
      chat.talk.conversation.rename(arg)
    },
  },
  { name: 'tokens', help: 'show the tokens of the last answer, and of all answers', not: noAnswer, run: tokens },
  {
    name: 'set',
    args: '[name [value]]',
    help: 'list the settings; show one; change it',
    complete: (_, begun) =>
      /\s/.test(begun)
        ? /^\w+\s+\w*$/.test(begun) && settings[begun.split(/\s/)[0] as 'stats']?.value === 'on|off'
          ? items(['on', 'off'])
          : []
        : keys.map(key => ({ text: `${key} `, help: settings[key].help })),
    run: set,
  },
  {
    name: 'nohistory',
    help: 'stop saving what you type and the conversation',
    not: ({ talk }) =>
      talk.settings.get('save') || talk.settings.get('history') ? undefined : 'nothing is being saved',
    run(chat) {
      chat.talk.settings.set('save', 'off')
      chat.talk.settings.set('history', 'off')
      chat.history.off()
      return chat.note('nothing is saved from now on')
    },
  },
  {
    name: 'clear',
    help: 'begin a new conversation',
    run(chat) {
      chat.talk.conversation.clear()
      chat.talk.session.stale()
      chat.talk.figures = undefined
      return chat.note('started a new conversation')
    },
  },
  { name: 'exit', help: 'leave (or press Ctrl-D)', run: chat => chat.leave() },
]

/** Other names of commands. */
const aliases: Readonly<Record<string, string>> = { quit: 'exit', bye: 'exit', '?': 'help', new: 'clear' }

const named = (name: string): ChatCommand | undefined => commands.find(one => one.name === (aliases[name] ?? name))

/**
 * Runs an entry that begins with a slash.
 * @throws Failure (usage) if there is no such command, it cannot be used now, or its argument is missing or unexpected
 */
export async function execute(chat: Chat, entry: string): Promise<void> {
  const [, word = '', arg = ''] = /^\/(\S*)\s*([\s\S]*?)\s*$/.exec(entry) ?? []
  const name = word.toLowerCase()
  const command = named(name)
  if (!command) {
    const known = commands.map(one => `/${one.name}`)
    throw usage(`/${name}: unknown command${didYouMean(`/${name}`, known) || '; /help lists the commands'}`)
  }
  if (arg && !command.args) throw usage(`/${name}: unexpected argument "${arg}"`)
  const why = command.not?.(chat)
  if (why !== undefined) throw usage(`/${name}: ${why}`)
  if (!arg && command.args?.startsWith('<'))
    throw usage(`/${name}: missing argument; usage: /${name} ${command.args.slice(1, -1).toUpperCase()}`)
  await command.run(chat, arg)
}

/** Completes an entry: commands that can be used now, their arguments, and file names after an @. */
export async function completion(
  chat: Chat,
  text: string,
  cursor: number,
  signal: AbortSignal,
): Promise<Completion | undefined> {
  const typed = text.slice(0, cursor)
  const [, mention] = /(?:^|\s)@(\S*)$/.exec(typed) ?? []
  if (mention !== undefined) return { from: cursor - mention.length, items: paths(mention) }
  const [, name, arg] = /^\/(\S*)(?:\s+([\s\S]*))?$/.exec(typed) ?? []
  if (name === undefined) return undefined
  if (arg === undefined) {
    const all = commands.filter(one => one.name.startsWith(name) && one.not?.(chat) === undefined)
    return { from: 1, items: all.map(one => ({ text: `${one.name}${one.args ? ' ' : ''}`, help: one.help })) }
  }
  const all = (await named(name)?.complete?.(chat, arg, signal)) ?? []
  const word = name === 'set' ? (/\S*$/.exec(arg)?.[0] ?? '') : arg
  return { from: cursor - word.length, items: all.filter(item => item.text.startsWith(word)) }
}

async function help(chat: Chat): Promise<void> {
  const { bold, dim } = chat.io.colors(chat.io.stdout)
  const columns = chat.editor.plain ? Number.POSITIVE_INFINITY : (chat.out.columns || 80) - 1
  /** A word and its explanation; the explanation wraps within its own column. */
  const row = (word: string, wide: number, what: string) => {
    const begin = `  ${word.padEnd(wide)} `
    return wrap([{ text: what }], columns, begin, ' '.repeat(begin.length))
      .map(({ text }) => text)
      .join('\n')
  }
  const rows = commands.map(one => {
    const line = row(`/${one.name}${one.args ? ` ${one.args}` : ''}`, 22, one.help)
    return one.not?.(chat) === undefined
      ? line
      : line
          .split('\n')
          .map(row => dim(row))
          .join('\n')
  })
  const pairs = [
    ['Enter', 'send the message'],
    ['Alt-Enter, Ctrl-J, \\ Enter', 'start a new line; """ … """ for many lines'],
    ['Up, Down, Ctrl-R', 'show earlier messages; search them'],
    ['Ctrl-G, Ctrl-X Ctrl-E', 'open the editor'],
    ['Tab', 'complete commands, @files, models'],
    ['Ctrl-C', 'stop the answer; clear the line; twice: leave'],
  ]
  const table = pairs.map(([key = '', what = '']) => row(key, 28, what))
  await chat.print(`${bold('Commands')}\n${rows.join('\n')}\n${bold('Keys')}\n${table.join('\n')}\n`)
}

/** Saves a choice with the conversation at once, even if no message follows, and shows it. */
async function chosen(chat: Chat, line: string): Promise<void> {
  chat.talk.conversation.save()
  await chat.note(line)
}

async function model(chat: Chat, arg: string): Promise<void> {
  const { talk } = chat
  const models = await talk.models(chat.signal)
  const now = talk.settings.get('model')
  if (!arg) {
    if (models.length === 0) return chat.note('the server has no models; get one with: llamboctl pull')
    for (const { name, loaded } of models)
      await chat.note(`${(now ? name === now : loaded) ? '*' : ' '} ${name}${loaded ? '' : ' (not loaded)'}`)
    return
  }
  const known = models.map(({ name }) => name)
  if (arg !== 'any' && !known.includes(arg)) throw usage(noSuch('model', arg, known))
  if (arg === 'any') talk.settings.unset('model')
  else talk.settings.set('model', arg)
  await chosen(chat, `${arg === 'any' ? 'the loaded model' : arg} answers from now on`)
}

async function workers(chat: Chat, signal: AbortSignal): Promise<string[]> {
  return (await chat.talk.workers(signal)).map(({ name }) => name)
}

async function node(chat: Chat, arg: string): Promise<void> {
  const { talk } = chat
  if (!arg) {
    for (const { name, state, active, slots, model } of await talk.workers(chat.signal))
      await chat.note(`${name === talk.session.worker ? '*' : ' '} ${name} ${state} ${active}/${slots} ${model}`)
    return
  }
  if (arg !== 'any') {
    const known = await workers(chat, chat.signal)
    if (!known.includes(arg)) throw usage(noSuch('worker', arg, known))
  }
  await talk.at(arg === 'any' ? undefined : arg)
  await chat.note(arg === 'any' ? 'the server chooses the worker from now on' : `${arg} answers from now on`)
}

async function system(chat: Chat, arg: string): Promise<void> {
  const { talk } = chat
  if (arg) talk.settings.set('system', arg === 'off' ? '' : arg)
  await chosen(chat, talk.system ? `system: ${talk.system}` : 'no system prompt; /system TEXT sets one')
}

async function role(chat: Chat, arg: string): Promise<void> {
  const { talk, io } = chat
  const before = talk.settings.get('role')
  if (!arg) {
    const known = roles(io.env)
    if (known.length === 0) return chat.note(`no roles; to make one, create NAME.md in ${rolesDir(io.env)}`)
    for (const name of known) await chat.note(`${name === before ? '*' : ' '} ${name}`)
    return
  }
  if (arg === 'off') talk.settings.unset('role')
  else talk.settings.set('role', arg)
  try {
    await talk.role()
  } catch (error) {
    talk.settings.set('role', before)
    throw error
  }
  await chosen(chat, arg === 'off' ? 'no role' : `the role is ${arg}`)
}

async function context(chat: Chat): Promise<void> {
  const { talk, attached } = chat
  const { conversation, room, system, figures } = talk
  const past = conversation.all.length - conversation.messages.length
  const total = figures ? used(figures) : room.tokens(conversation.messages, system)
  const full = room.context ? ` of ${room.context} (${Math.round((100 * total) / room.context)} %)` : ''
  const lines = [
    `${messageCount(conversation.messages.length)}${past ? `, ${past} older ones summarised or left out` : ''}`,
    `${figures ? '' : 'about '}${total} tokens${full}`,
    ...(system ? [`the system prompt takes about ${room.tokens([], system)} of them`] : []),
    ...attached.map(
      ({ name, content }) => `attached: ${name}, about ${room.tokens([{ role: 'user', content }])} tokens`,
    ),
  ]
  for (const line of lines) await chat.note(line)
}

async function compact(chat: Chat): Promise<void> {
  for await (const step of chat.talk.compact(chat.signal)) if (step.is === 'note') await chat.note(step.line)
}

async function undo(chat: Chat, arg: string): Promise<void> {
  const count = arg === '' ? 1 : Number(arg)
  if (!Number.isInteger(count) || count < 1) throw usage(`/undo: expected a whole number from 1, not "${arg}"`)
  const before = chat.talk.conversation.messages.length
  chat.talk.conversation.undo(count)
  chat.talk.session.stale()
  chat.talk.figures = undefined
  await chat.note(`${messageCount(before - chat.talk.conversation.messages.length)} taken back`)
}

/** Takes back the last exchange. @returns its question @throws Failure (usage) if the question has been summarised */
function takenBack(chat: Chat): Message {
  const question = chat.talk.conversation.undo(1)
  chat.talk.session.stale()
  chat.talk.figures = undefined
  if (question === undefined)
    throw usage('the last message has been summarised, so it cannot be taken back; write it again')
  return question
}

async function retry(chat: Chat): Promise<void> {
  const { content, typed } = takenBack(chat)
  await chat.ask(content, typed)
}

async function edit(chat: Chat): Promise<void> {
  const { content, typed } = takenBack(chat)
  // a message that begins with a slash must not run as a command
  chat.editor.prefill((typed ?? content).replace(/^\//, '//'))
}

async function copy(chat: Chat): Promise<void> {
  const answer = chat.talk.conversation.all.findLast(({ role }) => role === 'assistant')!.content
  if (chat.editor.plain)
    throw usage('/copy: this terminal has no clipboard; /save FILE writes the conversation to a file')
  // OSC 52: the terminal copies the text to its clipboard, also over ssh
  chat.io.stdout.write(`\x1b]52;c;${Buffer.from(answer).toString('base64')}\x07`)
  await chat.note(`copied ${answer.length} characters, if the terminal lets programs do so`)
}

async function save(chat: Chat, arg: string): Promise<void> {
  const { conversation, settings } = chat.talk
  if (!arg)
    return chat.note(settings.get('save') ? conversation.file : 'the conversation is not saved; /set save on saves it')
  if (existsSync(arg)) throw usage(`${arg}: file exists; give another name`)
  try {
    writeFileSync(arg, conversation.markdown(), { mode: 0o600, flag: 'wx' })
  } catch (error) {
    const { errno = 0 } = error as NodeJS.ErrnoException
    throw usage(`${arg}: ${getSystemErrorMap().get(errno)?.[1] ?? explain(error)}`)
  }
  await chat.note(`written to ${arg}`)
}

async function load(chat: Chat, arg: string): Promise<void> {
  const { conversation } = chat.talk
  await chat.note(await chat.talk.resume(conversationFile(arg, chat.io.env), line => void chat.note(line)))
  const last = conversation.all.findLast(({ role }) => role === 'assistant')
  if (last) await chat.note(`… ${last.content.slice(-300)}`)
}

async function sessions(chat: Chat): Promise<void> {
  const all = conversations(chat.io.env)
  for (const { id, title, messages, changed } of all.slice(0, LISTED))
    await chat.note(
      `${id === chat.talk.conversation.id ? '*' : ' '} ${id}  ${timeText(changed.getTime() / 1000).slice(0, 16)}  ${String(messages).padStart(3)}  ${title}`,
    )
  if (all.length > LISTED) await chat.note(`… and ${all.length - LISTED} more; limbot --list shows all`)
}

async function tokens(chat: Chat): Promise<void> {
  const { figures, total } = chat.talk
  if (figures)
    await chat.note(
      `last answer: ${figures.prompt_tokens ?? 0} tokens read (${figures.reused_tokens ?? 0} from the cache), ${figures.completion_tokens ?? 0} generated`,
    )
  await chat.note(`all answers (${total.answers}): ${total.prompt} tokens read, ${total.completion} generated`)
}

async function set(chat: Chat, arg: string): Promise<void> {
  const { settings } = chat.talk
  const [, name = '', value = ''] = /^(\S*)\s*([\s\S]*)$/.exec(arg) ?? []
  if (!name) for (const line of settings.lines()) await chat.note(line)
  else if (!value) await chat.note(settings.line(name))
  else {
    if (value !== 'default') {
      if (name === 'model') return model(chat, value)
      if (name === 'role') return role(chat, value)
      if (name === 'system') return system(chat, value)
    }
    const key = settings.set(name, value === 'default' ? undefined : value)
    if (key === 'history') settings.get('history') ? chat.history.on() : chat.history.off()
    if (key === 'role') await chat.talk.role()
    await chosen(chat, settings.line(key))
  }
}
