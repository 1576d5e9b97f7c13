import { dish } from '../../dish/command.js'
import { limbot } from '../../limbot/command.js'
import type { Command } from '../common/command.js'

const json = ['--json', 'print JSON'] as const

/** How a server is started: the options of `up`, and of `npm start`. */
export const serverOptions: NonNullable<Command['options']> = [
  ['--model <name>', 'model to load: a name in models/, or a path; none: wait for load in ctl'],
  ['--engine <kind>', 'what makes the text; its settings are in the configuration file', ['llama', 'openai', 'echo']],
  ['--workers <n>', 'worker processes to start here'],
  ['--slots <n>', 'answers each makes at once'],
  ['--mount <dir>', 'where to mount (default: /n/llambo, or ~/n/llambo)'],
  ['--no-mount', 'do not mount'],
  ['--listen <address...>', 'listen there, too: unix!PATH, tcp!HOST!PORT, ws://HOST:PORT/9p, wss://…'],
  ['--auth <what>', 'what listeners besides the unix socket ask for; none on loopback only', ['token', 'none']],
  ['--join <address>', 'join that cluster as one worker of it: wss://HOST:PORT/join; the token is in $LLAMBO_TOKEN'],
  ['--fingerprint <sha256>', 'of the certificate that cluster must have'],
  ['--config <file>', 'configuration file'],
]

type Kinds = NonNullable<Command['takes']>

/** A word of the cluster's `ctl` that is a command here as well: all of them are one writer. */
const control = (name: string, args: string, takes: Kinds, summary: string): Command => ({
  name,
  args,
  takes,
  summary,
  load: async () => ({ run: (await import('./control.js')).control(name) }),
})

const kinds: Kinds = ['worker', 'class', 'model', 'strategy']

