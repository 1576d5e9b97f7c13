/** Network namespaces for tests. */
import { spawnSync } from 'node:child_process'

/** The part of a tap test that is used here. */
interface Test {
  teardown(fn: () => unknown): unknown
}

/** Network namespaces: `middle` has a network with `left`, 10.77.1.0/24, and one with `right`, 10.77.2.0/24. */
export interface Namespaces {
  readonly left: string
  readonly middle: string
  readonly right: string
  /** Is not on a network. */
  readonly nowhere: string
}

/** Runs ip(8). @returns what went wrong, or an empty text */
export const ip = (...args: string[]): string => {
  const { status, stderr, error } = spawnSync('ip', args, { encoding: 'utf8' })
  return status === 0 ? '' : `ip ${args.join(' ')}: ${error?.message ?? stderr.trim()}`
}

/** The command that runs another command in a namespace. */
export const within = (namespace: string): readonly string[] => ['ip', 'netns', 'exec', namespace]

/** Makes the namespaces for one test. @returns the reason where this machine or user cannot make them */
export function namespaces(t: Test): Namespaces | string {
  if (process.platform !== 'linux') return 'network namespaces are Linux’s'
  const named = (name: string) => `llambo-${name}-${process.pid}`
  const net = { left: named('left'), middle: named('middle'), right: named('right'), nowhere: named('nowhere') }
  const { left, middle, right } = net
  t.teardown(() => {
    for (const name of Object.values(net)) ip('netns', 'del', name)
  })
  const link = (name: string, from: string, net: number): string[][] => [
    ['link', 'add', name, 'netns', middle, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', from],
    ['-n', middle, 'addr', 'add', `10.77.${net}.1/24`, 'dev', name],
    ['-n', from, 'addr', 'add', `10.77.${net}.2/24`, 'dev', 'eth0'],
    ['-n', middle, 'link', 'set', name, 'up'],
    ['-n', from, 'link', 'set', 'eth0', 'up'],
  ]
  const steps = [
    ...Object.values(net).flatMap(name => [
      ['netns', 'add', name],
      ['-n', name, 'link', 'set', 'lo', 'up'],
    ]),
    ...link('eth0', left, 1),
    ...link('eth1', right, 2),
  ]
  for (const step of steps) {
    const problem = ip(...step)
    if (problem) return problem
  }
  return net
}
