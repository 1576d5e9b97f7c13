/** Documents that comments cite are in the repository. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folders = ['fs', 'api', 'mnt', 'cluster', 'cli', 'top', 'limbot', 'dish', 'ctl', 'bench', 'test']
const files = folders.flatMap(folder =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(file => /\.(ts|mjs|sh|zsh|bash)$/.test(file))
    .map(file => `${folder}/${file}`),
)

/** The lines of a file that are comments. A comment behind code on the same line cites nothing by habit. */
const comments = (text: string) => text.split('\n').filter(line => /^\s*(\/\/|\/?\*|#)/.test(line))

/** Documents by name, as `docs/files.md` or, with an anchor, `docs/files.md#data`. A name in capitals stands for any. */
const cited = /(?<![\w$@])(?:[\w.-]+\/)*[\w.-]+\.md(?:#[\w-]+)?/g

/** The anchors of the headings of a document, as GitHub makes them. */
const anchors = (text: string) =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

t.test('every document that a comment cites exists, and so does its heading', async t => {
  let count = 0
  for (const file of files) {
    for (const line of comments(readFileSync(join(root, file), 'utf8'))) {
      for (const [citation] of line.matchAll(cited)) {
        const [name = '', anchor] = citation.split('#')
        if (/(^|\/)(?!README|CONTRIBUTING|SECURITY)[A-Z]+\.md$/.test(name)) continue
        const at = [join(root, name), join(root, dirname(file), name)].find(existsSync)
        t.ok(at, `${file} cites ${name}`)
        if (at && anchor) t.ok(anchors(readFileSync(at, 'utf8')).includes(anchor), `${file} cites ${citation}`)
        count++
      }
    }
  }
  t.ok(count > 30, `${count} citations`)
})
