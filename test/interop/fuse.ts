/** Tries ordinary programs on a mount: of diod, and of llambo's own tree. */

import { rmSync } from 'node:fs'
import { checkout, Home } from '../ctl/fixture.js'
import { lacks, type Use, uses } from './own.js'
import { bash, Lacking, matches, outcome, reporter, Stage, same } from './stage.js'
import type { Report, Suite } from './table.js'
import { tools } from './tools.js'

/** The environment of every program here, so that it behaves the same every time. */
const env = (stage: Stage) => ({
  PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: stage.make('home'),
  SRC: stage.path('src'),
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'a',
  GIT_AUTHOR_EMAIL: 'a@example.org',
  GIT_COMMITTER_NAME: 'a',
  GIT_COMMITTER_EMAIL: 'a@example.org',
  GIT_AUTHOR_DATE: '2001-02-03T04:05:06Z',
  GIT_COMMITTER_DATE: '2001-02-03T04:05:06Z',
  GIT_CONFIG_COUNT: '2',
  GIT_CONFIG_KEY_0: 'init.defaultBranch',
  GIT_CONFIG_VALUE_0: 'main',
  GIT_CONFIG_KEY_1: 'protocol.file.allow',
  GIT_CONFIG_VALUE_1: 'always',
  PYTHONDONTWRITEBYTECODE: '1',
})

/** The small tree that the tools copy from. */
const SRC = `mkdir -p "$SRC/dir/sub" && cd "$SRC"
printf "line one\\nline two\\nlast line\\n" > text
seq 44000 | head -c 200000 > big
: > empty
printf "# title\\nline\\n" > dir/a.md
printf "below\\n" > dir/sub/b
ln -s text link; ln -s nowhere dangling; ln -s dir/sub dirlink; ln text hard
printf "#!/bin/sh\\necho \\$0\\n" > run.sh; chmod 755 run.sh; chmod 640 big; chmod 444 dir/a.md; chmod 750 dir/sub
touch -d "2003-04-05 06:07:08.5" big text; touch -h -d 2002-01-02 link dangling; touch -d 2001-01-01 dir/sub/b dir/sub dir .`

/** Prints the content of a directory: kinds, modes, sizes, links, owners, times that were set, and the bytes. */
const STATE = `find . -mindepth 1 -path ./.git/hooks -prune -o ! -type d -printf "%P %y %m %s %n %l %U %G\\n" -o -mindepth 1 -printf "%P %y %m %U %G\\n" | grep -v "^[^ ]*[.]git/" | sort
find . -mindepth 1 ! -path "*.git*" ! -newermt 2005-01-01 -printf "%P %T@\\n" | sort
find . -type f ! -path "*.git*" -print0 | sort -z | xargs -0 -r sha256sum`

/** Runs a script in a new directory, and returns everything that can be observed. */
async function inside(stage: Stage, where: string, script: string): Promise<string> {
  const out = stage.make('out')
  const vars = { ...env(stage), OUT: out, WHERE: `${where}/work`, SCRIPT: script, STATE }
  const ran = await bash(
    'umask 022; mkdir "$WHERE" && cd "$WHERE" && (eval "$SCRIPT"); echo "exit $?"; cd "$WHERE" && (eval "$STATE"); cd / && rm -rf "$WHERE" "$OUT"',
    vars,
  )
  rmSync(out, { recursive: true, force: true })
  return outcome(ran).replaceAll(`${where}/work`, 'HERE')
}

async function ordinaryTools(stage: Stage, report: Report): Promise<void> {
  const made = await bash(SRC, env(stage))
  if (made.code !== 0) throw new Error(`the tree to copy from: ${outcome(made)}`)
  const tree = stage.make('there')
  const beside = stage.make('localfs')
  const mount = await stage.mount('mounted', `unix!${await stage.diod(tree)}`, tree)
  for (const [client, operation, script] of tools) {
    await reporter(
      report,
      `${client} on our mount of diod`,
      'FUSE',
    )(operation, async () => {
      const wanted = await inside(stage, beside, script)
      if (!wanted.startsWith('exit 0\n') || /command not found|syntax error/.test(wanted))
        throw new Error(`not even beside the mount: ${wanted.slice(0, 200)}`)
      const got = await inside(stage, mount, script)
      same(got, wanted)
    })
  }
  for (const use of lacks) {
    await tryAll(stage, report, [use], 'our mount of diod', { N: mount, TREE: tree })
    await bash(`rm -rf ${tree}/*`)
  }
}

/** Tries the uses of a table. Each has an empty directory of its own outside the mount. */
async function tryAll(stage: Stage, report: Report, table: readonly Use[], where: string, vars: NodeJS.ProcessEnv) {
  for (const [client, operation, script, wanted, note, lacking] of table)
    await reporter(
      report,
      `${client} on ${where}`,
      'FUSE',
    )(operation, async () => {
      const out = stage.make('out')
      const ran = await bash(script, { ...env(stage), ...vars, OUT: out, TERM: 'xterm' })
      rmSync(out, { recursive: true, force: true })
      matches(outcome(ran), wanted)
      if (lacking) throw new Lacking(note)
      return note
    })
}

/** llambo's own tree, mounted by `llamboctl up --mount`. */
async function ownTree(stage: Stage, report: Report): Promise<void> {
  const home = new Home(stage)
  const at = home.path('n')
  const up = home.start(['up', '--mount', at, '--listen', 'ws://127.0.0.1:0/9p'])
  await up.says(/mounted at/)
  const vars = { N: at, M: `${checkout}/models/llambo-tiny.gguf`, NODE: process.execPath }
  await tryAll(stage, report, uses, 'llambo’s own tree', vars)
}

export const fuse: Suite = {
  name: 'fuse',
  packages: [
    ...[
      'diod',
      'rsync',
      'git',
      'sqlite3',
      'vim',
      'less',
      'file',
      'perl',
      'python3',
      'patch',
      'make',
      'gcc',
      'libc6-dev',
    ],
    ...['cpio', 'zip', 'unzip', 'xz-utils', 'bzip2', 'binutils', 'bsdutils', 'nano', 'ed', 'busybox', 'xxd', 'attr'],
  ],
  async run(report) {
    for (const part of [ordinaryTools, ownTree]) {
      const stage = new Stage()
      try {
        await part(stage, report)
      } finally {
        await stage.end()
      }
    }
  },
}
