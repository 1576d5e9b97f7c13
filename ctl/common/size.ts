const units: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }

/** Bytes from a number, or from text such as `128MiB`, `1.5 GiB` or `256M`, which is 256 MiB; undefined for what is neither, or too many to count. */
export function parseSize(value: unknown): number | undefined {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?) ?([KMGT](?:iB)?)?$/.exec(String(value)) ?? []
  const n = Math.round(Number(digits) * units[unit.slice(0, 1)]!)
  const asked = typeof value === 'number' || typeof value === 'string'
  return asked && Number.isSafeInteger(n) ? n : undefined
}
