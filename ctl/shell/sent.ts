/** The last text that the agent sent to the cluster, as it gives it to `shell sent`: a line of JSON. */
import * as field from '../../api/field.js'
import { json } from '../../api/text.js'
import type { Written } from '../../api/written.js'
import { MAX_QUESTION, MAX_REMOVED, MAX_SEEN } from './limits.js'

/** Most characters of the line: every secret as long as the output in which it was found, and escaped. */
export const MAX_SENT = 2 * MAX_REMOVED * MAX_SEEN

const sent = field.object({
  text: field.text(MAX_QUESTION),
  /** What was taken out of it before, and the rules that found it. */
  removed: field.list(field.object({ rule: field.line(1000), text: field.text(MAX_SEEN) }), MAX_REMOVED),
})

export type Sent = field.Of<typeof sent>

/** Formats the line. @param last undefined: nothing has been sent */
export const sentText = (last: Written<Sent> | undefined): string => JSON.stringify(last ?? null)

/** Reads the line. @returns undefined if nothing has been sent @throws Unfit for any other text */
export function parseSent(line: string): Sent | undefined {
  const value = json(line, 'the shell agent’s answer', MAX_SENT)
  return value === null ? undefined : sent(value, 'the shell agent’s answer')
}
