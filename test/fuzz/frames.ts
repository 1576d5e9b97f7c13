/**
 * Inputs that are a sequence of 9P messages: one byte of options, then the messages as on the wire. Any bytes can be
 * read like that, so every mutation of an input is an input again.
 */

/** The messages of an input: cut by their size fields as long as those are possible, with the rest as one message. */
export function unframe(input: Uint8Array): Uint8Array[] {
  const out: Uint8Array[] = []
  let at = 1
  while (at < input.length) {
    const size = input.length - at < 4 ? 0 : new DataView(input.buffer, input.byteOffset + at, 4).getUint32(0, true)
    const end = size < 7 || at + size > input.length ? input.length : at + size
    out.push(input.subarray(at, end))
    at = end
  }
  return out
}

/** An input of these messages; `repair` sets each size field to the length of its message. */
export function frame(options: number, messages: readonly Uint8Array[], repair = true): Uint8Array {
  const out = new Uint8Array(messages.reduce((n, m) => n + m.length, 1))
  out[0] = options
  let at = 1
  for (const m of messages) {
    out.set(m, at)
    if (repair && m.length >= 7) new DataView(out.buffer, at, 4).setUint32(0, m.length, true)
    at += m.length
  }
  return out
}
