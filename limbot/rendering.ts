/** Chooses how an answer is laid out: as Markdown, as plain text, or unchanged. */
import type { ChalkInstance } from 'chalk'
import { sanitize } from '../cli/terminal/sanitize.js'
import type { Styles } from './inline.js'
import type { Renderer } from './renderer.js'

/** What the terminal and the options allow for showing answers. */
export interface Rendering {
  /** Standard output is a terminal that knows escape sequences. */
  readonly terminal: boolean
  /** Markdown may be laid out: the terminal has colours, and the user did not ask for raw text. */
  readonly markdown: boolean
  readonly colors: ChalkInstance
}

/** Passes text on as the model wrote it, for pipes. On a dumb terminal it makes control characters harmless. */
class Raw implements Renderer {
  readonly rest = ''

  constructor(readonly harmless: boolean) {}

  push(text: string): string {
    return this.harmless ? sanitize(text) : text
  }

  end(): string {
    return ''
  }
}

/**
 * Makes the object that lays out an answer. Its module is loaded only when there is an answer, so that the prompt
 * appears sooner.
 */
export async function setter(look: Rendering, markdown: boolean, out: NodeJS.WriteStream): Promise<Renderer> {
  const columns = () => Math.max(20, (out.columns || 80) - 1)
  if (!look.terminal) return new Raw(out.isTTY === true)
  if (!look.markdown || !markdown) return new (await import('./renderer.js')).Plain(columns)
  const styles: Styles = look.colors
  return new (await import('./markdown.js')).Markdown(columns, styles)
}
