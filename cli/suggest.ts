/** Suggests the known word that a mistyped one most resembles. */
/**
 * The Damerau–Levenshtein distance: how many letters must be changed, inserted, deleted or swapped with the next to
 * turn `a` into `b`.
 */
function distance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? before[j - 2]! + 1 : change
      next.push(Math.min(change, swapped, row[j]! + 1, next[j - 1]! + 1))
    }
    before = row
    row = next
  }
  return row[b.length]!
}

/**
 * ` (did you mean X?)` where a known word is at most a third of the letters away, and always where it is one letter
 * away; else empty.
 */
export function didYouMean(word: string, known: readonly string[]): string {
  const [best] = known.map(name => ({ name, far: distance(word, name) })).sort((a, b) => a.far - b.far)
  return best && best.far <= Math.max(1, Math.floor(word.length / 3)) ? ` (did you mean ${best.name}?)` : ''
}

/** `no worker "w9"; workers: worker-0001 worker-0002`, or with a suggestion in place of the list. */
export const noSuch = (kind: string, word: string, known: readonly string[]): string =>
  `no ${kind} "${word}"${didYouMean(word, known) || `; ${kind}s: ${known.join(' ') || 'none'}`}`
