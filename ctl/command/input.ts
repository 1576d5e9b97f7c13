/** What `write` and `rdwr` send to a file: their arguments, or standard input. */

import type { Invocation } from '../../cli/invocation.js'
import type { Fid } from '../../fs/client/client.js'

/**
 * Writes the words and a newline, as echo(1) does. Without words it copies standard input as it arrives.
 * @param offset in bytes
 */
export async function writeInput(io: Invocation, fid: Fid, words: readonly string[], offset = 0): Promise<void> {
  if (words.length > 0) {
    await fid.write(offset, Buffer.from(`${words.join(' ')}\n`), io.signal)
    return
  }
  for await (const chunk of io.stdin.iterator({ destroyOnReturn: true }) as AsyncIterable<Buffer>) {
    offset += await fid.write(offset, chunk, io.signal)
  }
}
