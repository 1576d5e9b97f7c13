import { randomInt } from 'node:crypto'
import { basename } from 'node:path'
import type {
  LlamaContext,
  LlamaEmbeddingContext,
  LlamaGrammarEvaluationState,
  LlamaModel,
  Token,
} from 'node-llama-cpp'
import { FsError, fail } from '../../../fs/errors.js'
import { checkModel } from '../gguf.js'
import { contextFull, type Engine, type GenerateRequest, type ModelInfo, type TokenChunk } from './engine.js'
import { Hold } from './hold.js'
import { contextNote } from './llama/context.js'
import { Gate } from './llama/gate.js'
import { grammarOf } from './llama/grammar.js'
import { type KvType, loadModel, makeContext, makeEmbeddingContext } from './llama/model.js'
import { Pieces } from './llama/pieces.js'
import { type Prompt, Prompter } from './llama/prompt.js'
import { defaultThreads, type Gpu, type Runtime, startRuntime } from './llama/runtime.js'
import { chooseSlot, Slot, seedOf } from './llama/slot.js'
import { Slots } from './slots.js'

interface LlamaOptions {
  path: string
  /** What requests call it; the file's name without `.gguf` if not said. */
  name?: string
  slots: number
  /** Tokens of each slot; if not said, see `defaultContext`. */
  context?: number
  /** `f16` if not said. */
  kvType?: KvType
  /** See `defaultThreads`. */
  threads?: number
  /** `auto` if not said. */
  gpu?: Gpu
  /** Of the file; a large one's comes when it has been read, and the model serves before. */
  digest?: Promise<string>
}

/**
 * Loads a GGUF model into this process, to be run by llama.cpp: one context whose sequences are the slots, decoded together
 * in batches. A slot keeps what it last evaluated, and a request takes the slot that knows most of its prompt.
 * @param signal ends the load, at the next tensor
 * @param progress told how much of the file has been read, 0 to 1
 * @throws FsError `model file is damaged: …`, `not enough memory for …`, or the file system's
 */
export async function createLlamaEngine(
  o: LlamaOptions,
  signal?: AbortSignal,
  progress?: (share: number) => void,
): Promise<Engine> {
  o.digest?.catch(() => undefined) // if the file goes meanwhile, its tokens are continued nowhere else
  // Before llama.cpp sees it: some hostile headers it answers by looping, not by an error.
  const { size, weights } = await checkModel(o.path, signal)
  const runtime = await startRuntime(o.gpu ?? 'auto')
  signal?.throwIfAborted()
  const threads = o.threads ?? defaultThreads(runtime.llama)
  const model = await loadModel(runtime, o.path, weights, signal, progress)
  let context: LlamaContext
  try {
    const { slots, kvType = 'f16' } = o
    context = await makeContext(runtime, model, { slots, context: o.context, kvType, threads }, weights, signal)
  } catch (error) {
    await model.dispose()
    throw error
  }
  const info: ModelInfo & { digest: string } = {
    name: o.name ?? basename(o.path).replace(/\.gguf$/i, ''),
    size,
    context: context.contextSize,
    note: contextNote(model.trainContextSize, context.contextSize, o.context),
    digest: '',
  }
  o.digest?.then(
    digest => {
      info.digest = digest
    },
    () => undefined,
  )
  try {
    return new LlamaEngine(info, runtime, model, context, threads)
  } catch (error) {
    await model.dispose()
    throw error
  }
}

/** Waits until what was just begun is with llama.cpp: node-llama-cpp hands it over in the loop's next turn. */
const decoding = () => new Promise<void>(resolve => setImmediate(() => setImmediate(resolve)))

/** A request that is ready for a slot. */
interface Prepared extends Prompt {
  readonly prefix: readonly Token[]
  /** GBNF. */
  readonly grammar: string | undefined
  /** Tokens the answer may come to: what was asked for, or what the context leaves. */
  readonly most: number
}

