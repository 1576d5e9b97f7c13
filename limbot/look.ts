import type { ChalkInstance } from 'chalk'
import { sanitize } from '../ctl/common/terminal/sanitize.js'
import type { Styles } from './inline.js'
import type { Setter } from './setter.js'

/** How answers are shown. */
export interface Look {
  /** Standard output is a terminal that knows escape sequences. */
  readonly terminal: boolean
  /** Markdown may be set: there are colours, and nobody wants it raw. */
  readonly markdown: boolean
  readonly colors: ChalkInstance
}

/** Text as the model says it: for pipes. On a terminal that is dumb it is made harmless. */
class Raw implements Setter {
  readonly rest = ''

  constructor(readonly harmless: boolean) {}

  push(text: string): string {
    return this.harmless ? sanitize(text) : text
  }

  end(): string {
    return ''
  }
}

/** What sets an answer. Loaded when there is one, so that a prompt comes sooner. */
export async function setter(look: Look, markdown: boolean, out: NodeJS.WriteStream): Promise<Setter> {
  const columns = () => Math.max(20, (out.columns || 80) - 1)
  if (!look.terminal) return new Raw(out.isTTY === true)
  if (!look.markdown || !markdown) return new (await import('./setter.js')).Plain(columns)
  const styles: Styles = look.colors
  return new (await import('./markdown.js')).Markdown(columns, styles)
}
