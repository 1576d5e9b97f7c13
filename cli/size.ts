/** Reads sizes such as `128MiB`. */
const units: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }

/**
 * The number of bytes of a number, or of a text such as `128MiB`, `1.5 GiB` or `256M`, which is 256 MiB.
 * @returns undefined for anything else, and for a number beyond the safe integers
 */
export function parseSize(value: unknown): number | undefined {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?) ?([KMGT](?:iB)?)?$/.exec(String(value)) ?? []
  const n = Math.round(Number(digits) * units[unit.slice(0, 1)]!)
  const asked = typeof value === 'number' || typeof value === 'string'
  return asked && Number.isSafeInteger(n) ? n : undefined
}
