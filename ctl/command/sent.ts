/** `llamboctl shell sent`: prints what the agent last sent to the cluster for a shell, and what it removed before. */
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Run } from '../../cli/command.js'
import { exitCode, Failure } from '../../cli/exit.js'
import { privateDir, runtimeDir } from '../../cli/paths.js'
import { sanitize } from '../../cli/terminal/sanitize.js'
import { QUESTION_MS } from '../shell/limits.js'
import { SOCKET } from '../shell/script.js'
import { MAX_SENT, parseSent } from '../shell/sent.js'

export const run: Run = async io => {
  const line = await ask(join(privateDir(runtimeDir(io.env)), SOCKET))
  const sent = parseSent(line || 'null')
  if (!sent) throw new Failure(exitCode.failed, 'nothing has been sent since the agent started')
  const removed = sent.removed.map(({ rule, text }) => `  ${rule}: ${text}\n`)
  const text = `sent:\n${sent.text.replace(/^/gm, '  ')}\n\nremoved:${removed.length ? '\n' : ' nothing\n'}${removed.join('')}`
  await io.print(io.stdout.isTTY ? sanitize(text) : text)
}

/**
 * Asks the user's agent, over its socket, for what it last sent.
 * @returns one line of JSON
 * @throws Failure where no agent answers
 */
const ask = (path: string) =>
  new Promise<string>((resolve, reject) => {
    let said = ''
    const none =
      'the shell agent is not running; it starts at the first command that fails in a shell with the sentinel'
    const socket = connect(path, () => socket.write('{"kind":"sent"}\n'))
    socket
      .setTimeout(QUESTION_MS, () => socket.destroy(new Error('no answer')))
      .on('data', data => {
        said += data
        if (said.length > MAX_SENT) socket.destroy(new Error('its answer is too long'))
      })
      .once('end', () => resolve(said))
      .once('error', () => reject(new Failure(exitCode.unreachable, none)))
  })
