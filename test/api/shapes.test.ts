/**
 * Tests that what the server writes and what api/ reads have the same fields. Compiling this file is most of the test.
 */

import t from 'tap'
import type { turn } from '../../api/conversation.js'
import type { Of } from '../../api/field.js'
import type { ChatMessage } from '../../api/request.js'
import { type joinFile, type serverFile, workersFile } from '../../api/runtime.js'
import type { Sampling, sampling } from '../../api/sampling.js'
import type { SavedSession } from '../../api/session.js'
import type { ServerAttributes } from '../../api/status.js'
import { parseTrialSpec, parseWorkerSpec, workerClass } from '../../api/worker.js'
import type { Written } from '../../api/written.js'
import { readConfig, settings } from '../../cli/settings.js'
import type { WorkerClass } from '../../cluster/class.js'
import type { SpawnSpec, Upstream, WorkerRecord } from '../../cluster/host/process.js'
import type { Settings } from '../../cluster/root/settings.js'
import { configOf } from '../../ctl/server/classes.js'
import type { TrialSpec } from '../../ctl/server/trial.js'
import type { WorkerSpec } from '../../ctl/server/worker-process.js'
import type { User } from '../../fs/file.js'

/** true if both types have the same fields; otherwise the fields that only one of them has. */
type Same<A, B> = [keyof A, keyof B] extends [keyof B, keyof A]
  ? true
  : Exclude<keyof A, keyof B> | Exclude<keyof B, keyof A>
type Spec = ReturnType<typeof parseWorkerSpec>
type Saved = Of<typeof workersFile>

const same: Readonly<Record<string, true>> = {
  user: true satisfies Same<User, SavedSession['user']>,
  settings: true satisfies Same<Settings, SavedSession['settings']>,
  sampling: true satisfies Same<Sampling, Of<typeof sampling>>,
  message: true satisfies Same<ChatMessage & { stopped?: true }, Of<typeof turn>>,
  class: true satisfies Same<WorkerClass, Of<typeof workerClass>>,
  worker: true satisfies Same<WorkerRecord, Saved['workers'][number]>,
  spec: true satisfies Same<WorkerSpec, Spec>,
  spawn: true satisfies Same<SpawnSpec, Omit<Spec, 'host' | 'config' | 'orphan_ms'>>,
  upstream: true satisfies Same<Upstream, Spec['upstream']>,
  trial: true satisfies Same<TrialSpec, ReturnType<typeof parseTrialSpec>>,
}

t.test('a field that a server writes and no reader of api/ knows does not compile', async t => {
  t.ok(Object.values(same).every(is => is))
  // @ts-expect-error a record of status
  t.ok({ name: 'a', colour: 'red' } satisfies ServerAttributes)
  // @ts-expect-error server.json
  t.ok({ pid: 1, colour: 'red' } satisfies Written<Of<typeof serverFile>>)
  // @ts-expect-error join.json, and a field of another type
  t.ok({ pid: 'one' } satisfies Written<Of<typeof joinFile>>)
  // @ts-expect-error within another
  t.ok({ pid: 1, mounters: [{ pid: 1, colour: 'red' }] } satisfies Written<Of<typeof serverFile>>)
})

const whole = {
  name: 'large',
  model: 'm',
  type: 'code',
  slots: 2,
  context: 512,
  kv_type: 'f16',
  prefer: 3,
  memory: 1,
  cores: 0.5,
} satisfies Required<WorkerClass>

t.test('the spec of a worker and of a trial process is read completely, each part within its bounds', async t => {
  const initial = Object.fromEntries(Object.entries(settings).map(([key, { initial }]) => [key, initial]))
  const config = configOf(initial as never, whole)
  const spec = {
    id: 'a',
    boot: 'b',
    class: whole,
    hold: 'n',
    host_id: 'c',
    upstream: { address: 'unix!/run/join', token: 'llb_x', fingerprint: 'sha256:00' },
    secret: '0f'.repeat(32),
    host: 'alpha',
    config,
    orphan_ms: 60_000,
  } satisfies WorkerSpec
  const read = parseWorkerSpec(JSON.stringify(spec))
  t.strictSame(read, JSON.parse(JSON.stringify(spec)))
  t.strictSame(readConfig(read.config), JSON.parse(JSON.stringify(config)))
  for (const [part, why] of [
    [{ secret: 'x' }, /secret: expected 64 hex digits, not "x"/],
    [{ class: { ...whole, slots: 0 } }, /slots: expected a number from 1 to 256, not 0/],
    [{ upstream: {} }, /address: expected a string/],
    [{ orphan_ms: -1 }, /orphan_ms/],
    [{ config: 'x' }, /config: expected an object/],
  ] as const)
    t.throws(() => parseWorkerSpec(JSON.stringify({ ...spec, ...part })), { name: 'Unfit', message: why })
  t.throws(() => parseWorkerSpec(`"${'x'.repeat(2 ** 20)}"`), { message: /at most 1048576/ })
  t.throws(() => readConfig({ slots: 999 }), { message: /^slots: expected a whole number from 1 to 256, not 999$/ })
  t.throws(() => readConfig({ colour: 1 }), { message: /^colour: unknown setting$/ })

  const trial: TrialSpec = { path: '/m.gguf', gpu: false, kvType: 'f16', threads: 2, context: 2048 }
  t.strictSame(parseTrialSpec(JSON.stringify(trial)), trial)
  t.throws(() => parseTrialSpec(JSON.stringify({ ...trial, gpu: 'magic' })), { name: 'Unfit' })
  t.strictSame(workersFile({ config: {}, asked: 1, workers: [] }, 'f').workers, [])
  t.strictSame(workerClass(whole, 'class'), whole)
})
