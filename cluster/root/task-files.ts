/** The files of the tasks of a root: `task/`, with a directory for each. */

import { fail } from '../../api/errors.js'
import { requestJson } from '../../api/request.js'
import type { Context, Entry, File, Owner } from '../../fs/file.js'
import { logFile } from '../../fs/kit/append-log.js'
import { text } from '../../fs/kit/content.js'
import { ctl, word, word1 } from '../../fs/kit/ctl.js'
import { generated } from '../../fs/kit/dir.js'
import { number } from './settings.js'
import type { Task } from './task.js'
import type { Tasks } from './tasks.js'

/** Makes `task/`: each user sees their own tasks; an admin also sees that those of others exist. */
export function taskFiles(tasks: Tasks, owner: Owner): File {
  const dirs = new WeakMap<Task, File>()
  const dirOf = (task: Task): File => {
    let dir = dirs.get(task)
    if (!dir) dirs.set(task, (dir = taskDir(tasks, task)))
    return dir
  }
  const visible = (task: Task, { user }: Context) => task.user.name === user.name || user.role === 'admin'
  return generated({
    owner,
    mode: 0o777,
    walk: (id, ctx) => {
      const task = tasks.get(id)
      return task && visible(task, ctx) ? dirOf(task) : undefined
    },
    list: ctx => {
      const out: Entry[] = []
      for (const task of tasks.all()) if (visible(task, ctx)) out.push([task.id, dirOf(task)])
      return out
    },
  })
}

/** Makes the directory of one task, `task/N/`. */
function taskDir(tasks: Tasks, task: Task): File {
  const owner = { name: task.user.name, uid: task.user.uid }
  const verbs = {
    cancel: word(() => task.cancel()),
    priority: word1(
      'N',
      arg => number('priority', arg, -10, 10, true),
      (n, { user }) => tasks.prioritise(task, n, user),
    ),
  }
  // for rm -r: removing a file does nothing, and removing the directory cancels and forgets the task
  const part = (file: File): File => ({ ...file, remove: () => undefined })
  const files = new Map<string, File>([
    ['ctl', part(ctl({ owner, verbs, read: () => `priority ${task.priority}\n` }))],
    ['prompt', part(text(() => `${task.prompt}\n`, { owner, mode: 0o400 }))],
    ['request', part(text(() => `${requestJson(task.request, task.asked)}\n`, { owner, mode: 0o400 }))],
    ['answer', part(logFile(() => task.answer, owner))],
    ['stream', part(logFile(() => task.stream, owner))],
    ['status', part(text(() => task.status(), { owner, mode: 0o440 }))],
    ['trace', part(text(() => task.traceText(), { owner, mode: 0o440 }))],
  ])
  return generated({
    owner,
    mode: 0o750,
    walk: name => files.get(name),
    list: () => files,
    remove: ({ user }) => {
      if (user.name !== owner.name && user.role !== 'admin') throw fail('permission')
      task.cancel()
      tasks.forget(task)
    },
  })
}
