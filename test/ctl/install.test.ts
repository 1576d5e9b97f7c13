/** Tests package.json and package-lock.json. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { checkout } from './fixture.js'

interface Entry {
  version?: string
  resolved?: string
  os?: string[]
  cpu?: string[]
  optional?: boolean
  optionalDependencies?: Record<string, string>
}

const read = (name: string) => JSON.parse(readFileSync(join(checkout, name), 'utf8'))
const lock: Record<string, Entry> = read('package-lock.json').packages
const engine = (name: string) => lock[`node_modules/@node-llama-cpp/${name}`]

t.test('the lock names no registry', async t => {
  t.same(
    Object.entries(lock).filter(([, entry]) => entry.resolved),
    [],
  )
})

t.test('the lock lists every optional build, so that npm ci accepts it on every platform', async t => {
  for (const [path, { optionalDependencies = {} }] of Object.entries(lock)) {
    for (const name of Object.keys(optionalDependencies)) {
      t.ok(lock[`${path}/node_modules/${name}`] ?? lock[`node_modules/${name}`], `${name}, of ${path || 'llambo'}`)
    }
  }
})

t.test('GPU builds are installed only on request, and ARM builds only on ARM', async t => {
  for (const name of ['linux-x64-cuda', 'linux-x64-cuda-ext', 'linux-x64-vulkan'])
    t.same(engine(name)?.os, ['none'], name)
  t.same(engine('linux-arm64')?.cpu, ['arm64'])
  t.same(engine('linux-armv7l')?.cpu, ['arm'])
  t.same(engine('linux-x64')?.cpu, ['x64'])
})

t.test('package.json and the lock agree', async t => {
  const { dependencies, devDependencies, optionalDependencies } = read('package.json')
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
    t.equal(lock[`node_modules/${name}`]?.version, version, `${name}; npm run lock writes it again`)
  }
})

t.test('the install scripts of dependencies are not run', async t => {
  const { allowScripts } = read('package.json')
  const scripts = Object.entries(lock).filter(([, entry]) => 'hasInstallScript' in entry)
  for (const [path] of scripts) t.equal(allowScripts[path.replace(/.*node_modules\//, '')], false, path)
})
