/** Liveness checks between a parent and its child process over IPC: only a process whose event loop runs answers. */
import type { ChildProcess } from 'node:child_process'

/** Answers the parent's checks for as long as this process's event loop runs. */
export function answerQuestions(): void {
  process.on('message', message => {
    if (process.connected && isRecord(message) && 'ask' in message)
      process.send?.({ answer: message.ask }, undefined, undefined, () => undefined)
  })
}

/**
 * Makes a function that checks a child started with an `ipc` channel.
 * @returns a function whose promise resolves when the child has answered. It never rejects: if the child is gone it
 * stays pending, and the caller learns of that from the child's exit
 */
export function asker(child: ChildProcess): () => Promise<void> {
  let last = 0
  const open = new Map<number, () => void>()
  child.on('message', message => {
    if (!isRecord(message) || typeof message.answer !== 'number') return
    open.get(message.answer)?.()
    open.delete(message.answer)
  })
  return () =>
    new Promise(resolve => {
      const ask = ++last
      open.set(ask, resolve)
      if (child.connected) child.send({ ask }, () => undefined)
    })
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
