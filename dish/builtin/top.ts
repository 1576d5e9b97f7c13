/** The builtin `top`: llamboctl's screen, which here reads the tree at /n/llambo. */

import type { Connection } from '../../cli/connect.js'
import { Invocation } from '../../cli/invocation.js'
import { namesOf } from '../../fs/base/path.js'
import { run } from '../../top/top.js'
import type { Call } from '../call.js'
import { Space } from '../space.js'
import { HOME } from '../state.js'
import * as tree from '../tree.js'

/** A llamboctl invocation that reads the tree at /n/llambo in the shell's name space. */
class Here extends Invocation {
  constructor(readonly call: Call) {
    super(call.terminal ? {} : { color: false }, call.state.shared.env, call.reading)
  }

  override print(data: string | Uint8Array): Promise<void> {
    return this.call.styled(data.toString())
  }

  /** Opens a separate connection to the shell's name space, which is closed when the screen is left. */
  override async connect(): Promise<Connection> {
    const { state, signal } = this.call
    const root = await new Space(state.space.namespace).root()
    const at = await tree.named(state, HOME, signal, () => root.walk(namesOf(HOME), signal))
    return { client: root.client, root: at, address: HOME }
  }
}

/**
 * Shows the cluster on one screen, which has the terminal until the user leaves it. Prints it once if the output is not
 * a terminal or the command runs in the background, where nobody would see it change.
 */
export function top(call: Call): Promise<void> {
  const { json } = call.options
  const once = call.options.once || !call.terminal || call.io.background
  const { withTerminal } = call.state.shared
  const show = () => run(new Here(call), [], { json, once })
  return withTerminal && !once && !json ? withTerminal(show) : show()
}
