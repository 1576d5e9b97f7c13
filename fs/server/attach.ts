/** Attach requests and attach names: `/worker-0001?chunk`, `/?role=use&chunk`. */
import { fail } from '../base/errors.js'
import { namesOf } from '../base/path.js'
import type { User } from '../file.js'

/** A Tattach, as `ServeOptions.attach` receives it. */
export interface Attaching {
  readonly uname: string
  readonly n_uname: number
  readonly aname: string
  /**
   * The options of the attach name that the tree's server takes, by name, such as `role` for `role=use`; an option
   * without a value has ''.
   */
  readonly options: ReadonlyMap<string, string>
  /** The user that a token proved, if one was required. */
  readonly user?: User
}

/**
 * Splits an attach name into the names to walk and the options.
 * @param known options that the tree's server takes, besides `chunk`
 * @throws FsError `bad argument` for any other option, and for one that is given twice
 */
export function parseAname(aname: string, known: readonly string[]) {
  const [path = '', text = ''] = aname.split('?', 2)
  const options = new Map<string, string>()
  for (const option of text.split('&').filter(option => option !== '')) {
    const [, name = '', value = ''] = /^([^=]*)=?(.*)$/s.exec(option)!
    if ((name === 'chunk' && name !== option) || !['chunk', ...known].includes(name))
      throw fail(
        'badArgument',
        `unknown attach option ${option}; options: ${['chunk', ...known.map(name => `${name}=`)].join(' ')}`,
      )
    if (options.has(name)) throw fail('badArgument', `attach option ${name} is given twice`)
    options.set(name, value)
  }
  const chunked = options.delete('chunk')
  return { names: namesOf(path), chunked, options }
}
