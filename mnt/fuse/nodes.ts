/** The files that the kernel knows by number, and the fids kept for them. */

import { fail } from '../../fs/base/errors.js'
import type { Fid } from '../../fs/client/client.js'
import type { Qid } from '../../fs/wire/protocol.js'
import type { UnixStat } from '../attributes.js'
import { ROOT_ID } from './protocol.js'

/**
 * Fids kept for nodes that are not open. The least recently used goes first: files that a script uses again and again
 * stay, and those of a `find` over thousands pass through.
 */
const MAX_KEPT = 1024

/** What a program has open, as far as its node uses it. */
export interface Opened {
  readonly fid: Fid
  readonly uid: number
  readonly writes: boolean
}

/** A file that the kernel knows by number. The server knows it by its path; a kept fid only saves the walk. */
export class Node {
  readonly children = new Map<string, Node>()
  /** The kernel's references: how many answers named the node, minus those that the kernel has forgotten. */
  lookups = 0
  /** The kept fid of each user, by uid. */
  readonly fids = new Map<number, Fid>()
  /**
   * The file was removed, or another was renamed over it: its path no longer leads to it. Programs may still have it
   * open.
   */
  removed = false
  /** The open files of programs at this node. */
  readonly handles = new Set<Opened>()
  /**
   * Its attributes as last received. For a removed file there may be no newer ones: diod resolves even an open fid by
   * its path.
   */
  stat: UnixStat | undefined

  constructor(
    readonly id: number,
    public parent: Node | undefined,
    public name: string,
    public qid: Qid,
  ) {}

  /** The names on the way from the root to this node. */
  get path(): string[] {
    const names: string[] = []
    for (let at: Node = this; at.parent; at = at.parent) names.unshift(at.name)
    return names
  }
}

/** The nodes the kernel holds, and the fids kept for them, one for each user. */
export class Nodes {
  #nodes = new Map<number, Node>()
  #last = ROOT_ID
  /** Every kept fid, the least recently used first. */
  #kept = new Map<Fid, { node: Node; uid: number }>()
  readonly root: Node

  constructor(root: Qid) {
    this.root = new Node(ROOT_ID, undefined, '', root)
    this.#nodes.set(ROOT_ID, this.root)
  }

  get size(): number {
    return this.#nodes.size
  }

  /** @throws FsError `file does not exist` if the kernel does not hold this node */
  get(id: number): Node {
    const node = this.#nodes.get(id)
    if (!node) throw fail('notFound', `unknown node ${id}`)
    return node
  }

  /** The node of this name, with one more lookup counted. A name that now leads to another file gets a new node. */
  lookup(parent: Node, name: string, qid: Qid): Node {
    let node = parent.children.get(name)
    if (!node || node.qid.path !== qid.path || node.qid.type !== qid.type) {
      node = new Node(++this.#last, parent, name, qid)
      parent.children.set(name, node)
      this.#nodes.set(node.id, node)
    }
    node.lookups++
    return node
  }

  /** Counts lookups that the kernel has forgotten; the node goes with the last one. */
  forget(id: number, lookups: number): void {
    const node = this.#nodes.get(id)
    if (!node || node === this.root || (node.lookups -= lookups) > 0) return
    this.#nodes.delete(id)
    this.detach(node)
    this.#release(node)
  }

  /** Takes the node's name out of its directory; the kernel may still hold the node. */
  detach(node: Node): void {
    if (node.parent?.children.get(node.name) === node) node.parent.children.delete(node.name)
  }

  /** Marks the node as removed. Programs that have it open continue to use it, but its path no longer leads to it. */
  remove(node: Node | undefined): void {
    if (!node) return
    node.removed = true
    this.detach(node)
    this.#release(node)
  }

  /**
   * Gives the node another name, perhaps in another directory or over another file. The kept fids of the node and of
   * everything below it are dropped, because they were walked by names that are gone.
   */
  rename(node: Node, parent: Node, name: string): void {
    this.remove(parent.children.get(name))
    this.detach(node)
    node.parent = parent
    node.name = name
    parent.children.set(name, node)
    this.#moved(node)
  }

  #moved(node: Node): void {
    this.#release(node)
    for (const child of node.children.values()) this.#moved(child)
  }

  #release(node: Node): void {
    for (const fid of node.fids.values()) {
      this.#kept.delete(fid)
      fid.drop()
    }
    node.fids.clear()
  }

  /** The fid kept for a user, if it belongs to the current connection. */
  kept(node: Node, uid: number, client: Fid['client'] | undefined): Fid | undefined {
    const fid = node.fids.get(uid)
    if (!fid) return
    if (fid.client !== client) {
      this.#remove(node, uid, fid)
      return
    }
    const where = this.#kept.get(fid)!
    this.#kept.delete(fid)
    this.#kept.set(fid, where)
    return fid
  }

  /** Removes the fid kept for a user and returns it; the caller may open it. */
  take(node: Node, uid: number, client: Fid['client'] | undefined): Fid | undefined {
    const fid = this.kept(node, uid, client)
    if (fid) this.#remove(node, uid, fid)
    return fid
  }

  /**
   * Keeps a fid. If one is kept already, that one stays and the new one is clunked, because a request may be about to
   * use the old one.
   * @returns the fid that is kept
   */
  keep(node: Node, uid: number, fid: Fid): Fid {
    const old = this.kept(node, uid, fid.client)
    if (old) {
      fid.drop()
      return old
    }
    node.fids.set(uid, fid)
    this.#kept.set(fid, { node, uid })
    if (this.#kept.size > MAX_KEPT) {
      const [[oldest, at]] = this.#kept as unknown as [[Fid, { node: Node; uid: number }]]
      this.#remove(at.node, at.uid, oldest)
      oldest.drop()
    }
    return fid
  }

  #remove(node: Node, uid: number, fid: Fid): void {
    node.fids.delete(uid)
    this.#kept.delete(fid)
  }
}
