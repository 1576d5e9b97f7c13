/** Edits an entry in the user's own editor. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Lets the user edit a text with a command, which has the terminal meanwhile.
 * @param command the editor; $VISUAL, $EDITOR or vi where it is absent
 * @returns the text as it was saved, without the newline at its end
 * @throws Error that names the editor, where the editor cannot be started or fails
 */
export async function external(text: string, env: NodeJS.ProcessEnv, command?: string): Promise<string> {
  const editor = command || env.VISUAL || env.EDITOR || 'vi'
  const dir = mkdtempSync(join(tmpdir(), 'llambo-edit-'))
  const file = join(dir, 'entry.md')
  try {
    writeFileSync(file, text && `${text}\n`, { mode: 0o600 })
    // run by a shell, because $EDITOR may contain arguments
    const child = spawn('/bin/sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit', env })
    const code = await new Promise((resolve, reject) => child.once('error', reject).once('exit', resolve))
    if (code !== 0) throw new Error(`${editor} ended with ${code ?? 'a signal'}; the entry is unchanged`)
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
