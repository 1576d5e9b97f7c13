/** Tests `llamboctl pull` with a local web server. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { checkout, Home } from './fixture.js'

const model = readFileSync(join(checkout, 'models', 'llambo-tiny.gguf'))

/** Starts a web server with these files that supports ranges, as servers of models do. @returns its URL */
async function host(t: { teardown(fn: () => unknown): unknown }, files: Record<string, Buffer>): Promise<string> {
  const server = createServer((request, response) => {
    const file = files[new URL(request.url ?? '/', 'http://x').pathname]
    if (!file) return response.writeHead(404).end()
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
    const part = from === undefined ? file : file.subarray(Number(from), to ? Number(to) + 1 : undefined)
    response.writeHead(from === undefined ? 200 : 206, {
      'Content-Length': part.length,
      'Accept-Ranges': 'bytes',
      ...(from !== undefined && { 'Content-Range': `bytes ${from}-${Number(from) + part.length - 1}/${file.length}` }),
    })
    response.end(request.method === 'HEAD' ? undefined : part)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('pull downloads a model into the store, where a running server sees it', async t => {
  const home = new Home(t)
  const url = await host(t, { '/mine.gguf': model })
  await home.up()
  const { code, stdout, stderr } = await home.ctl('pull', `${url}/mine.gguf`)
  t.equal(stderr, '')
  t.equal(code, 0)
  const name = stdout.trim()
  t.match(name, /mine$/)
  t.ok(readFileSync(home.path('.local/share/llambo/models', `${name}.gguf`)).equals(model))
  t.match((await home.ctl('models')).stdout, new RegExp(`^${name}\t${model.length}\t`, 'm'))
  t.match((await home.ctl('pull', `${url}/mine.gguf`)).stderr, /already exists/)
})

t.test('a Hugging Face name is downloaded from there', async t => {
  const home = new Home(t)
  const HF_ENDPOINT = await host(t, { '/user/small/resolve/main/tiny.gguf': model })
  const { code, stdout } = await home.start(['pull', 'user/small/tiny.gguf'], { HF_ENDPOINT }).ended
  t.equal(code, 0)
  t.ok(readFileSync(home.path('.local/share/llambo/models', `${stdout.trim()}.gguf`)).equals(model))
})

t.test('a file that the host does not have is reported at once', async t => {
  const home = new Home(t)
  const url = await host(t, {})
  const { code, stderr } = await home.ctl('pull', `${url}/none.gguf`)
  t.equal(code, 1)
  t.match(stderr, /^llamboctl: pull http\S+none\.gguf: [^\n]+\n$/)
})

t.test('a file whose name a server would ignore is refused before the download', async t => {
  const home = new Home(t)
  const url = await host(t, { '/download': model, '/.hidden.gguf': model })
  for (const name of ['download', '.hidden.gguf']) {
    const { code, stderr, stdout } = await home.ctl('pull', `${url}/${name}`)
    t.equal(code, 1)
    t.equal(stdout, '')
    t.ok(stderr.includes(`the file is called ${name} there`), stderr)
    t.match(stderr, /must end in \.gguf .*llamboctl cp FILE \/n\/llambo\/models\/NAME\.gguf\n$/)
  }
  t.same(
    readdirSync(home.path('.local/share/llambo/models')).filter(name => name !== '.pull'),
    [],
  )
})

t.test('a file that is not a model is deleted and reported', async t => {
  const home = new Home(t)
  const url = await host(t, { '/bad.gguf': model.subarray(0, 60) })
  const { code, stderr, stdout } = await home.ctl('pull', `${url}/bad.gguf`)
  t.equal(code, 1)
  t.equal(stdout, '')
  t.match(stderr, /^llamboctl: pull http\S+bad\.gguf: .+\n$/)
  t.same(
    readdirSync(home.path('.local/share/llambo/models')).filter(name => name.endsWith('.gguf')),
    [],
  )
})

t.test('an unreachable host is reported on one line', async t => {
  const home = new Home(t)
  const { code, stderr, stdout } = await home.ctl('pull', 'http://127.0.0.1:1/x.gguf')
  t.equal(code, 1)
  t.equal(stdout, '')
  t.match(stderr, /^llamboctl: pull http:\/\/127\.0\.0\.1:1\/x\.gguf: cannot reach http:\/\/127\.0\.0\.1:1: [^\n]+\n$/)
  t.notOk(existsSync(home.path('.local/share/llambo/models/x.gguf')))
})
