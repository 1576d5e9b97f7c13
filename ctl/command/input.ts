import type { Fid } from '../../fs/client.js'
import type { Invocation } from '../invocation.js'

/** Writes the words and a newline as echo(1) does, or without words standard input, as it comes. */
export async function writeInput(io: Invocation, fid: Fid, words: readonly string[]): Promise<void> {
  if (words.length > 0) {
    await fid.write(0, Buffer.from(`${words.join(' ')}\n`), io.signal)
    return
  }
  let offset = 0
  for await (const chunk of io.stdin.iterator({ destroyOnReturn: true }) as AsyncIterable<Buffer>) {
    offset += await fid.write(offset, chunk, io.signal)
  }
}
