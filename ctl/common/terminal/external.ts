import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Has a text edited by a command, $VISUAL or $EDITOR unless given, else vi, which has the terminal meanwhile.
 * @returns the text as it was saved, without a newline at its end
 * @throws Error that names the editor, if it cannot be started or fails
 */
export async function external(text: string, env: NodeJS.ProcessEnv, command?: string): Promise<string> {
  const editor = command || env.VISUAL || env.EDITOR || 'vi'
  const dir = mkdtempSync(join(tmpdir(), 'llambo-edit-'))
  const file = join(dir, 'entry.md')
  try {
    writeFileSync(file, text && `${text}\n`, { mode: 0o600 })
    // through a shell: $EDITOR may have arguments
    const child = spawn('/bin/sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit', env })
    const code = await new Promise((resolve, reject) => child.once('error', reject).once('exit', resolve))
    if (code !== 0) throw new Error(`${editor} ended with ${code ?? 'a signal'}; the entry is as it was`)
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
