import { exitCode } from './exit.js'

/** What a program of a later release does: says so and what does its work until then. */
export function later(name: string, does: string, meanwhile: string): never {
  process.stderr.write(`${name}: ${does} comes with a later release. Until then: ${meanwhile}\n`)
  process.exit(exitCode.usage)
}
