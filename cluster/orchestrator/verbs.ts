/** The syntax of the commands in a cluster's ctl; commands.ts has what they do. */

import { fail } from '../../api/errors.js'
import { miscounted, type Verb, word1 } from '../../fs/kit/ctl.js'
import { oneOf } from '../choices.js'
import { modelWord, number } from '../root/settings.js'
import type { Commands } from './commands.js'
import { strategies } from './dispatch/routing.js'
import { logLevels } from './settings.js'

/** A command of pairs of a name and a number, such as `max 512 ttl 30`, each in its range. */
function pairs<K extends string>(
  verb: string,
  ranges: Record<K, { low: number; high: number; whole?: boolean }>,
  effect: (values: Partial<Record<K, number>>) => void,
): Verb {
  const names = Object.keys(ranges) as K[]
  return {
    usage: names.map(name => `[${name} N]`).join(' '),
    check(args) {
      if (args.length === 0 || args.length % 2)
        throw fail('badArgument', `${verb}: expected pairs of a name and a number; names: ${names.join(' ')}`)
      const values: Partial<Record<K, number>> = {}
      for (let i = 0; i < args.length; i += 2) {
        const name = oneOf(verb, args[i], names)
        const { low, high, whole } = ranges[name]
        values[name] = number(`${verb} ${name}`, args[i + 1], low, high, whole ?? true)
      }
      return () => effect(values)
    },
  }
}

/** A command of one word, and of a second that may be left out. */
function word12(
  usage: string,
  check: (first: string, second: string | undefined) => void,
  effect: (first: string, second: string | undefined) => void | Promise<void>,
): Verb {
  return {
    usage,
    check(args) {
      const [first, second, ...more] = args
      if (first === undefined || more.length) throw miscounted(`arguments ${usage}`, args.length)
      check(first, second)
      return () => effect(first, second)
    },
  }
}

/** The commands of a cluster's ctl (docs/files.md, ctl). */
export function clusterVerbs(c: Commands): Record<string, Verb> {
  const { settings } = c
  const worker = (name: string) => {
    c.check(name)
    return name
  }
  const someWorker = (model: string, name: string | undefined) => {
    modelWord(model)
    if (name !== undefined) c.checkKept(name)
  }
  return {
    strategy: word1(
      strategies.join('|'),
      name => oneOf('strategy', name, strategies),
      strategy => {
        c.strategy = strategy
      },
    ),
    queue: pairs('queue', { max: { low: 1, high: 100_000 }, ttl: { low: 0.1, high: 86_400, whole: false } }, v => {
      settings.queue.max = v.max ?? settings.queue.max
      settings.queue.ttl_s = v.ttl ?? settings.queue.ttl_s
    }),
    retry: pairs('retry', { tries: { low: 1, high: 10 }, resumes: { low: 0, high: 100 } }, v => {
      settings.retry.tries = v.tries ?? settings.retry.tries
      settings.retry.resumes = v.resumes ?? settings.retry.resumes
    }),
    heartbeat: word1(
      'S',
      arg => number('heartbeat', arg, 0.1, 60),
      s => c.heartbeat(s),
    ),
    load: word12('MODEL [WORKER]', someWorker, (model, name) => c.load(model, name)),
    unload: word12('MODEL [WORKER]', someWorker, (model, name) => c.unload(model, name)),
    drain: word1('WORKER', worker, name => c.drain(name)),
    resume: word1('WORKER', worker, name => c.resume(name)),
    spawn: {
      usage: 'CLASS N [host NAME]',
      check([kind, n = '1', host, name, ...more]) {
        if (kind === undefined || more.length || (host !== undefined && (host !== 'host' || name === undefined)))
          throw fail('badArgument', 'usage: spawn CLASS [N] [host NAME]')
        const count = number('spawn', n, 1, 10_000, true)
        return () => c.spawn(kind, count, name)
      },
    },
    log: {
      usage: `level ${logLevels.join('|')}`,
      check([word, level, ...more]) {
        const known = logLevels.find(known => known === level)
        if (word !== 'level' || !known || more.length)
          throw fail('badArgument', `usage: log level ${logLevels.join('|')}`)
        return () => {
          settings.log = known
        }
      },
    },
    refused: word1('WHY', String, why => c.refused(why)),
    shutdown: {
      usage: '[WORKER]',
      check(args) {
        const [name, ...more] = args
        if (more.length) throw miscounted('at most one argument (WORKER)', args.length)
        if (name !== undefined) c.check(name)
        return () => c.shutdown(name)
      },
    },
  }
}

/** The commands that would restore these settings. */
export function clusterLines({ strategy, wantedLines, settings }: Commands): string[] {
  const { queue, retry, heartbeat_s, log } = settings
  return [
    `strategy ${strategy}`,
    `queue max ${queue.max} ttl ${queue.ttl_s}`,
    `retry tries ${retry.tries} resumes ${retry.resumes}`,
    `heartbeat ${heartbeat_s}`,
    `log level ${log}`,
    ...wantedLines,
  ]
}
