/** The table of all commands of llamboctl, with their arguments, options and help. */

import type { Command } from '../../cli/command.js'
import { dish } from '../../dish/command.js'
import { limbot } from '../../limbot/command.js'

const json = ['--json', 'print JSON'] as const

/** The options that say how to start a server: those of `up` and `npm start`. */
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

/** A word of the cluster's `ctl` that is also a command here. All of these share the code in control.ts. */
const control = (name: string, args: string, takes: Kinds, summary: string, example: string): Command => ({
  name,
  args,
  takes,
  summary,
  example: `llamboctl ${name} ${example}`,
  load: async () => ({ run: (await import('./control.js')).control(name) }),
})

/** Puts commands under one heading of the help. */
const group = (title: string, commands: readonly Command[]): Command[] =>
  commands.map(command => ({ ...command, group: `${title}:` }))

const kinds: Kinds = ['worker', 'class', 'model', 'strategy', 'shell']

const configOptions: NonNullable<Command['options']> = [
  ['--origin', 'and where each comes from'],
  ['--config <file>', 'configuration file'],
]

/** llamboctl and its commands, in the order in which help shows them. */
export const llamboctl: Command = {
  name: 'llamboctl',
  summary: 'starts, stops and speaks to a llambo server: language models as files',
  hints: {
    chat: 'to talk with a model: llamboctl limbot',
    create: 'a model is a .gguf file: llamboctl cp FILE /n/llambo/models/',
    kill: 'llamboctl down stops the server, and llamboctl shutdown WORKER one worker of it',
    ps: 'llamboctl models shows which models are loaded, and llamboctl top what runs',
    push: 'llamboctl cp FILE /n/llambo/models/ gives a server a model',
    show: 'llamboctl models --json shows what is known of each model',
    start: 'to start a server in the background: llamboctl up -d',
    stop: 'llamboctl down stops the server, and llamboctl unload MODEL frees a model',
  },
  commands: [
    ...group('Start and stop', [
      {
        name: 'up',
        aliases: ['serve'],
        summary: 'start a server',
        example: 'llamboctl up -d --model ./my-model.gguf',
        options: [['-d, --detach', 'go on in the background; returns when it is ready'], ...serverOptions],
        load: () => import('./up.js'),
      },
      {
        name: 'down',
        summary: 'stop the server: lets answers end, unmounts, exits',
        example: 'llamboctl down',
        options: [['--now', 'do not wait for the answers that are being made']],
        load: () => import('./down.js'),
      },
      {
        name: 'doctor',
        summary: 'what this machine has and lacks, and what to do about it',
        example: 'llamboctl doctor',
        options: [json],
        load: () => import('./doctor.js'),
      },
    ]),
    ...group('Use', [
      { ...limbot, example: 'llamboctl limbot "What is AI?"' },
      {
        name: 'run',
        args: '<model> [text...]',
        takes: ['model'],
        summary: 'talk with that model: limbot --model MODEL',
        example: 'llamboctl run llambo-tiny',
        load: () => import('./run.js'),
      },
      {
        name: 'rdwr',
        args: '<path> [text...]',
        summary: 'write, then read the answer on the same open file',
        example: 'llamboctl rdwr data "What is AI?"',
        load: () => import('./rdwr.js'),
      },
      {
        name: 'write',
        args: '<path> [text...]',
        summary: 'write TEXT and a newline, else standard input, to a file',
        example: 'llamboctl write ctl temperature 0.2',
        options: [['-a, --append', 'keep what is there']],
        load: () => import('./write.js'),
      },
      {
        name: 'cat',
        aliases: ['read'],
        args: '<path...>',
        summary: 'print files as they come',
        example: 'llamboctl cat events',
        load: () => import('./cat.js'),
      },
      {
        name: 'ls',
        args: '[path...]',
        summary: 'list files',
        example: 'llamboctl ls -l models',
        options: [['-l, --long', 'mode, owner, size and time as well']],
        load: () => import('./ls.js'),
      },
      {
        name: 'stat',
        args: '<path...>',
        summary: 'what is known of files',
        example: 'llamboctl stat data',
        load: () => import('./stat.js'),
      },
      {
        name: 'rm',
        args: '<path...>',
        summary: 'remove files',
        example: 'llamboctl rm models/my-model.gguf',
        load: () => import('./rm.js'),
      },
      {
        name: 'cp',
        args: '<path...>',
        summary: 'copy files into the last PATH; those under /n/llambo are the server’s',
        example: 'llamboctl cp my-model.gguf /n/llambo/models/',
        load: () => import('./cp.js'),
      },
      {
        name: 'mount',
        args: '[dir]',
        summary: 'mount the server at a directory',
        example: 'llamboctl mount ~/n/llambo',
        options: [
          ['--allow-other', 'let other users of this machine in; each sees only what is theirs'],
          ['--share-token', 'with --allow-other at an address that takes a token: everybody is the token’s owner'],
          ['--driver <name>', 'how to speak FUSE', ['llambo', 'fuse-native']],
        ],
        load: () => import('./mount.js'),
      },
      {
        name: 'umount',
        args: '[dir]',
        summary: 'unmount it',
        example: 'llamboctl umount ~/n/llambo',
        load: () => import('./umount.js'),
      },
    ]),
    ...group('Look', [
      {
        name: 'status',
        summary: 'what the server is doing',
        example: 'llamboctl status',
        options: [json],
        load: () => import('./status.js'),
      },
      {
        name: 'top',
        summary: 'the cluster on one screen: workers, tasks, events, as they change',
        example: 'llamboctl top',
        options: [['--once', 'print it once and exit; so it is where standard output is no terminal'], json],
        load: () => import('../../top/top.js'),
      },
      {
        name: 'health',
        summary: 'the state of the cluster in one word; exits 1 where it is DEGRADED or DOWN',
        example: 'llamboctl health',
        load: () => import('./health.js'),
      },
      {
        name: 'nodes',
        summary: 'list the workers',
        example: 'llamboctl nodes list',
        options: [json],
        load: () => import('./nodes.js'),
        commands: [{ name: 'list', summary: 'the same', options: [json], load: () => import('./nodes.js') }],
      },
      {
        name: 'logs',
        args: '[name]',
        takes: ['worker'],
        summary: 'what has happened: events of the cluster, or of a worker or host',
        example: 'llamboctl logs -f',
        options: [['-f, --follow', 'go on with what happens from now on']],
        load: () => import('./logs.js'),
      },
      {
        name: 'metrics',
        summary: 'print the metrics for Prometheus',
        example: 'llamboctl metrics --export > llambo.prom',
        options: [['--export', 'the same']],
        load: () => import('./metrics.js'),
      },
    ]),
    ...group('Models', [
      {
        name: 'models',
        aliases: ['list'],
        summary: 'list the models there are, also without a server',
        example: 'llamboctl models',
        options: [json],
        load: () => import('./models.js'),
      },
      {
        name: 'pull',
        args: '<name>',
        summary: 'download a model: hf:USER/MODEL:QUANT, or the URL of a .gguf file',
        example: 'llamboctl pull hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M',
        load: () => import('./pull.js'),
      },
      control(
        'load',
        '<model> [worker]',
        ['model', 'worker'],
        'load a model on one worker, else on all that have it',
        'my-model',
      ),
      control(
        'unload',
        '<model> [worker]',
        ['model', 'worker'],
        'free a model once its exchanges are done',
        'my-model',
      ),
    ]),
    ...group('Cluster', [
      {
        name: 'invite',
        summary: 'print the line that lets another machine join this server',
        example: 'llamboctl invite',
        options: [['--user <name>', 'whose machine it is: the name that its token stands for'], json],
        load: () => import('./invite.js'),
      },
      {
        name: 'join',
        args: '[address]',
        summary: 'lend this machine to a server on another one; without ADDRESS the one on the local network',
        example: 'LLAMBO_TOKEN=llb_… llamboctl join wss://192.168.1.10:5641/join --fingerprint sha256:…',
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
        example: 'llamboctl leave',
        load: () => import('./leave.js'),
      },
      {
        ...control(
          'spawn',
          '[class] [n] [host] [name]',
          ['class'],
          'start N workers of a class, on a host: host NAME',
          'default 2',
        ),
        options: [
          ['--count <n>', 'how many: N'],
          ['--type <class>', 'of which class: CLASS'],
        ],
      },
      {
        ...control(
          'scale',
          '[words...]',
          [],
          'have N workers; or bounds and steps of scaling: [min N] [max N] …; without words how they are',
          '4',
        ),
        load: () => import('./scale.js'),
      },
      control(
        'autoscale',
        '[state]',
        [],
        'add and take away workers with the load: on or off; without a word whether',
        'on',
      ),
      control(
        'strategy',
        '[name]',
        ['strategy'],
        'how a worker is chosen; without a name how it is now',
        'least-loaded',
      ),
      {
        name: 'balancer',
        summary: 'how prompts are shared out among the workers',
        example: 'llamboctl balancer stats',
        load: () => import('./balancer.js'),
        commands: [{ name: 'stats', summary: 'the same', load: () => import('./balancer.js') }],
      },
      control('drain', '<worker>', ['worker'], 'give a worker no new prompts', 'worker-0001'),
      control('resume', '<worker>', ['worker'], 'give it some again', 'worker-0001'),
      control('shutdown', '<worker>', ['worker'], 'drain a worker and end it', 'worker-0001'),
    ]),
    ...group('Shell', [
      { ...dish, example: "llamboctl dish -c 'all cat status'" },
      {
        name: 'shell',
        summary: 'the sentinel: says beside a failed command what went wrong',
        example: 'eval "$(llamboctl shell zsh)"',
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
        name: 'completion',
        args: '[shell]',
        takes: ['shell'],
        summary: 'print a script that completes commands: bash, zsh or fish',
        example: 'source <(llamboctl completion bash)',
        options: [['--values <kind>', 'print what there is of a kind: the scripts ask', kinds]],
        load: async () => ({ run: (await import('./completion.js')).completion(() => programs) }),
      },
    ]),
    ...group('Settings', [
      {
        name: 'config',
        summary: 'the configuration',
        example: 'llamboctl config show --origin',
        options: [['--show', 'print the settings in force'], ...configOptions],
        load: () => import('./config.js'),
        commands: [
          {
            name: 'show',
            summary: 'print the settings in force',
            options: configOptions,
            load: () => import('./config.js'),
          },
        ],
      },
    ]),
  ],
}

/** The tables of all programs: llamboctl, then those of its commands that are also programs of their own. */
export const programs: readonly Command[] = [
  llamboctl,
  ...(llamboctl.commands ?? []).filter(({ name }) => name === 'limbot' || name === 'dish'),
]
