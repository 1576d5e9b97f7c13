/** What our programs print: writes that wait for a slow reader, tables, and sizes and durations for people. */
import type { Writable } from 'node:stream'

/** Writes data and waits while the reader is slower, so that memory stays bounded however long the output is. */
export async function write(stream: Writable, data: string | Uint8Array): Promise<void> {
  if (data.length === 0 || stream.write(data)) return
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: Error) => {
      stream.off('drain', settle).off('close', settle).off('error', settle)
      error ? reject(error) : resolve()
    }
    stream.on('drain', settle).on('close', settle).on('error', settle)
  })
}

/**
 * Rows as text. On a terminal they are a table with a header and aligned columns, in which columns of numbers are
 * aligned to the right; elsewhere each row is a line with tabs between the cells, for cut(1) and awk(1).
 */
export function table(header: readonly string[], rows: readonly (readonly string[])[], terminal: boolean): string {
  if (!terminal) return rows.map(row => `${row.join('\t')}\n`).join('')
  const all = [header, ...rows]
  const widths = header.map((_, i) => Math.max(...all.map(row => (row[i] ?? '').length)))
  const right = header.map((_, i) => rows.every(row => /^[\d.,]+( ?[kMGT]?B)?$|^$/.test(row[i] ?? '')))
  return all
    .map(row => row.map((cell, i) => (right[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join('  '))
    .map(line => `${line.trimEnd()}\n`)
    .join('')
}

const units = ['B', 'kB', 'MB', 'GB', 'TB']

/** A number of bytes for a person: `2.8 MB`. */
export function bytes(count: number): string {
  let unit = 0
  let value = count
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** A duration in seconds for a person: `3 h 12 min`. */
export function duration(seconds: number): string {
  const units = [
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ] as const
  const at = Math.max(
    0,
    units.findIndex(([size]) => seconds >= size),
  )
  if (seconds < 60) return `${Math.round(seconds)} s`
  const [size, name] = units[at]!
  const [less, lesser] = units[at + 1]!
  const rest = Math.floor((seconds % size) / less)
  return `${Math.floor(seconds / size)} ${name}${rest ? ` ${rest} ${lesser}` : ''}`
}
