/** The commands of a session's `ctl`. */
import { MAX_DEPTH, MAX_TTL_S } from '../../api/conversation.js'
import { fail } from '../../api/errors.js'
import * as field from '../../api/field.js'
import { json } from '../../api/text.js'
import { type Verb, word, word1 } from '../../fs/kit/ctl.js'
import { MAX_PROMPT } from './limits.js'
import type { Session } from './session.js'
import { modelWord, number, samplingVerbs } from './settings.js'

/** Reads a JSON schema; the empty string is none. @throws FsError `bad argument` */
function schemaWord(arg: string): object | undefined {
  if (arg === '') return undefined
  try {
    return field.some(json(arg, 'schema', MAX_PROMPT, MAX_DEPTH), 'schema')
  } catch (error) {
    const why = (error as Error).message
    throw fail('badArgument', `${why}; expected a JSON schema in single quotes, or '' for no schema`)
  }
}

/** The commands that change a session. */
export function sessionVerbs(session: Session): Record<string, Verb> {
  const { conversation, turns } = session
  return {
    model: word1('NAME', modelWord, name => {
      conversation.model = name || undefined
    }),
    ...samplingVerbs(() => conversation.settings),
    schema: word1('JSON', schemaWord, schema => {
      session.checkOpen()
      conversation.setSchema(schema)
    }),
    ttl: word1(
      'S',
      arg => number('ttl', arg, 0, MAX_TTL_S),
      seconds => {
        session.ttl_s = seconds
      },
    ),
    cancel: word(() => turns.cancel()),
    reset: word(() => {
      session.checkIdle()
      conversation.clear()
    }),
    close: word(() => session.close()),
  }
}

/** The settings of a session, as the commands that would set them. */
export function sessionSettings({ conversation, ttl_s }: Session): string {
  return [...conversation.lines(), `ttl ${ttl_s}`].map(line => `${line}\n`).join('')
}
