/** The rules of an orchestrator that the mutation run breaks, one after another. */

/** A rule, the compiled code that keeps it, and the code to put in its place. */
export interface Mutation {
  readonly rule: string
  readonly file: string
  readonly from: string
  readonly to: string
}

const orchestrator = 'cluster/orchestrator'

export const mutations: readonly Mutation[] = [
  {
    rule: 'offset: a worker that continues an answer begins after the last token that was given',
    file: `${orchestrator}/dispatch/forwarded.js`,
    from: 'prefix_ids: given.ids',
    to: 'prefix_ids: given.ids.slice(0, -1)',
  },
  {
    rule: 'retry: an answer that has begun is continued, never begun again',
    file: `${orchestrator}/dispatch/forwarded.js`,
    from: '...(given && { prefix_ids: given.ids })',
    to: '',
  },
  {
    rule: 'retry: when a worker is lost, another takes its place',
    file: `${orchestrator}/dispatch/retry.js`,
    from: 'if (failuresInARow >= tries',
    to: 'if (true || failuresInARow >= tries',
  },
  {
    rule: 'watchdog: a worker that gives no more tokens is ended',
    file: `${orchestrator}/dispatch/dispatcher.js`,
    from: 'return this.#o.health.hung(member',
    to: 'return void (member',
  },
  {
    rule: 'slots: no worker is given more than it has',
    file: `${orchestrator}/dispatch/routing.js`,
    from: 'member.active < member.report.slots',
    to: 'true',
  },
  {
    rule: 'fencing: an attempt that is not the newest has no say, though its worker comes back with it',
    file: `${orchestrator}/dispatch/recovery.js`,
    from: 'if (current && this.#o.root.tasks.take(task))',
    to: 'if (task && !task.ended)',
  },
  {
    rule: 'changes: a worker that has left is not chosen',
    file: `${orchestrator}/dispatch/dispatcher.js`,
    from: 'routing.update(member);\n        // a quarantined',
    to: '// a quarantined',
  },
]
