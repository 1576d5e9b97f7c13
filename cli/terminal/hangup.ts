/** Lets a program end cleanly although its terminal is gone. */
import { closeSync, openSync } from 'node:fs'
import { isatty } from 'node:tty'

/** The standard descriptors that were terminals when `outliveTerminal` was called; undefined before. */
let terminals: readonly number[] | undefined

/** Whether a terminal on which this process was started is gone. */
export const terminalGone = (): boolean => (terminals ?? []).some(fd => !isatty(fd))

/**
 * Keeps this process from crashing at its end where its terminal is gone. Node restores the terminal's modes when it
 * exits, and aborts with a core dump where the kernel answers EIO. It leaves alone a descriptor that has become another
 * file, so /dev/null replaces each terminal that is gone. Calls after the first do nothing.
 */
export function outliveTerminal(): void {
  if (terminals) return
  const ours = [0, 1, 2].filter(fd => isatty(fd))
  terminals = ours
  process.prependListener('exit', () => {
    const gone = ours.filter(fd => !isatty(fd))
    for (const fd of gone) {
      try {
        closeSync(fd)
      } catch {
        // closed already
      }
    }
    try {
      // open(2) returns the lowest free descriptor; if they stayed closed, what libraries print at the end could go to
      // another file
      for (const _ of gone) openSync('/dev/null', 'r+')
    } catch {
      // without /dev/null the descriptors stay closed, which does no harm
    }
  })
}