/** llamboctl and its commands, in the order in which help shows them. */
export const llamboctl: Command = {
  name: 'llamboctl',
  summary: 'starts, stops and speaks to a llambo server: language models as files',
  commands: [
    {
      name: 'up',
      summary: 'start a server',
      options: [['-d, --detach', 'go on in the background; returns when it is ready'], ...serverOptions],
      load: () => import('./up.js'),
    },
    { name: 'down', summary: 'stop the server: unmounts, lets answers end, exits', load: () => import('./down.js') },
    {
      name: 'invite',
      summary: 'print the line that lets another machine join this server',
      options: [['--user <name>', 'whose machine it is: the name that its token stands for'], json],
      load: () => import('./invite.js'),
    },
    {
      name: 'join',
      args: '[address]',
      summary: 'lend this machine to a server on another one; without ADDRESS the one on the local network',
      options: [
        ['-d, --detach', 'go on in the background'],
        ['--fingerprint <sha256>', 'of the certificate that the server must have, as llamboctl invite prints it'],
        ...serverOptions.filter(([flags]) => /^--(model|engine|workers|slots|config) /.test(flags)),
      ],
      load: () => import('./join.js'),
    },
    {
      name: 'leave',
      summary: 'leave the server that this machine has joined: lets answers end, exits',
      load: () => import('./leave.js'),
    },
    limbot,
    { name: 'status', summary: 'what the server is doing', options: [json], load: () => import('./status.js') },
    {
      name: 'top',
      summary: 'the cluster on one screen: workers, tasks, events, as they change',
      options: [['--once', 'print it once and exit; so it is where standard output is no terminal'], json],
      load: () => import('../top/top.js'),
    },
    {
      name: 'logs',
      args: '[name]',
      takes: ['worker'],
      summary: 'what has happened: events of the cluster, or of a worker or host',
      options: [['-f, --follow', 'go on with what happens from now on']],
      load: () => import('./logs.js'),
    },
    control('load', '<model> [worker]', ['model', 'worker'], 'load a model on one worker, else on all that have it'),
    control('unload', '<model> [worker]', ['model', 'worker'], 'free a model once its exchanges are done'),
    control('drain', '<worker>', ['worker'], 'give a worker no new prompts'),
    control('resume', '<worker>', ['worker'], 'give it some again'),
    control('shutdown', '<worker>', ['worker'], 'drain a worker and end it'),
    control('spawn', '<class> [n] [host] [name]', ['class'], 'start N workers of a class, on a host: host NAME'),
    control('scale', '[words...]', [], 'bounds and steps of scaling: [min N] [max N] …; without words how they are'),
    control('autoscale', '[state]', [], 'add and take away workers with the load: on or off; without a word whether'),
    control('strategy', '[name]', ['strategy'], 'how a worker is chosen; without a name how it is now'),
    {
      name: 'ls',
      args: '[path...]',
      summary: 'list files',
      options: [['-l, --long', 'mode, owner, size and time as well']],
      load: () => import('./ls.js'),
    },
    {
      name: 'cat',
      alias: 'read',
      args: '<path...>',
      summary: 'print files as they come',
      load: () => import('./cat.js'),
    },
    {
      name: 'write',
      args: '<path> [text...]',
      summary: 'write TEXT and a newline, else standard input, to a file',
      options: [['-a, --append', 'keep what is there']],
      load: () => import('./write.js'),
    },
    {
      name: 'rdwr',
      args: '<path> [text...]',
      summary: 'write, then read the answer on the same open file',
      load: () => import('./rdwr.js'),
    },
    { name: 'stat', args: '<path...>', summary: 'what is known of files', load: () => import('./stat.js') },
    { name: 'rm', args: '<path...>', summary: 'remove files', load: () => import('./rm.js') },
    {
      name: 'cp',
      args: '<path...>',
      summary: 'copy files into the last PATH; those under /n/llambo are the server’s',
      load: () => import('./cp.js'),
    },
    {
      name: 'mount',
      args: '[dir]',
      summary: 'mount the server at a directory',
      options: [
        ['--allow-other', 'let other users of this machine in; each sees only what is theirs'],
        ['--driver <name>', 'how to speak FUSE', ['llambo', 'fuse-native']],
      ],
      load: () => import('./mount.js'),
    },
    { name: 'umount', args: '[dir]', summary: 'unmount it', load: () => import('./umount.js') },
    dish,
    { name: 'models', summary: 'list the models there are', options: [json], load: () => import('./models.js') },
    {
      name: 'pull',
      args: '<name>',
      summary: 'download a model: hf:USER/MODEL:QUANT, or the URL of a .gguf file',
      load: () => import('./pull.js'),
    },
    {
      name: 'doctor',
      summary: 'what this machine has and lacks, and what to do about it',
      options: [json],
      load: () => import('./doctor.js'),
    },
    {
      name: 'completion',
      args: '[shell]',
      summary: 'print a script that completes commands: bash, zsh or fish',
      options: [['--values <kind>', 'print what there is of a kind: the scripts ask', kinds]],
      load: () => import('./completion.js'),
    },
    {
      name: 'shell',
      summary: 'the sentinel: says beside a failed command what went wrong',
      commands: [
        {
          name: 'zsh',
          summary: 'print the script for zsh: eval "$(llamboctl shell zsh)"',
          load: async () => ({ run: (await import('./shell.js')).shell('zsh') }),
        },
        {
          name: 'bash',
          summary: 'print the script for bash: eval "$(llamboctl shell bash)"',
          load: async () => ({ run: (await import('./shell.js')).shell('bash') }),
        },
        {
          name: 'sent',
          summary: 'print what was last sent to the cluster for a shell, and what was taken out before',
          load: () => import('./sent.js'),
        },
        {
          name: 'agent',
          summary: 'the process that shells ask; the scripts start it',
          options: [['--idle <s>', 'seconds without a question after which it ends']],
          load: () => import('./agent.js'),
        },
      ],
    },
    {
      name: 'config',
      summary: 'the configuration',
      commands: [
        {
          name: 'show',
          summary: 'print the settings in force',
          options: [
            ['--origin', 'and where each comes from'],
            ['--config <file>', 'configuration file'],
          ],
          load: () => import('./config.js'),
        },
      ],
    },
  ],
}

/** All programs, as tables: those of the commands that are programs of their own as well come after llamboctl. */
export const programs: readonly Command[] = [
  llamboctl,
  ...(llamboctl.commands ?? []).filter(({ name }) => name === 'limbot' || name === 'dish'),
]
