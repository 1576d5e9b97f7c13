/** What a program owes to a terminal that has gone away before the program ends. */
import { closeSync, openSync } from 'node:fs'
import { isatty } from 'node:tty'

/** Which of our descriptors were terminals at the start; undefined before `outliveTerminal`. */
let terminals: readonly number[] | undefined

/** Whether a terminal that this process was started on is gone. */
export const terminalGone = (): boolean => (terminals ?? []).some(fd => !isatty(fd))

/**
 * Keeps the end of this process from crashing where its terminal is gone. Node restores the terminal's modes when it exits, and
 * aborts with a core where the kernel answers EIO. It leaves alone a descriptor that is another file by then, so /dev/null
 * takes the place of each terminal that is one no more. Calls after the first do nothing.
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
      // the kernel gives the lowest free number; without it, what libraries print at the end could go to another file
      for (const _ of gone) openSync('/dev/null', 'r+')
    } catch {
      // no /dev/null: closed descriptors do no harm
    }
  })
}
