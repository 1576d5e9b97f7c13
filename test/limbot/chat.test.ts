/** limbot's chat in a real terminal, with a server and a scripted model behind it. */
import { readdirSync, readFileSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Home } from '../ctl/fixture.js'
import { noTerminal, type Terminal } from '../terminal.js'
import { chat, homeOf, Model } from './fixture.js'

const lines = (count: number) => Array.from({ length: count }, (_, i) => `line ${i + 1}\n`)

/** An answer that begins and does not end before the request is closed. */
async function* forEver(closed: Promise<void>): AsyncGenerator<string> {
  yield 'it begins '
  await closed
}

/** The model's answer to each message; it answers other messages by repeating them. */
const answers: Readonly<Record<string, string | string[]>> = {
  'What is AI?': ['AI is **artificial', ' intelligence**: `think()`.\n\n- one\n- two\n'],
  'long answer': lines(10_000),
  steer: 'red \x1b[31mtext\x1b]0;title\x07 \x9b2J and \u202ebidi',
  wide: '漢字 e\u0301 👩‍👩‍👧 '.repeat(12),
}

t.test('limbot, the chat', { skip: noTerminal }, async t => {
  const model = await Model.start(t, (last, { closed }) => {
    if (last === 'go on') return forEver(closed)
    const said = answers[last]
    if (Array.isArray(said))
      return (async function* () {
        yield* said
      })()
    return said ?? `you said ${last.replaceAll('\n', ' / ')}`
  })
  const home = homeOf(t, model)
  await home.up('--slots', '2')
  const state = (name: string) => home.path('.local/state/llambo', name)
  const kept = () => home.path('.local/share/llambo/sessions')

  await t.test('a conversation is shown, saved and resumed', async t => {
    const terminal = await chat(t, home)
    await terminal.enter('What is AI?')
    const screen = await terminal.screen(/^worker-0001 · m · .*tok.*$/m)
    t.match(screen, /^You: What is AI\?\nAI is artificial intelligence: think\(\)\.\n\n• one\n• two\nworker-0001/m)
    await terminal.screen(/tok.*\n\nYou:$/)
    await terminal.enter('second')
    await terminal.screen(/you said second/)
    t.match(model.given, ['user: What is AI?', /^assistant: AI is \*\*artificial intelligence\*\*/, 'user: second'])
    await terminal.press('C-d')
    t.equal(await terminal.ended(), 0)

    t.equal(readFileSync(state('limbot_history'), 'utf8'), '"What is AI?"\n"second"\n')
    t.equal((await home.ctl('cat', 'usr/llambo/limbot-history.txt')).stdout, 'What is AI?\nsecond\n')
    const [file] = readdirSync(kept())
    t.equal(statSync(join(kept(), file!)).mode & 0o777, 0o600)
    const [head, ...messages] = readFileSync(join(kept(), file!), 'utf8')
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    t.match(head, { limbot: 1, title: 'What is AI?' })
    t.same(
      messages.map(({ role }) => role),
      ['user', 'assistant', 'user', 'assistant'],
    )
    t.same((await home.ctl('ls', 'session')).stdout, 'clone\n', 'the session is closed')

    const again = await chat(t, home, ['-c'])
    await again.screen(/“What is AI\?”, 4 messages/)
    await again.enter('third')
    await again.screen(/you said third/)
    t.equal(model.given.length, 5)
    await again.press('Up', 'Up')
    await again.screen(/^You: second$/m)
  })

  await t.test('Ctrl-C at the prompt clears the line, then shows a hint, then leaves', async t => {
    const terminal = await chat(t, home)
    await terminal.type('half a')
    await terminal.press('C-c')
    await terminal.screen(/^You: half a\^C\nYou:$/m)
    await terminal.press('C-c')
    await terminal.screen(/^You:\npress Ctrl-C again or Ctrl-D to quit$/m)
    await terminal.press('C-c')
    t.equal(await terminal.ended(), 0)
  })

  await t.test('Ctrl-C ends an answer, at the model as well, and the text so far is saved', async t => {
    const terminal = await chat(t, home)
    await terminal.enter('go on')
    await terminal.screen(/it begins[\s\S]*Ctrl-C to stop/)
    await terminal.type('typed ')
    await terminal.press('C-c')
    await terminal.screen(/^it begins\n\[stopped\]\n\nYou: typed$/m)
    await model.asked.at(-1)!.closed
    await terminal.enter('meanwhile')
    await terminal.screen(/you said typed meanwhile/)
    t.same(model.given, ['user: go on', 'assistant: it begins ', 'user: typed meanwhile'])
  })

  await t.test('Ctrl-C cancels a message that waits in the server’s queue', async t => {
    const [one, two, third] = [await chat(t, home), await chat(t, home), await chat(t, home)]
    for (const terminal of [one, two]) {
      await terminal.enter('go on')
      await terminal.screen(/it begins/)
    }
    await third.enter('never asked')
    await third.screen(/^queued \(next\) · \d+ s · Ctrl-C to stop$/m)
    const before = model.asked.length
    await third.press('C-c')
    await third.screen(/^You: never asked\n\[stopped\]\n\nYou:$/m)
    t.match((await home.ctl('cat', 'status')).stdout, / active=2 queue=0 /)
    t.equal(readdirSync(kept()).length, 4, 'a conversation without messages is not saved')
    // an entry that is typed during an answer waits until the answer ends
    await one.enter('after it')
    await one.screen(/^next: after it$/m)
    await two.press('C-c')
    await two.screen(/\[stopped\]/)
    await two.press('C-d')
    t.equal(await two.ended(), 0)
    t.equal(model.asked.length, before)
    await one.press('C-c')
    await one.screen(/\[stopped\]\n\nYou: after it$/)
  })

  await t.test('Ctrl-C puts the entries that wait back into the editor, before what is being typed', async t => {
    const terminal = await chat(t, home)
    await terminal.enter('go on')
    await terminal.screen(/it begins/)
    for (const entry of ['first that waits', '/model']) await terminal.enter(entry)
    await terminal.type('half a line')
    await terminal.screen(/^next: first that waits · \/model\nYou: half a line$/m)
    const before = model.asked.length
    await terminal.press('C-c')
    await terminal.screen(/^\[stopped\]\n\nYou: first that waits\n\W*\/model\n\W*half a line$/m)
    t.equal(model.asked.length, before)
  })

  await t.test('a paste of several lines is one message, and so are lines between """', async t => {
    const terminal = await chat(t, home)
    await terminal.paste('one\n/two\n\x1b[31mthree')
    await terminal.press('Enter')
    await terminal.screen(/you said one \/ \/two \/ ␛\[31mthree/)
    for (const line of ['"""', 'four', 'five', '"""']) await terminal.enter(line)
    await terminal.screen(/you said four \/ five/)
  })

  await t.test('an answer of 10,000 lines is complete, even if the user types and resizes the terminal', async t => {
    const terminal = await chat(t, home, ['--max-tokens', '20000'], { rows: 12 })
    await terminal.enter('long answer')
    await terminal.type('typed meanwhile')
    await terminal.screen(/You: typed meanwhile$/)
    await terminal.resize(60, 20)
    await terminal.screen(/^worker-0001/m)
    await terminal.resize(100, 12)
    await terminal.screen(/^worker-0001 · m · 10000 tok[^\n]*\n\nYou: typed meanwhile$/m)
    const all = await terminal.shown(true)
    t.same(
      all.match(/^line \d+$/gm),
      lines(10_000).map(line => line.trim()),
    )
    t.notMatch(all.slice(all.indexOf('line 2\n')), /Ctrl-C to stop/, 'no status row is left behind')
  })

  await t.test(
    'escape sequences from a model do not reach the terminal, and wide characters are placed correctly',
    async t => {
      const terminal = await chat(t, home, [], { columns: 40 })
      await terminal.enter('steer')
      await terminal.screen(/^red ␛\[31mtext␛\]0;title␇ ␛\[2J and \ufffdbidi$/m)
      await terminal.enter('wide')
      const screen = await terminal.screen(/漢[\s\S]*worker/)
      t.equal(screen.match(/漢字 e\u0301/g)!.length, 12)
    },
  )

  await t.test('a mistake gives a message, and commands and attachments work', async t => {
    home.file('binary', Buffer.of(0, 1, 2))
    home.file('note.txt', 'from a file\n')
    home.file('.config/llambo/roles/pirate.md', '---\ntemperature: 0.25\n---\nTalk like a pirate.\n')
    const terminal = await chat(t, home)
    const said = async (entry: string, what: RegExp) => {
      await terminal.press('C-u')
      await terminal.enter(entry)
      await terminal.screen(what)
    }
    await said('/contxt', /^\/contxt: unknown command \(did you mean \/context\?\)$/m)
    await said('/hepl', /^\/hepl: unknown command \(did you mean \/help\?\)$/m)
    await said('/Undo', /^\/undo: the conversation has no messages yet$/m)
    await said('/clear all', /^\/clear: unexpected argument "all"$/m)
    await said('/rename', /^\/rename: the conversation has no messages yet$/m)
    await said('/attach', /^\/attach: missing argument; usage: \/attach FILE$/m)
    await said('/set', /^temperature +– +0 \(always the most likely token\) to 5$/m)
    await said('/model n', /^no model "n" \(did you mean m\?\)$/m)
    await said('/help', /^ {2}Ctrl-C +stop the answer; clear the line; twice: leave$/m)
    t.notMatch(await terminal.shown(true), /[^\n]{80}/, 'help is wrapped at spaces, within the columns')
    await said('/role pirat', /^no role "pirat" \(did you mean pirate\?\)$/m)
    await said('/set temperature hot', /^temperature: expected a number from 0 to 5, not "hot"$/m)
    await said('/load nothing', /^no conversation "nothing"; limbot --list \(or \/sessions\) lists them$/m)
    await said('look at @missing', /^@missing: file does not exist/m)
    await terminal.screen(/^You: look at @missing$/m)
    await said(`look at @${home.dir}`, /: is a directory; attach the files in it/m)
    await said('look at @binary', /^@binary: not text; only text can be attached \(for a plain @, write \\@\)$/m)
    await said('/usr/bin is a path', /^you said \/usr\/bin is a path$/m)
    await said('//undo is a word', /^you said \/undo is a word$/m)
    await said('/role pirate', /^the role is pirate$/m)
    await said('see @note.txt', /^attached note\.txt \(12 B\)\nyou said see @note\.txt[^\n]*\nworker/m)
    t.equal(model.given.at(-1), 'user: see @note.txt\n\nnote.txt:\n```\nfrom a file\n```')
    t.equal(model.given[0], 'system: Talk like a pirate.')
    t.equal(model.asked.at(-1)!.temperature, 0.25)
    await said('/retry', /you said see @note\.txt[\s\S]*you said see @note\.txt/)
    await said('/edit', /^You: see @note\.txt$/m)
    await said('/attach note.txt', /^note\.txt \(12 B\) will be sent/m)
    await said('look', /you said look/)
    t.equal(model.given.at(-1), 'user: look\n\nnote.txt:\n```\nfrom a file\n```')
    await said('/edit', /^You: look @note\.txt$/m)
    await terminal.press('Enter')
    await terminal.screen(/you said look @note/)
    await said('/undo', /^2 messages taken back$/m)
    await said('one', /^you said one$/m)
    t.same(model.given.slice(5), ['user: one'])
    await said('/retry', /you said one[\s\S]*you said one/)
    t.same(model.given.slice(5), ['user: one'])
    await terminal.type('/ed')
    await terminal.press('Tab', 'Enter')
    await terminal.screen(/^You: one$/m)
  })

  await t.test('conversations can be listed, renamed, forked, saved to a file and loaded', async t => {
    const terminal = await chat(t, home)
    const said = async (entry: string, what: RegExp) => {
      await terminal.enter(entry)
      return terminal.screen(what)
    }
    await said('alpha one', /you said alpha one$/m)
    await said('/rename Alpha', /^You: \/rename Alpha\nYou:$/m)
    await said('/fork', /^continuing as \d+/m)
    await said('alpha two', /you said alpha two$/m)
    await said('/sessions', /^\* \d{8}-\d{6}-\w{4} .* 4 {2}Alpha \(fork\)\n {2}\S+ .* 2 {2}Alpha$/m)
    await said('/load Alpha', /^“Alpha”, 2 messages$/m)
    await said('alpha three', /you said alpha three$/m)
    t.same(model.given, ['user: alpha one', 'assistant: you said alpha one', 'user: alpha three'])
    await said('/save out.md', /^written to out\.md$/m)
    t.match(
      readFileSync(home.path('out.md'), 'utf8'),
      /^# Alpha\n\n## You\n\nalpha one\n\n## Llambo\n\nyou said alpha one\n/,
    )
    await said('/save out.md', /^out\.md: file exists; give another name$/m)
    await said('/save nowhere/out.md', /^nowhere\/out\.md: no such file or directory$/m)
    await said('/context', /^4 messages\n11 tokens$/m)
    await said('/tokens', /^all answers \(3\): 30 tokens read, 3 generated$/m)
    for (const number of (await home.ctl('ls', 'session')).stdout.match(/\d+/g)!)
      await home.ctl('rm', `session/${number}`)
    await said('the session is gone', /you said the session is gone$/m)
    t.equal(model.given.length, 5, 'a new session has its history')
    await said('/node worker-0001', /^worker-0001 answers from now on$/m)
    await said('alpha four', /you said alpha four$/m)
    t.equal(model.given.length, 7)
    await said('/nohistory', /^nothing is saved from now on$/m)
    const all = readdirSync(kept()).length
    await said('/clear', /^started a new conversation$/m)
    await said('a secret', /you said a secret$/m)
    t.same(model.given, ['user: a secret'])
    t.equal(readdirSync(kept()).length, all)
    t.notMatch(readFileSync(state('limbot_history'), 'utf8'), /secret/)
    await terminal.type('/s')
    await terminal.press('Tab')
    t.match(await terminal.screen(/^set +list the settings/m), /^sessions +list the saved conversations/m)
    await terminal.press('C-u')
    await terminal.type('/no')
    await terminal.press('Tab')
    // /nohistory is not offered, because nothing is kept already
    await terminal.screen(/^You: \/node$/m)
    await terminal.press('C-u')
    await said('/exit', /\/exit/)
    t.equal(await terminal.ended(), 0)
  })

  await t.test('settings chosen in a conversation are restored with it, and do not affect another', async t => {
    home.file('.config/llambo/roles/cook.md', 'Talk like a cook.\n')
    const terminal = await chat(t, home, ['-r', 'cook'])
    const said = async (where: Terminal, entry: string, what: RegExp) => {
      await where.enter(entry)
      return where.screen(what)
    }
    await said(terminal, 'first of it', /you said first of it$/m)
    t.equal(model.given[0], 'system: Talk like a cook.')
    await said(terminal, '/role off', /^no role$/m)
    await said(terminal, '/set temperature 0.25', /^temperature +0\.25$/m)
    await said(terminal, '/set seed 1', /^seed +1$/m)
    await said(terminal, '/set seed default', /^seed +–$/m)
    await said(terminal, '/set system Be kind.', /^system: Be kind\.$/m)
    await terminal.press('C-d')
    t.equal(await terminal.ended(), 0)

    const again = await chat(t, home, ['-c'])
    await again.screen(/“first of it”, 2 messages · system Be kind\. · temperature 0\.25$/m)
    await said(again, 'second of it', /you said second of it$/m)
    t.equal(model.given[0], 'system: Be kind.')
    t.equal(model.asked.at(-1)!.temperature, 0.25)
    await said(again, '/load Alpha', /^“Alpha”, \d+ messages$/m)
    await said(again, 'third', /you said third$/m)
    t.not(model.asked.at(-1)!.temperature, 0.25)
    t.match(model.given[0], /^user/)
  })

  await t.test('without colours Markdown is shown unchanged', async t => {
    const terminal = await chat(t, home, [], { env: { NO_COLOR: '1' } })
    await terminal.enter('What is AI?')
    t.match(
      await terminal.screen(/tok.*\n\nYou:$/),
      /^AI is \*\*artificial intelligence\*\*: `think\(\)`\.\n\n- one\n- two\nworker/m,
    )
    t.notMatch(await terminal.shown(true, true), '\x1b')
  })

  await t.test('a dumb terminal gets plain lines, and Ctrl-C ends an answer there as well', async t => {
    const terminal = await chat(t, home, [], { env: { TERM: 'dumb' } })
    await terminal.enter('steer')
    await terminal.screen(/^red ␛\[31mtext[^\n]*\nworker[^\n]*\nYou:$/m)
    await terminal.enter('go on')
    await terminal.screen(/it begins/)
    await terminal.press('C-c')
    await terminal.screen(/\[stopped\]\nYou:$/m)
    await terminal.press('C-d')
    t.equal(await terminal.ended(), 0)
  })

  await t.test('a chat starts and warns if the history cannot be written or the configuration is invalid', async t => {
    const place = t.testdir({
      config: { llambo: { 'limbot.conf': 'stats: off\nmarkdwon: off\ntemperature: hot\n' } },
      state: { llambo: { limbot_history: {} } },
    })
    const terminal = await chat(t, home, [], {
      columns: 300,
      env: { XDG_CONFIG_HOME: join(place, 'config'), XDG_STATE_HOME: join(place, 'state'), LLAMBO_LIMBOT_TOP_P: '7' },
    })
    const screen = await terminal.screen(/^You:$/m)
    t.match(screen, /limbot\.conf:2: markdwon: unknown setting \(did you mean markdown\?\)/)
    t.match(screen, /limbot\.conf:3: temperature: expected a number from 0 to 5, not "hot"/)
    t.match(screen, /^LLAMBO_LIMBOT_TOP_P: top_p: expected a number from 0 to 1, not "7"$/m)
    await terminal.enter('still here')
    t.match(await terminal.screen(/you said still here\n\nYou:$/), /^history is not saved: .*limbot_history/m)
  })

  await t.test('a conversation that another limbot has continued is saved under a new id', async (t: Test) => {
    const terminal = await chat(t, home)
    await terminal.enter('first')
    await terminal.screen(/you said first\n.*tok.*\n\nYou:$/)
    const before = readdirSync(kept())
    const file = before.find(name => readFileSync(join(kept(), name), 'utf8').includes('you said first"'))
    // The mtime is set explicitly: a write in the same tick of the kernel's coarse clock would not change it.
    utimesSync(join(kept(), file!), new Date(), new Date(Date.now() + 1000))
    await terminal.enter('second')
    await terminal.screen(/another limbot has continued this conversation; yours is\snow\s\d/)
    t.notMatch(readFileSync(join(kept(), file!), 'utf8'), /second/)
    t.equal(readdirSync(kept()).length, before.length + 1)
  })
})

t.test('without a server a command shows that it waits, and Ctrl-C ends it', { skip: noTerminal }, async t => {
  const terminal = await chat(t, new Home(t), [], { columns: 200 })
  await terminal.screen(/^no server answers at .*; start one with: llamboctl up -d; waiting for the server$/m)
  await terminal.enter('/model')
  await terminal.screen(/^waiting · Ctrl-C to stop$/m)
  await terminal.press('C-c')
  await terminal.screen(/^You: \/model\ninterrupted\nYou:$/m)
  await terminal.press('C-d')
  t.equal(await terminal.ended(), 0)
})
