/** The table of what was tried with programs of others. */

/** One thing that was tried with one client. */
export interface Row {
  /** The client: `v9fs 6.1`, `diodcat`, `our client`. */
  client: string
  /** The dialect that the client spoke; `FUSE` if programs saw a mount. */
  dialect: string
  /** What was tried, as a user would say it. */
  operation: string
  result: 'ok' | 'failed' | 'skipped'
  /** Why it failed or was skipped, or what is worth knowing about the result. One line, the same in every run. */
  note?: string
}

export type Report = (row: Row) => void

/**
 * A group of clients. It tries what there is to try and reports each thing once. A throw is a fault of the suite
 * itself.
 */
export interface Suite {
  name: string
  /** Debian packages it needs. */
  packages: readonly string[]
  run(report: Report): Promise<void>
}

const cell = (text: string) => text.replace(/\|/g, '\\|').replace(/\s+/g, ' ').trim()

/** The rows as a table in Markdown. */
export function markdown(rows: readonly Row[]): string {
  const line = (cells: string[]) => `| ${cells.map(cell).join(' | ')} |\n`
  return (
    line(['client', 'dialect', 'operation', 'result']) +
    line(['---', '---', '---', '---']) +
    rows.map(r => line([r.client, r.dialect, r.operation, r.note ? `${r.result}: ${r.note}` : r.result])).join('')
  )
}
