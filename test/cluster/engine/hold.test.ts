/** Tests that text is held back until it is final. */
import fc from 'fast-check'
import t from 'tap'
import { type Held, StopBuffer } from '../../../cluster/worker/engine/stop-buffer.js'

/**
 * The expected text: up to the stop string that is complete first (of two at once, the longer), without final newlines.
 */
function reference(text: string, stops: readonly string[]): string {
  for (let end = 1; end <= text.length; end++) {
    const found = stops.filter(s => s !== '' && text.slice(0, end).endsWith(s)).map(s => s.length)
    if (found.length > 0) return text.slice(0, end - Math.max(...found)).replace(/[\r\n]+$/, '')
  }
  return text.replace(/[\r\n]+$/, '')
}

/** A small alphabet, so that stop strings occur, with characters of two code units. */
const letters = fc.constantFrom('a', 'b', '\n', '\r', ' ', '😀', 'é')
const text = fc.array(letters, { maxLength: 40 }).map(l => l.join(''))
const stops = fc.array(
  fc.array(letters, { minLength: 1, maxLength: 5 }).map(l => l.join('')),
  { maxLength: 3 },
)
/** Lengths of the pieces that the text is cut into; 0 is a token that has no text of its own. */
const cuts = fc.array(fc.nat(4), { maxLength: 60 })

function cut(whole: string, lengths: readonly number[]): string[] {
  const out: string[] = []
  let at = 0
  for (const n of lengths) {
    out.push(whole.slice(at, at + n))
    at += n
  }
  out.push(whole.slice(at))
  return out
}

const concat = (held: readonly (Held | undefined)[]) => held.map(h => h?.text ?? '').join('')

t.test('however the text is cut, it ends at the first stop string and without its final newlines', async () => {
  fc.assert(
    fc.property(text, stops, cuts, fc.boolean(), (whole, stop, lengths, withIds) => {
      const hold = new StopBuffer(stop)
      const out = cut(whole, lengths).map((piece, i) => hold.push(piece, withIds ? [i] : []))
      out.push(hold.end())
      return concat(out) === reference(whole, stop)
    }),
    { numRuns: 3000 },
  )
})

t.test('ids and text always match, and only the last piece may extend beyond the text', async () => {
  fc.assert(
    fc.property(text, stops, cuts, (whole, stop, lengths) => {
      const pieces = cut(whole, lengths)
      const hold = new StopBuffer(stop)
      const ids: number[] = []
      let given = ''
      for (let i = 0; i <= pieces.length; i++) {
        const out = i < pieces.length ? hold.push(pieces[i]!, [i]) : hold.end()
        if (!out) continue
        ids.push(...out.ids)
        given += out.text
        if (ids.some((id, k) => id !== k)) return false
        const covered = ids.map(id => pieces[id]).join('')
        const last = hold.stopped || i === pieces.length
        if (last ? !covered.startsWith(given) : covered !== given) return false
        // without its last piece, the ids would cover less than the text
        if (covered.length - pieces[ids.at(-1)!]!.length >= given.length && given !== '') return false
      }
      return true
    }),
    { numRuns: 3000 },
  )
})

t.test('an answer continued after any number of ids has the same text', async () => {
  fc.assert(
    fc.property(text, stops, cuts, (whole, stop, lengths) => {
      const pieces = cut(whole, lengths)
      const first = new StopBuffer(stop)
      const out = pieces.map((piece, i) => first.push(piece, [i]))
      out.push(first.end())
      let ids = 0
      let given = ''
      for (const part of [undefined, ...out]) {
        ids += part?.ids.length ?? 0
        given += part?.text ?? ''
        const second = new StopBuffer(stop)
        for (let i = 0; i < ids; i++) second.given(pieces[i]!, [i])
        const rest = pieces.slice(ids).map((piece, i) => second.push(piece, [ids + i]))
        rest.push(second.end())
        if (given + concat(rest) !== reference(whole, stop)) return false
        const restIds = rest.flatMap(r => [...(r?.ids ?? [])])
        if (restIds.some((id, k) => id !== ids + k)) return false
      }
      return true
    }),
    { numRuns: 2000 },
  )
})

t.test('text that can no longer become a stop string is given at once', async t => {
  const hold = new StopBuffer(['STOP'])
  t.same(hold.push('one', [1]), { text: 'one', ids: [1] })
  t.equal(hold.push(' ST', [2]), undefined)
  t.same(hold.push('AR', [3]), { text: ' STAR', ids: [2, 3] })
  t.equal(hold.push('\n', [4]), undefined)
  t.equal(hold.push('\n', [5]), undefined)
  t.same(hold.push('x', [6]), { text: '\n\nx', ids: [4, 5, 6] })
  t.equal(hold.push('\n', [7]), undefined)
  t.equal(hold.end(), undefined)
})

t.test('the ids of an incomplete character wait for its text', async t => {
  const hold = new StopBuffer([])
  t.equal(hold.push('', [1]), undefined)
  t.equal(hold.push('', [2]), undefined)
  t.same(hold.push('é', [3]), { text: 'é', ids: [1, 2, 3] })
  t.equal(hold.push('', [4]), undefined)
  t.equal(hold.end(), undefined)
})

t.test('a piece without ids is given as far as it is final', async t => {
  const hold = new StopBuffer(['STOP'])
  t.same(hold.push('one S', []), { text: 'one ', ids: [] })
  t.same(hold.push('TOPS', []), undefined)
  t.ok(hold.stopped)
})
