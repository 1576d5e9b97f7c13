/** The table of all commands of llamboctl, with their arguments, options and help. */

import type { Command } from '../../cli/command.js'
import { dish } from '../../dish/command.js'
import { limbot } from '../../limbot/command.js'

const json = ['--json', 'print JSON'] as const

/** The options that say how to start a server: those of `up` and `npm start`. */
export const serverOptions: NonNullable<Command['options']> = [
  ['--model <name>', 'model to load: a name in models/, or a path; none: load one later'],
  [
    '--engine <kind>',
    'what generates the text; its settings are in the configuration file',
    ['llama', 'openai', 'echo'],
  ],
  ['--workers <n>', 'worker processes to start on this machine'],
  ['--slots <n>', 'answers that each worker generates at once'],
  ['--mount <dir>', 'where to mount (default: /n/llambo, or ~/n/llambo)'],
  ['--no-mount', 'do not mount'],
  ['--listen <address...>', "also listen on: 'unix!PATH', 'tcp!HOST!PORT', ws://HOST:PORT/9p, wss://…"],
  [
    '--auth <what>',
    'what listeners other than the unix socket require; none is allowed on loopback only',
    ['token', 'none'],
  ],
  ['--join <address>', 'join that cluster as a worker: wss://HOST:PORT/join; the token is in $LLAMBO_TOKEN'],
  ['--fingerprint <sha256>', 'fingerprint of the certificate that the cluster must have'],
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
  ['--origin', 'also print where each comes from'],
  ['--config <file>', 'configuration file'],
]

