/** The fids by which a mount reaches the files of its nodes: each user's own. */

import { fail } from '../../fs/base/errors.js'
import type { Fid } from '../../fs/client/client.js'
import type { Link } from '../link.js'
import type { Node, Nodes } from './nodes.js'
import type { FuseRequest } from './request.js'

/** Walks to nodes as a user. A removed node has no path: all methods that take a node throw `file does not exist`. */
export class Fids {
  constructor(
    readonly link: Link,
    readonly nodes: Nodes,
  ) {}

  root(uid: number): Fid | Promise<Fid> {
    return this.link.root(uid)
  }

  /** A kept fid of this user at a node, to walk from or to ask for attributes. The caller must not open or clunk it. */
  async kept(node: Node, uid: number, flight: FuseRequest): Promise<Fid> {
    if (node === this.nodes.root) return this.root(uid)
    if (node.removed) throw fail('notFound')
    const kept = this.nodes.kept(node, uid, this.link.client)
    if (kept) return kept
    return this.nodes.keep(node, uid, await (await this.root(uid)).walk(node.path, flight.signal))
  }

  /** A fid of this user at a node, to open: the kept one if there is one. It belongs to the caller. */
  async take(node: Node, uid: number, flight: FuseRequest): Promise<Fid> {
    return this.nodes.take(node, uid, this.link.client) ?? (await this.walk(node, uid, flight))
  }

  /** A new fid of this user at a node. It belongs to the caller. */
  async walk(node: Node, uid: number, flight: FuseRequest): Promise<Fid> {
    if (node.removed) throw fail('notFound')
    return (await this.root(uid)).walk(node.path, flight.signal)
  }

  /** Walks to a node by its current path and asks `question` there. The fid belongs to the caller. */
  async ask<T>(node: Node, uid: number, question: (fid: Fid) => Promise<T>, flight: FuseRequest) {
    if (node.removed) throw fail('notFound')
    const asked = await (await this.root(uid)).ask(node.path, question, flight.signal)
    if (!flight.answered) return asked
    asked.fid.drop()
    throw fail('interrupted')
  }
}

/** Opens a fid. If that fails, or the kernel has its answer by then, clunks it. @returns the fid */
export async function opened(fid: Fid, mode: number, flight: FuseRequest): Promise<Fid> {
  try {
    await fid.open(mode, flight.signal)
    if (flight.answered) throw fail('interrupted')
    return fid
  } catch (error) {
    fid.drop()
    throw error
  }
}
