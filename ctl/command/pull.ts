/** `llamboctl pull`: downloads a model into the user's model directory. */
import { renameSync, rmSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { plain } from '../../api/field.js'
import type { Run } from '../../cli/command.js'
import { exitCode, explain, Failure, usage } from '../../cli/exit.js'
import type { Invocation } from '../../cli/invocation.js'
import { modelDir } from '../../cli/paths.js'
import { Progress } from '../../cli/progress.js'
import { loadLibrary } from '../../cluster/worker/engine/llama/library.js'
import { checkModel } from '../../cluster/worker/gguf.js'
import { isModelName } from '../../cluster/worker/models.js'
import { timeLimit } from '../../fs/base/clock.js'
import { makeDirectory } from '../../fs/host-directory.js'
import { isLoopback } from '../../fs/host-name.js'

/** How long a host may take to answer its first request, in ms. */
const REACH_MS = 15_000

/**
 * Translates a name for node-llama-cpp's resolver. `hf:USER/MODEL:QUANT` and `hf:USER/MODEL/FILE.gguf` are at Hugging
 * Face, with or without the `hf:`. A URL stays as it is, and must be https unless it is on this machine.
 * @throws Failure (usage) for any other name
 */
export function modelUri(name: string): string {
  if (/^(hf:)?[\w.-]+\/[\w.-]+(:[\w.-]+|\/[\w./-]+\.gguf(#[\w./-]+)?)?$/.test(name))
    return name.replace(/^(hf:)?/, 'hf:')
  const url = URL.canParse(name) ? new URL(name) : undefined
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname))) return name
  const example = 'hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M'
  throw usage(`pull ${name}: expected hf:USER/MODEL:QUANT, such as ${example}, or the https URL of a .gguf file`)
}

export const run: Run = async (io, [name = '']) => {
  const uri = modelUri(name)
  const store = modelDir(io.env)
  // The download goes into a hidden directory of the store, because a server must not see an incomplete or invalid
  // model.
  const beside = join(store, '.pull')
  makeDirectory(beside, 0o700)
  const progress = new Progress(io.stderr, name)
  let begun = false
  try {
    await reach(uri, io)
    const { createModelDownloader } = await loadLibrary()
    const downloader = await createModelDownloader({
      modelUri: uri,
      dirPath: beside,
      // a download that was interrupted resumes where it ended
      deleteTempFileOnCancel: false,
      onProgress: ({ totalSize, downloadedSize }) => {
        begun ||= downloadedSize > 0
        progress.at(downloadedSize, totalSize || undefined)
      },
    })
    const files = downloader.filesInfo.map(({ filePath }) => ({ from: filePath, to: join(store, basename(filePath)) }))
    for (const { to } of files)
      if (!isModelName(basename(to)))
        throw new Failure(
          exitCode.failed,
          `pull ${name}: the file is called ${plain(basename(to), 100)} there, and the name of a model must end in .gguf and not begin with a dot; download it with another program, then: llamboctl cp FILE /n/llambo/models/NAME.gguf`,
        )
    const there = files.every(({ to }) => statSync(to, { throwIfNoEntry: false }))
    if (there) io.note(`${downloader.entrypointFilename} already exists; to remove it: llamboctl rm /n/llambo/models/…`)
    else {
      const first = await downloader.download({ signal: io.signal })
      await checkModel(first, io.signal).catch(error => {
        rmSync(beside, { recursive: true, force: true })
        throw new Failure(exitCode.failed, `pull ${name}: ${explain(error)}; the download was deleted`)
      })
      for (const { from, to } of files) renameSync(from, to)
      rmSync(beside, { recursive: true, force: true })
    }
    await io.print(`${basename(downloader.entrypointFilename, '.gguf')}\n`)
  } catch (error) {
    if (io.signal.aborted || error instanceof Failure) throw error
    throw new Failure(
      exitCode.failed,
      `pull ${name}: ${reason(error)}${begun ? '; run it again to resume the download' : ''}`,
      {
        cause: error,
      },
    )
  } finally {
    progress.end()
  }
}

/** The address of Hugging Face, or of the mirror that `$HF_ENDPOINT` names. */
const hub = (env: NodeJS.ProcessEnv) => env.HF_ENDPOINT || 'https://huggingface.co'

/**
 * Checks that the host answers at all. Without this the downloader would retry for minutes where there is no network.
 */
async function reach(uri: string, io: Invocation): Promise<void> {
  const { origin } = new URL(uri.startsWith('hf:') ? hub(io.env) : uri)
  const signal = AbortSignal.any([io.signal, timeLimit(REACH_MS)])
  await fetch(origin, { method: 'HEAD', signal }).catch(error => {
    throw new Error(`cannot reach ${origin}: ${reason(error)}`)
  })
}

/** The message of the innermost cause, which says what happened; fetch's own message is only "fetch failed". */
function reason(error: unknown): string {
  let inner = error
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause
  return explain(inner)
}
