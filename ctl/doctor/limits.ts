/** The `descriptors` check of doctor: the limit on open files. */
import { readFileSync } from 'node:fs'
import type { Finding } from './finding.js'

/** Enough open files for a busy server: it needs one for each connection and each model, and some to spare. */
const ENOUGH = 4096

/**
 * Checks the hard limit on open files (getrlimit(2), RLIMIT_NOFILE). Node raises the soft limit to the hard one by
 * itself.
 */
export function descriptors(): Omit<Finding, 'name'> {
  const limits = readFileSync('/proc/self/limits', 'utf8')
  const [, , hard = ''] = limits.match(/^Max open files\s+(\S+)\s+(\S+)/m) ?? []
  if (hard === 'unlimited' || Number(hard) >= ENOUGH) return { state: 'ok', says: `${hard} open files` }
  return {
    state: 'note',
    says: `${hard} open files: enough for about ${Math.floor(Number(hard) / 4)} clients`,
    remedy: `raise the hard limit to ${ENOUGH} (ulimit -Hn as root, or LimitNOFILE in a systemd unit)`,
  }
}
