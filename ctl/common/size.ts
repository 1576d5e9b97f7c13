const units: Readonly<Record<string, number>> = { '': 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }

/** Bytes from a number, or from text such as `128MiB` or `1.5 GiB`; undefined for what is neither, or too many to count. */
export function parseSize(value: unknown): number | undefined {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?) ?([KMGT]iB)?$/.exec(String(value)) ?? []
  const n = Math.round(Number(digits) * units[unit]!)
  const asked = typeof value === 'number' || typeof value === 'string'
  return asked && Number.isSafeInteger(n) ? n : undefined
}
