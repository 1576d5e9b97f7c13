/** The questions that shells ask the agent. */

import { MAX_COMMAND } from './limits.js'

/**
 * A question of a shell, sent as one JSON object a line. All its values are sent as text, because a shell has nothing
 * else.
 */
export interface Question {
  readonly kind: 'failure' | 'typing'
  /** The shell's process number. Only its newest question of each kind counts. */
  readonly pid: string
  /** How many questions the shell has asked before, if they may arrive out of order. */
  readonly number: number
  readonly shell: string
  readonly cwd: string
  /** The command that failed, or the part of a line that has been typed. */
  readonly line: string
  readonly rc: number
  readonly ms: number
  /** Where the terminal can be asked for the output: `$TMUX`, `$TMUX_PANE`, `$KITTY_LISTEN_ON`, `$KITTY_WINDOW_ID`. */
  readonly tmux: string
  readonly pane: string
  readonly kitty: string
  readonly window: string
  /** A file with a copy of standard error, if the user has asked for one. */
  readonly stderr: string
}

/** Parses a question. @returns undefined if the text is not a question */
export function parseQuestion(text: string): Question | undefined {
  let json: Record<string, unknown>
  try {
    json = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof json !== 'object' || json === null) return undefined
  const string = (name: string) => (typeof json[name] === 'string' ? (json[name] as string) : '')
  const kind = (['failure', 'typing'] as const).find(kind => kind === json.kind)
  const line = string('line').trim()
  if (!kind || line === '' || line.length > MAX_COMMAND) return undefined
  return {
    kind,
    // a line that is being typed counts as it is, with a space at its end
    line: kind === 'typing' ? string('line') : line,
    rc: Number(json.rc) || 0,
    ms: Number(json.ms) || 0,
    pid: string('pid'),
    number: Number(json.number) || 0,
    shell: string('shell'),
    cwd: string('cwd'),
    tmux: string('tmux'),
    pane: string('pane'),
    kitty: string('kitty'),
    window: string('window'),
    stderr: string('stderr'),
  }
}

/** Whether a line asks for the text that was sent last. Such a line is not a question of a shell. */
export function asksWhatWasSent(text: string): boolean {
  try {
    return JSON.parse(text)?.kind === 'sent'
  } catch {
    return false
  }
}

/** Commands for which exit status 1 means no. */
const no =
  /^(?:[efz]?grep|rg|ag|ack|git-grep|test|\[|\[\[|diff|cmp|colordiff|comm|expr|let|\(\(|false|pgrep|pidof|which|type|command|whence|hash|id|getent|read|fzf|systemctl|mountpoint|cksum|bc|true|return|exit)$/

/** Words that come before a command without being one. */
const before = /^(?:!|\w+=\S*|sudo|command|builtin|noglob|nohup|time|nice|env|exec|then|do|else|if|while|until|\{|\()$/

/**
 * Whether an exit status is not a failure that anybody wants explained: 0, stopped or interrupted by the user, ended
 * because the reader went away, or 1 from a command that answers with it. In a pipeline or list the last command
 * decides, because the status is its own.
 */
export function isAnswer(line: string, rc: number): boolean {
  if ([0, 130, 141, 146, 148].includes(rc)) return true
  if (rc !== 1) return false
  const last = line
    .trim()
    .replace(/[;&\s]+$/, '')
    .split(/\|\|?|&&|;|\n/)
    .at(-1)!
    .trim()
  const [word, next] = last.split(/\s+/).filter(word => !before.test(word))
  return no.test(word ?? '') || (word === 'git' && /^(?:grep|diff|merge-base|check-ignore|config)$/.test(next ?? ''))
}
