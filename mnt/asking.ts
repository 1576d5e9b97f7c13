/** A question that only a live process answers, over the channel between a process and the one that started it. */
import type { ChildProcess } from 'node:child_process'

/** Answers whoever started this process, as long as its loop turns. */
export function answerQuestions(): void {
  process.on('message', message => {
    if (process.connected && isRecord(message) && 'ask' in message)
      process.send?.({ answer: message.ask }, undefined, undefined, () => undefined)
  })
}

/**
 * What asks a child that was started with an `ipc` channel.
 * @returns resolves when the child has answered, and never rejects; a child that is gone says so by its exit
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
