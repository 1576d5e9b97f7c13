/**
 * Runs programs on a terminal that goes away, or at which Ctrl-C is pressed: a pty of Python's, which a test can close.
 */

import { execFile, execFileSync } from 'node:child_process'

/** Why such tests are skipped here; false if they are not. */
export const noPty: string | false = (() => {
  try {
    execFileSync('python3', ['-c', 'import pty'], { stdio: 'ignore' })
    return false
  } catch {
    return 'python3 is missing: apt-get install python3'
  }
})()

/** Starts argv on a terminal, waits until it has shown `until`, does `act`, and prints how the program ended. */
const program = `
import os, pty, re, select, sys, time
until, act, argv = sys.argv[1].encode(), sys.argv[2], sys.argv[3:]
pid, fd = pty.fork()
if pid == 0: os.execvp(argv[0], argv)
seen = b''
end = time.time() + 60
def read(limit):
    global seen
    try:
        if select.select([fd], [], [], limit)[0]:
            more = os.read(fd, 65536)
            seen += more
            return len(more) > 0
        return True
    except OSError: return False
while not re.search(until, seen) and time.time() < end and read(1): pass
if act == 'close': os.close(fd)
else:
    os.write(fd, b'\\x03'); time.sleep(float(act)); 
    try: os.write(fd, b'\\x03')
    except OSError: pass
    while read(60): pass
_, status = os.waitpid(pid, 0)
sys.stderr.write(seen.decode(errors='replace'))
print(status & 127, status >> 8)
`

/** How a program ended: by a signal, or with a code. */
export interface Ended {
  readonly signal: number
  readonly code: number
  /** What it had shown. */
  readonly seen: string
}

/**
 * Runs a program on a terminal.
 * @param until what the program shows when it is to be disturbed, as a regular expression of Python
 * @param act `close`: the terminal goes away; a number: Ctrl-C is pressed, and again after that many seconds
 */
export function onTerminal(
  command: readonly string[],
  until: string,
  act: 'close' | number,
  o: { env: NodeJS.ProcessEnv; cwd: string },
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const env = { TERM: 'xterm', ...o.env }
    const args = ['-c', program, until, String(act), ...command]
    execFile('python3', args, { env, cwd: o.cwd, timeout: 120_000 }, (error, out, seen) => {
      if (error) return reject(error)
      const [signal = -1, code = -1] = out.trim().split(' ').map(Number)
      resolve({ signal, code, seen })
    })
  })
}