/** llamboctl and its commands, in the order in which help shows them. */
export const llamboctl: Command = {
  name: 'llamboctl',
  summary: 'start, stop and use a llambo server: language models as files',
  hints: {
    chat: 'to chat with a model: llamboctl limbot',
    create: 'a model is a .gguf file: llamboctl cp FILE /n/llambo/models/',
    kill: 'to stop the server: llamboctl down; to stop one worker: llamboctl shutdown WORKER',
    ps: 'to see the loaded models: llamboctl models; to see what runs: llamboctl top',
    push: 'to copy a model to a server: llamboctl cp FILE /n/llambo/models/',
    show: 'to see the details of each model: llamboctl models --json',
    start: 'to start a server in the background: llamboctl up -d',
    stop: 'to stop the server: llamboctl down; to free a model: llamboctl unload MODEL',
  },
  commands: [
    ...group('Start and stop', [
      {
        name: 'up',
        aliases: ['serve'],
        summary: 'start a server',
        example: 'llamboctl up -d --model ./my-model.gguf',
        options: [['-d, --detach', 'run in the background; return when the server is ready'], ...serverOptions],
        load: () => import('./up.js'),
      },
      {
        name: 'down',
        summary: 'stop the server: finish the answers, unmount, exit',
        example: 'llamboctl down',
        options: [['--now', 'do not wait for answers that are being generated']],
        load: () => import('./down.js'),
      },
      {
        name: 'doctor',
        summary: 'check what this machine has and lacks, and print what to do about it',
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
        summary: 'chat with a model: limbot --model MODEL',
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
        summary: 'write TEXT and a newline, or standard input, to a file',
        example: 'llamboctl write ctl temperature 0.2',
        options: [['-a, --append', 'append to the file instead of replacing its content']],
        load: () => import('./write.js'),
      },
      {
        name: 'cat',
        aliases: ['read'],
        args: '<path...>',
        summary: 'print files as their content arrives',
        example: 'llamboctl cat events',
        load: () => import('./cat.js'),
      },
      {
        name: 'ls',
        args: '[path...]',
        summary: 'list files',
        example: 'llamboctl ls -l models',
        options: [['-l, --long', 'also print mode, owner, size and time']],
        load: () => import('./ls.js'),
      },
      {
        name: 'stat',
        args: '<path...>',
        summary: 'print the attributes of files',
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
        summary: 'copy files to the last PATH; paths under /n/llambo are on the server',
        example: 'llamboctl cp my-model.gguf /n/llambo/models/',
        load: () => import('./cp.js'),
      },
      {
        name: 'mount',
        args: '[dir]',
        summary: 'mount the server at a directory',
        example: 'llamboctl mount ~/n/llambo',
        options: [
          [
            '--allow-other',
            'let other users of this machine use the mount; each sees only their own tasks and sessions',
          ],
          ['--share-token', 'with --allow-other at an address that takes a token: all users act as the token’s owner'],
          ['--driver <name>', 'the FUSE implementation', ['llambo', 'fuse-native']],
        ],
        load: () => import('./mount.js'),
      },
      {
        name: 'umount',
        args: '[dir]',
        summary: 'unmount a directory',
        example: 'llamboctl umount ~/n/llambo',
        load: () => import('./umount.js'),
      },
    ]),
    ...group('Inspect', [
      {
        name: 'status',
        summary: 'print what the server is doing',
        example: 'llamboctl status',
        options: [json],
        load: () => import('./status.js'),
      },
      {
        name: 'top',
        summary: 'show the cluster on one screen: workers, tasks and events, as they change',
        example: 'llamboctl top',
        options: [['--once', 'print it once and exit; the default if standard output is not a terminal'], json],
        load: () => import('../../top/top.js'),
      },
      {
        name: 'health',
        summary: 'print the state of the cluster in one word; exit 1 if it is DEGRADED or DOWN',
        example: 'llamboctl health',
        load: () => import('./health.js'),
      },
      {
        name: 'nodes',
        summary: 'list the workers',
        example: 'llamboctl nodes list',
        options: [json],
        load: () => import('./nodes.js'),
        commands: [{ name: 'list', summary: 'list the workers', options: [json], load: () => import('./nodes.js') }],
      },
      {
        name: 'logs',
        args: '[name]',
        takes: ['worker'],
        summary: 'print events of the cluster, or of a worker or host',
        example: 'llamboctl logs -f',
        options: [['-f, --follow', 'keep printing new events']],
        load: () => import('./logs.js'),
      },
      {
        name: 'metrics',
        summary: 'print the metrics for Prometheus',
        example: 'llamboctl metrics --export > llambo.prom',
        options: [['--export', 'print the metrics, as without this option']],
        load: () => import('./metrics.js'),
      },
    ]),
    ...group('Models', [
      {
        name: 'models',
        aliases: ['list'],
        summary: 'list the models, also without a server',
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
        'load a model on one worker, or on all that have it',
        'my-model',
      ),
      control(
        'unload',
        '<model> [worker]',
        ['model', 'worker'],
        'free a model once its exchanges are finished',
        'my-model',
      ),
    ]),
    ...group('Cluster', [
      {
        name: 'invite',
        summary: 'print the command with which another machine joins this server',
        example: 'llamboctl invite',
        options: [['--user <name>', 'the user of that machine, for whom the token stands'], json],
        load: () => import('./invite.js'),
      },
      {
        name: 'join',
        args: '[address]',
        summary: 'lend this machine to a server on another machine; without ADDRESS, to the one on the local network',
        example: 'LLAMBO_TOKEN=llb_… llamboctl join wss://192.168.1.10:5641/join --fingerprint sha256:…',
        options: [
          ['-d, --detach', 'run in the background'],
          [
            '--fingerprint <sha256>',
            'fingerprint of the certificate that the server must have, as llamboctl invite prints it',
          ],
          ...serverOptions.filter(([flags]) => /^--(model|engine|workers|slots|config) /.test(flags)),
        ],
        load: () => import('./join.js'),
      },
      {
        name: 'leave',
        summary: 'leave the server that this machine has joined: finish the answers, exit',
        example: 'llamboctl leave',
        load: () => import('./leave.js'),
      },
      {
        ...control(
          'spawn',
          '[class] [n] [host] [name]',
          ['class'],
          'start N workers of a class, on any host or on host NAME',
          'default 2',
        ),
        options: [
          ['--count <n>', 'the number of workers: N'],
          ['--type <class>', 'the class of the workers: CLASS'],
        ],
      },
      {
        ...control(
          'scale',
          '[words...]',
          [],
          'start or stop workers until there are N; or set bounds and steps of scaling: [min N] [max N] …; without arguments print them',
          '4',
        ),
        load: () => import('./scale.js'),
      },
      control(
        'autoscale',
        '[state]',
        [],
        'start and stop workers with the load: on or off; without an argument print which',
        'on',
      ),
      control(
        'strategy',
        '[name]',
        ['strategy'],
        'set how a worker is chosen for a prompt; without an argument print it',
        'least-loaded',
      ),
      {
        name: 'balancer',
        summary: 'print how prompts are distributed among the workers',
        example: 'llamboctl balancer stats',
        load: () => import('./balancer.js'),
        commands: [
          {
            name: 'stats',
            summary: 'print how prompts are distributed among the workers',
            load: () => import('./balancer.js'),
          },
        ],
      },
      control('drain', '<worker>', ['worker'], 'stop giving a worker new prompts', 'worker-0001'),
      control('resume', '<worker>', ['worker'], 'give a drained worker new prompts again', 'worker-0001'),
      control('shutdown', '<worker>', ['worker'], 'drain a worker, then stop it', 'worker-0001'),
    ]),
    ...group('Shell', [
      { ...dish, example: "llamboctl dish -c 'all cat status'" },
      {
        name: 'shell',
        summary: 'the sentinel: explains a failed command beside it',
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
            summary: 'print what was last sent to the cluster for a shell, and what was removed first',
            load: () => import('./sent.js'),
          },
          {
            name: 'agent',
            summary: 'run the process that shells ask; started by the scripts',
            options: [['--idle <s>', 'seconds without a question after which it exits']],
            load: () => import('./agent.js'),
          },
        ],
      },
      {
        name: 'completion',
        args: '[shell]',
        takes: ['shell'],
        summary: 'print a completion script for bash, zsh or fish',
        example: 'source <(llamboctl completion bash)',
        options: [['--values <kind>', 'print the names of a kind; the scripts use it', kinds]],
        load: async () => ({ run: (await import('./completion.js')).completion(() => programs) }),
      },
    ]),
    ...group('Settings', [
      {
        name: 'config',
        summary: 'print the configuration',
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
