/** Makes a real memory cgroup, for tests of what a limit does. */

import { existsSync, mkdtempSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const v2 = existsSync('/sys/fs/cgroup/cgroup.controllers')
const files = v2
  ? { limit: 'memory.max', usage: 'memory.current', none: 'max' }
  : { limit: 'memory.limit_in_bytes', usage: 'memory.usage_in_bytes', none: '-1' }

/** A memory cgroup: it takes processes, and has a limit. */
export class Group {
  private constructor(readonly dir: string) {}

  /** Makes a group without a limit. @returns undefined if this user cannot make one on this machine */
  static make(): Group | undefined {
    let group: Group | undefined
    try {
      group = new Group(mkdtempSync(`/sys/fs/cgroup${v2 ? '' : '/memory'}/llambo-test-`))
      group.limit(undefined)
      return group
    } catch {
      if (group) rmdirSync(group.dir)
      return undefined
    }
  }

  /** Bytes that its processes use. */
  get usage(): number {
    return Number(readFileSync(join(this.dir, files.usage), 'utf8'))
  }

  /** Sets the limit in bytes, or removes it. */
  limit(bytes: number | undefined): void {
    writeFileSync(join(this.dir, files.limit), bytes === undefined ? files.none : `${bytes}`)
  }

  /** The words that run a program in the group; they go before the program's own. */
  get within(): string[] {
    return ['sh', '-c', `echo $$ > ${this.dir}/cgroup.procs && exec "$0" "$@"`]
  }

  /** Removes the group, once the last process has left it. */
  async remove(): Promise<void> {
    for (let tries = 100; ; tries--) {
      try {
        return rmdirSync(this.dir)
      } catch (error) {
        if (tries === 0) throw error
        await sleep(50)
      }
    }
  }
}
