/**
 * The errors of llambo, in addition to those of every 9P server (fs/base/errors.ts). Code that makes or recognises one of
 * these errors imports this file, which registers them.
 */
import { type Rows, register } from '../fs/base/errors.js'

export * from '../fs/base/errors.js'

/** docs/files.md#errors has what each means. `{}` is where the detail goes; otherwise a detail follows after `: `. */
export const llamboErrors = {
  tooLong: ['prompt too long', 27],
  notUtf8: ['prompt is not UTF-8', 84],
  noWorker: ['no worker serves {}', 6],
  loading: ['no model is loaded', 6],
  tooManySessions: ['too many sessions', 16],
  deadline: ['deadline of {} ms passed', 110],
  queueFull: ['queue full, retry after {} s', 16],
  sessionBusy: ['session busy', 16],
  tooManyUploads: ['too many uploads at once', 16],
  waited: ['waited {} s for a worker', 110],
  workerLost: ['worker lost after {} tokens', 5],
  poison: ['request ended {} workers', 5],
  noWorkers: ['there is no worker', 6],
  upstreamRefused: ['the upstream refuses this', 22],
  upstreamBusy: ['the upstream asks to wait {} s', 16],
  upstreamFailed: ['the upstream failed', 121],
  contextFull: ['context full', 90],
  badModel: ['model file is damaged', 74],
  noMemory: ['not enough memory for {}', 12],
} as const satisfies Rows

type LlamboErrors = Record<keyof typeof llamboErrors, true>
declare module '../fs/base/errors.js' {
  interface MoreErrors extends LlamboErrors {}
}

register(llamboErrors)
