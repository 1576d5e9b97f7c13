/** How many letters must change, come or go to make `b` of `a` (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}

/** ` (did you mean X?)` where one of the known words is close enough to be meant, else nothing. */
export function didYouMean(word: string, known: readonly string[]): string {
  const [best] = known.map(name => ({ name, far: distance(word, name) })).sort((a, b) => a.far - b.far)
  return best && best.far <= Math.max(1, Math.floor(word.length / 3)) ? ` (did you mean ${best.name}?)` : ''
}
