import type { Client, Fid } from '../../fs/client.js'
import { fail } from '../../fs/errors.js'
import type { Qid } from '../../fs/protocol.js'
import type { UnixStat } from '../attributes.js'
import type { Handle } from './handle.js'
import { ROOT_ID } from './protocol.js'

/** Fids held for nodes that are not open. What a script touches again and again stays; a `find` over thousands passes through. */
const MAX_KEPT = 1024

/** A file the kernel knows by number. What it is to the server is its path; a fid is only a way to get there faster. */
export class Node {
  readonly children = new Map<string, Node>()
  /** How often the kernel has been told of it, less how often it forgot. */
  lookups = 0
  readonly fids = new Map<number, Fid>()
  /** Removed, or another was renamed to its name: what is at its path now is not this. Programs may have it open yet. */
  removed = false
  /** What programs have it open. */
  readonly handles = new Set<Handle>()
  /** What was last told of it: all there is to tell once it is removed, of a server that asks the path (diod). */
  stat: UnixStat | undefined

  constructor(
    readonly id: number,
    public parent: Node | undefined,
    public name: string,
    public qid: Qid,
  ) {}

  /** The names from the root to it. */
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
  /** Every kept fid, the longest unused first. */
  #kept = new Map<Fid, { node: Node; uid: number }>()
  readonly root: Node

  constructor(root: Qid) {
    this.root = new Node(ROOT_ID, undefined, '', root)
    this.#nodes.set(ROOT_ID, this.root)
  }

  get size(): number {
    return this.#nodes.size
  }

  get(id: number): Node {
    const node = this.#nodes.get(id)
    if (!node) throw fail('notFound', `node ${id}`)
    return node
  }

  /** The node of this name, one lookup more. A name that now means another file is another node. */
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

  forget(id: number, lookups: number): void {
    const node = this.#nodes.get(id)
    if (!node || node === this.root || (node.lookups -= lookups) > 0) return
    this.#nodes.delete(id)
    this.detach(node)
    this.#release(node)
  }

  /** Its name is gone, though the kernel may hold it yet. */
  detach(node: Node): void {
    if (node.parent?.children.get(node.name) === node) node.parent.children.delete(node.name)
  }

  /** Removed: whoever has it open goes on with that, and nobody comes to it by its path. */
  remove(node: Node | undefined): void {
    if (!node) return
    node.removed = true
    this.detach(node)
    this.#release(node)
  }

  /** Renamed, perhaps to another directory or over another file. The fids of all below stand at names that are gone. */
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
      drop(fid)
    }
    node.fids.clear()
  }

  /** The fid kept for a user, if it is one of the living connection. */
  kept(node: Node, uid: number, client: Client | undefined): Fid | undefined {
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

  /** Hands out the kept fid for good (to be opened). */
  take(node: Node, uid: number, client: Client | undefined): Fid | undefined {
    const fid = this.kept(node, uid, client)
    if (fid) this.#remove(node, uid, fid)
    return fid
  }

  /**
   * Keeps a fid, unless there is one: then that stays and the new one is clunked, because somebody may be about to use the
   * old. Returns the one that is kept.
   */
  keep(node: Node, uid: number, fid: Fid): Fid {
    const old = this.kept(node, uid, fid.client)
    if (old) {
      drop(fid)
      return old
    }
    node.fids.set(uid, fid)
    this.#kept.set(fid, { node, uid })
    if (this.#kept.size > MAX_KEPT) {
      const [[oldest, at]] = this.#kept as unknown as [[Fid, { node: Node; uid: number }]]
      this.#remove(at.node, at.uid, oldest)
      drop(oldest)
    }
    return fid
  }

  #remove(node: Node, uid: number, fid: Fid): void {
    node.fids.delete(uid)
    this.#kept.delete(fid)
  }
}

/** Clunks and does not wait: a clunk's failure tells nobody anything. */
export function drop(fid: Fid): void {
  fid.clunk().catch(() => {})
}
