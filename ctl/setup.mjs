/**
 * The first step of `npm start`, `npm test` and `npm run gpu`: installs dependencies and builds where needed, and goes
 * on. It is plain JavaScript without dependencies, so that it runs in a fresh clone. All messages, npm's included, go
 * to standard error.
 */
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, 'node_modules')
const stamp = join(root, 'dist', '.built')

const say = line => process.stderr.write(`${line}\n`)

function stop(line, code = 1) {
  say(`llambo: ${line}`)
  process.exit(code)
}

/**
 * Runs a program and waits for its end.
 * @param out the descriptor for its standard output; standard error by default
 * @returns its exit code
 */
function run(command, args, { out = 2, cwd = root } = {}) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: ['ignore', out, 2] })
  if (error) stop(`cannot run ${command}: ${error.message}`)
  return status ?? 1
}

/** Runs npm: the one that runs this script, else the one on the path. */
function npm(args, options) {
  const cli = process.env.npm_execpath
  return cli?.endsWith('.js') ? run(process.execPath, [cli, ...args], options) : run('npm', args, options)
}

const program = path => join(modules, path)

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  stop(
    `Node ${process.versions.node} is too old: llambo needs 20.19 or later (https://nodejs.org, or your distribution's nodejs)`,
  )
}

/** Whether every package that is not optional is installed in the version of the lock. */
function installed() {
  try {
    const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
    const found = JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8')).packages
    return Object.entries(wanted).every(
      ([path, entry]) => path === '' || entry.optional || entry.devOptional || found[path]?.version === entry.version,
    )
  } catch {
    return false
  }
}

/** The GPU builds of the engine that `npm run gpu` has added; `npm ci` removes them. */
const gpuBuilds = () => Object.keys(GPU).filter(kind => existsSync(join(modules, '@node-llama-cpp', GPU[kind][0])))

function install() {
  if (installed()) return
  if (existsSync(modules) && lstatSync(modules).isSymbolicLink()) {
    return say(
      'llambo: node_modules is a link to packages whose versions differ from package-lock.json; using them as they are',
    )
  }
  const gpu = gpuBuilds()
  say('llambo: installing its packages (about 340 MB with the tools to build and test it; a minute or so) …')
  // no package that we use needs its install script here: the binaries are in the packages
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  if (npm(args) !== 0) stop('npm ci failed (see above); without a network it needs a filled npm cache')
  for (const kind of gpu) addGpu(kind)
}

/** Every file under `directory` whose name has one of the endings. Links are not followed. */
function* files(directory, ...ends) {
  if (!existsSync(directory)) return
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) yield* files(path, ...ends)
    else if (ends.some(end => entry.name.endsWith(end))) yield path
  }
}

function sources() {
  const { include } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'))
  return include.flatMap(folder => [...files(join(root, folder), '.ts')])
}

/**
 * Runs tsc where a source is newer than the last build. Removes files built from sources that are gone; such a test
 * would still run.
 */
function build() {
  const built = existsSync(stamp) ? statSync(stamp).mtimeMs : 0
  const inputs = [...sources(), join(root, 'tsconfig.json'), join(root, 'package-lock.json')]
  const orphans = [...files(join(root, 'dist'), '.js', '.js.map')].filter(
    path => !existsSync(path.replace(join(root, 'dist'), root).replace(/\.js(\.map)?$/, '.ts')),
  )
  for (const path of orphans) rmSync(path)
  if (inputs.every(path => statSync(path).mtimeMs < built)) return
  say('llambo: building …')
  const started = new Date()
  if (run(process.execPath, [program('typescript/bin/tsc')], { out: 2 }) !== 0) stop('the build failed (see above)')
  writeFileSync(stamp, started.toISOString())
}

/** The packages of the engine for each kind of GPU. */
const GPU = { cuda: ['linux-x64-cuda', 'linux-x64-cuda-ext'], vulkan: ['linux-x64-vulkan'] }

const detectGpu = () =>
  existsSync('/proc/driver/nvidia/version') || existsSync('/dev/nvidiactl') || existsSync('/dev/dxg')
    ? 'cuda'
    : 'vulkan'

/**
 * Adds a GPU build of the engine beside the CPU build. package.json excludes these packages with overrides, because
 * most machines cannot use their 610 MB and npm cannot ask the hardware; so they are installed into a separate folder
 * and moved.
 */
function addGpu(kind) {
  const { version } = JSON.parse(readFileSync(program('node-llama-cpp/package.json'), 'utf8'))
  const folder = mkdtempSync(join(modules, '.gpu-'))
  try {
    say(`llambo: adding the engine's ${kind} build (${kind === 'cuda' ? '540' : '71'} MB) …`)
    writeFileSync(join(folder, 'package.json'), '{"private":true}')
    const packages = GPU[kind].map(name => `@node-llama-cpp/${name}@${version}`)
    const args = [
      'install',
      '--prefix',
      folder,
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      ...packages,
    ]
    if (npm(args, { cwd: folder }) !== 0) stop(`the ${kind} build could not be installed (see above)`)
    for (const name of GPU[kind]) {
      const place = join(modules, '@node-llama-cpp', name)
      rmSync(place, { recursive: true, force: true })
      renameSync(join(folder, 'node_modules', '@node-llama-cpp', name), place)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function gpu([kind = detectGpu()]) {
  if (!GPU[kind]) stop(`no GPU build "${kind}"; builds: ${Object.keys(GPU).join(' ')}`, 2)
  if (process.platform !== 'linux' || process.arch !== 'x64')
    stop(`the GPU builds are for Linux on x64; this is ${process.platform} on ${process.arch}`)
  addGpu(kind)
  say(`llambo: added. Servers started from now on use it; to check: llamboctl doctor`)
}

/** Runs lint, then the tests, and exits at the first that fails. The types were checked by the build. */
function test(args) {
  const suite = 'dist/test/suite.js'
  const tap = program('tap/dist/esm/run.mjs')
  // tap's own program shows progress to a person, and needs a home directory; programs read TAP, which the suite writes
  // itself
  const watched = process.stdout.isTTY || args.some(arg => arg.startsWith('-'))
  // the suite has a time limit for each of its files
  if (!watched || !args.length) process.env.TAP_TIMEOUT = '0'
  const tests = args.length ? args : ['--timeout=0', suite]
  const steps = [
    [program('@biomejs/biome/bin/biome'), 'check'],
    watched ? [tap, ...tests] : ['--import=./test/plain-children.mjs', suite, ...args],
  ]
  for (const step of steps) {
    const code = run(process.execPath, step, { out: 1 })
    if (code !== 0) process.exit(code)
  }
}

const [what, ...args] = process.argv.slice(2)
const usage = 'usage: node ctl/setup.mjs start|test|gpu'
checkNode()
install()
if (what === 'gpu') gpu(args)
else {
  build()
  if (what === 'test') test(args)
  else if (what === 'start') await (await import('../dist/ctl/start.js')).start(args)
  else stop(what === undefined ? `missing argument; ${usage}` : `unexpected argument "${what}"; ${usage}`, 2)
}
