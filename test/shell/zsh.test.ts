import t from 'tap'
import { noTerminal } from '../terminal.js'
import { clusterHome, FakeModel, missing, zsh } from './fixture.js'

const skip = { skip: noTerminal || missing('zsh', '--version') }

t.test('a failed command', skip, async t => {
  const model = await new FakeModel().open(t)
  model.says = ({ user }) =>
    user.includes('gti') ? { cause: 'gti is git, misspelt', command: 'echo git status' } : undefined
  const home = await clusterHome(t, model)
  const terminal = await zsh(t, home)
  await terminal.enter('gti status')
  const screen = await terminal.screen(/llambo: gti/)
  t.comment(screen)
  await terminal.press('M-e')
  t.comment(await terminal.screen(/% echo git status$/))
  t.comment(JSON.stringify(model.asked))
})