class LlamaEngine implements Engine {
  readonly slots: number
  readonly #prompter: Prompter
  readonly #slots: Slots<Slot>
  /** Tokens there are: ids go from 0 to one less. */
  readonly #vocabulary: number
  /** Characters of the longest. */
  readonly #longest: number
  #embedding: Promise<LlamaEmbeddingContext> | undefined
  /** Vectors are made one after another, in the order they were asked for. */
  #embedded: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(
    readonly model: ModelInfo,
    readonly runtime: Runtime,
    readonly loaded: LlamaModel,
    readonly context: LlamaContext,
    readonly threads: number,
  ) {
    this.slots = context.totalSequences
    this.#prompter = new Prompter(runtime.library, loaded)
    const { tokens } = loaded.fileInfo.metadata.tokenizer.ggml
    this.#vocabulary = tokens.length
    this.#longest = tokens.reduce((most, token) => Math.max(most, token.length), 1)
    const gate = new Gate()
    this.#slots = new Slots(Array.from({ length: this.slots }, () => new Slot(context.getSequence(), gate)))
  }

  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<TokenChunk> {
    return this.#slots.run(signal, {
      prepare: () => this.#prepare(request),
      choose: (free, { tokens }) => chooseSlot(free, tokens),
      body: (prompt, slot, signal) => this.#answer(request, prompt, slot, signal),
    })
  }

  async embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]> {
    const turn = this.#embedded.then(() => this.#vectors(texts, signal))
    this.#embedded = turn.catch(() => {})
    return turn
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#slots.close()
    await this.#embedded
    await this.#embedding?.then(context => context.dispose()).catch(() => {})
    await this.context.dispose()
    await this.loaded.dispose()
  }

  #prepare(request: GenerateRequest): Prepared {
    if (request.tools?.length) throw fail('notSupported', 'tools: engine llama calls none yet, use schema')
    const { contextSize } = this.context
    // Making tokens of a MiB takes most of a second, in which nothing else runs; what cannot fit is told before.
    const characters = (request.messages ?? []).reduce((n, m) => n + m.content.length, request.prompt?.length ?? 0)
    if (characters > contextSize * this.#longest) {
      throw contextFull(`prompt over ${contextSize} tokens`, contextSize)
    }
    const prompt = this.#prompter.make(request)
    const count = prompt.tokens.length
    // One place is kept by node-llama-cpp: a context of 1024 takes 1023 tokens before it would shift.
    if (count >= contextSize) throw contextFull(`prompt ${count} tokens`, contextSize)
    const prefix = (request.prefix_ids ?? []) as Token[]
    if (prefix.length > 0 && request.schema !== undefined) throw fail('badArgument', 'prefix_ids: not with a schema')
    // llama.cpp is not to be asked about tokens it has not.
    const foreign = prefix.find(id => !Number.isInteger(id) || id < 0 || id >= this.#vocabulary)
    if (foreign !== undefined) throw fail('badArgument', `prefix_ids: ${foreign} is no token of ${this.model.name}`)
    return {
      ...prompt,
      prefix,
      grammar: request.schema === undefined ? undefined : grammarOf(request.schema),
      most: Math.min(request.max_tokens, contextSize - count),
    }
  }

  async *#answer(
    request: GenerateRequest,
    { tokens, prefix, most, ...prompt }: Prepared,
    slot: Slot,
    signal: AbortSignal,
  ): AsyncGenerator<TokenChunk, void> {
    const hold = new Hold([...request.stop, ...prompt.stopTexts])
    const pieces = new Pieces(this.loaded, tokens)
    for (const id of prefix) hold.given(pieces.push(id), [id])
    const seed = request.seed ?? randomInt(2 ** 32)
    const all = [...tokens, ...prefix]
    let made = prefix.length
    let ended = hold.stopped
    let drawn: Promise<Token> | undefined
    try {
      const grammar = prompt.grammar === undefined ? undefined : await this.#grammar(prompt.grammar)
      const reused = await slot.align(all)
      yield { event: 'start', prompt_tokens: tokens.length, reused: Math.min(reused, tokens.length) }
      const draw = (after: readonly Token[]) => {
        drawn = slot.next(after, request, seedOf(seed, made), grammar)
        drawn.catch(() => {}) // it may fail when nobody waits for it any more
      }
      if (made < most && !ended) {
        const prefill = slot.prefill(all, signal)
        let step = await prefill.next()
        for (; !step.done; step = await prefill.next())
          yield { event: 'prefill', tokens: Math.min(step.value, tokens.length) }
        signal.throwIfAborted()
        draw(step.value)
      }
      while (drawn) {
        const token = await drawn
        drawn = undefined
        signal.throwIfAborted()
        if (this.loaded.isEogToken(token) || prompt.stopTokens.has(token)) {
          ended = true
          break
        }
        made++
        const out = hold.push(pieces.push(token), [token])
        ended = hold.stopped
        if (made < most && !ended) {
          // The next token is begun before this one is handed out: what readers cost is paid while llama.cpp decodes.
          draw([token])
          if (out && made > prefix.length + 1) await decoding()
        }
        if (out) yield { event: 'token', ...out }
      }
    } catch (error) {
      if (signal.aborted || error instanceof FsError) throw error
      await slot.clear()
      throw fail('io', `llama.cpp: ${(error as Error).message}`, error)
    } finally {
      // the slot is another's after this
      await drawn?.catch(() => {})
    }
    const rest = hold.end()
    if (rest) yield { event: 'token', ...rest }
    yield { event: 'end', reason: ended ? 'stop' : 'length', completion_tokens: made }
  }

  async #grammar(gbnf: string): Promise<LlamaGrammarEvaluationState> {
    const { library, llama } = this.runtime
    const grammar = await this.runtime.watch(
      () => llama.createGrammar({ grammar: gbnf }),
      async (error, lines) => {
        throw fail('badArgument', `schema: ${lines[0] ?? (error as Error).message}`, error)
      },
    )
    return new library.LlamaGrammarEvaluationState({ model: this.loaded, grammar })
  }

  async #vectors(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]> {
    const out: Float32Array[] = []
    for (const text of texts) {
      if (this.#closed) throw fail('shuttingDown')
      signal.throwIfAborted()
      this.#embedding ??= makeEmbeddingContext(this.runtime, this.loaded, {
        context: this.model.context,
        threads: this.threads,
      })
      const context = await this.#embedding.catch(error => {
        this.#embedding = undefined
        throw error
      })
      const length = context.calculateInputLength(text)
      const { contextSize } = this.context
      if (length >= contextSize) throw contextFull(`text ${length} tokens`, contextSize)
      const { vector } = await context.getEmbeddingFor(text)
      const norm = Math.hypot(...vector) || 1
      out.push(Float32Array.from(vector, x => x / norm))
    }
    return out
  }
}
