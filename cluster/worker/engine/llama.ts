/** The engine `llama`: llama.cpp in this process. */

import { randomInt } from 'node:crypto'
import { basename } from 'node:path'
import type {
  LlamaContext,
  LlamaEmbeddingContext,
  LlamaGrammarEvaluationState,
  LlamaModel,
  Token,
} from 'node-llama-cpp'
import { FsError, fail } from '../../../api/errors.js'
import type { GenerateRequest } from '../../../api/request.js'
import { checkModel } from '../gguf.js'
import { contextFull, type Engine, type ModelInfo, type TokenChunk } from './engine.js'
import { contextNote } from './llama/context.js'
import { Detokenizer } from './llama/detokenizer.js'
import { Gate } from './llama/gate.js'
import { grammarOf } from './llama/grammar.js'
import { type KvType, loadModel, makeContext, makeEmbeddingContext } from './llama/model.js'
import { type Prompt, Prompter } from './llama/prompt.js'
import { defaultThreads, type Gpu, type Runtime, startRuntime } from './llama/runtime.js'
import { chooseSlot, Slot, seedOf } from './llama/slot.js'
import { Slots } from './slots.js'
import { StopBuffer } from './stop-buffer.js'

interface LlamaOptions {
  path: string
  /** The name in requests; the file's name without `.gguf` if omitted. */
  name?: string
  slots: number
  /** Tokens of each slot; `defaultContext` if omitted. */
  context?: number
  /** `f16` if omitted. */
  kvType?: KvType
  /** `defaultThreads` if omitted. */
  threads?: number
  /** `auto` if omitted. */
  gpu?: Gpu
  /** The digest of the file. For a large file it comes when the file has been read; the model serves before that. */
  digest?: Promise<string>
}

/**
 * Loads a GGUF model into this process and runs it with llama.cpp: one context whose sequences are the slots, decoded
 * together in batches. A slot keeps what it evaluated last, and a request takes the slot that holds most of its prompt.
 * @param signal ends the load at the next tensor
 * @param progress called with how much of the file has been read, 0 to 1
 * @throws FsError `model file is damaged: …`, `not enough memory for …`, or an error of the file system
 */
export async function createLlamaEngine(
  o: LlamaOptions,
  signal?: AbortSignal,
  progress?: (share: number) => void,
): Promise<Engine> {
  o.digest?.catch(() => undefined) // if the file disappears meanwhile, no other engine can continue its tokens
  // before llama.cpp sees the file: some hostile headers make it loop rather than fail
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

/**
 * Waits until llama.cpp has the work that was just started: node-llama-cpp hands it over in the next turn of the event
 * loop.
 */
const decoding = () => new Promise<void>(resolve => setImmediate(() => setImmediate(resolve)))

/** A request that is ready for a slot. */
interface Prepared extends Prompt {
  readonly prefix: readonly Token[]
  /** GBNF. */
  readonly grammar: string | undefined
  /** Most tokens of the answer: as many as requested, or as the context leaves room for. */
  readonly most: number
}

class LlamaEngine implements Engine {
  readonly slots: number
  readonly #prompter: Prompter
  readonly #slots: Slots<Slot>
  /** Size of the vocabulary: token ids are less than this. */
  readonly #vocabulary: number
  /** Characters of the longest token. */
  readonly #longest: number
  #embedding: Promise<LlamaEmbeddingContext> | undefined
  /** The last embedding request: vectors are computed one after another, in the order of the requests. */
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
    if (request.tools?.length) throw fail('notSupported', 'tools: engine llama does not support them; use schema')
    const { contextSize } = this.context
    // tokenizing a MiB takes most of a second, in which nothing else runs, so refuse before that what cannot fit
    const characters = (request.messages ?? []).reduce((n, m) => n + m.content.length, request.prompt?.length ?? 0)
    if (characters > contextSize * this.#longest) {
      throw contextFull(`prompt over ${contextSize} tokens`, contextSize)
    }
    const prompt = this.#prompter.make(request)
    const count = prompt.tokens.length
    // node-llama-cpp reserves one place: a context of 1024 takes 1023 tokens before it would shift
    if (count >= contextSize) throw contextFull(`prompt ${count} tokens`, contextSize)
    const prefix = (request.prefix_ids ?? []) as Token[]
    if (prefix.length > 0 && request.schema !== undefined)
      throw fail('badArgument', 'prefix_ids: cannot be combined with schema')
    // llama.cpp must not be asked about tokens that are not in its vocabulary
    const foreign = prefix.find(id => !Number.isInteger(id) || id < 0 || id >= this.#vocabulary)
    if (foreign !== undefined) throw fail('badArgument', `prefix_ids: ${foreign} is not a token of ${this.model.name}`)
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
    const hold = new StopBuffer([...request.stop, ...prompt.stopTexts])
    const pieces = new Detokenizer(this.loaded, tokens)
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
          // start the next token before handing this one out: the reader's work then overlaps with llama.cpp's decoding
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
      // after this the slot may be given to another request
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
