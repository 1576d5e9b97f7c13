/** The table of dish's builtins: names, arguments, options and help texts. */

import type { Builtin, Call } from '../call.js'

const json = ['--json', 'print JSON'] as const
const pick =
  <M>(module: () => Promise<M>, name: keyof M) =>
  async () => ({ run: (await module())[name] as (call: Call) => Promise<void> })

const files = () => import('./files.js')
const filters = () => import('./filters.js')
const places = () => import('./namespace.js')
const cluster = () => import('./cluster.js')
const shell = () => import('./shell.js')
const nodes = () => import('./nodes.js')
const watching = () => import('./watching.js')

const bound = [
  ['-a', 'behind what is there (a union)'],
  ['-b', 'before what is there'],
  ['-c', 'files are created here'],
] as const

/** The builtins, in the order in which `help` shows them. */
export const builtins: readonly Builtin[] = [
  {
    name: 'status',
    summary: 'what the cluster is doing, of the tree at /n/llambo',
    options: [json],
    load: pick(cluster, 'status'),
  },
  { name: 'nodes', summary: 'its workers, a line each', options: [json], load: pick(cluster, 'nodes') },
  {
    name: 'task',
    args: '[PROMPT…]',
    raw: true,
    summary: 'ask, with what is piped in unless words are given; Ctrl-C cancels it',
    completes: ['text'],
    load: pick(cluster, 'task'),
  },
  {
    name: 'ps',
    summary: 'exchanges that wait or run',
    options: [['-a', 'and those that have ended'], json],
    load: pick(cluster, 'ps'),
  },
  {
    name: 'kill',
    args: 'TASK…',
    summary: 'cancel exchanges, or jobs by %N',
    completes: ['task'],
    load: pick(cluster, 'kill'),
  },
  {
    name: 'top',
    summary: 'the cluster on one screen; ? lists its keys, q leaves',
    options: [['--once', 'print it once, as where the output is no terminal'], json],
    load: pick(() => import('./top.js'), 'top'),
  },
  {
    name: 'on',
    args: 'WORKER COMMAND…',
    raw: true,
    summary: 'run a command with that worker’s tree at /n/llambo',
    completes: ['worker', 'command'],
    load: pick(nodes, 'on'),
  },
  {
    name: 'all',
    args: 'COMMAND…',
    raw: true,
    summary: 'run a command on every worker at once; its lines come behind the worker’s name',
    options: [
      ['-j N', 'how many at once (32)'],
      ['-t SECONDS', 'how long each may take'],
    ],
    completes: ['command'],
    load: pick(nodes, 'all'),
  },
  {
    name: 'ls',
    args: '[PATH…]',
    summary: 'list directories',
    options: [['-l', 'mode, owner, size, time of change and name'], ['-d', 'a directory itself'], json],
    completes: ['path'],
    load: pick(files, 'ls'),
  },
  {
    name: 'cat',
    args: '[PATH…]',
    summary: 'print files as they come, or what is piped in',
    completes: ['path'],
    load: pick(files, 'cat'),
  },
  { name: 'echo', args: '[WORD…]', summary: 'print words; -n without a newline', raw: true, load: pick(shell, 'echo') },
  {
    name: 'cp',
    args: 'PATH PATH…',
    summary: 'copy files into the last PATH',
    completes: ['path'],
    load: pick(files, 'cp'),
  },
  {
    name: 'rm',
    args: 'PATH…',
    summary: 'remove files',
    options: [
      ['-r', 'directories, with what is in them'],
      ['-f', 'what is not there is no failure'],
    ],
    completes: ['path'],
    load: pick(files, 'rm'),
  },
  { name: 'mkdir', args: 'PATH…', summary: 'make directories', completes: ['path'], load: pick(files, 'mkdir') },
  {
    name: 'rmdir',
    args: 'PATH…',
    summary: 'remove directories: a session, a task',
    completes: ['directory'],
    load: pick(files, 'rmdir'),
  },
  {
    name: 'stat',
    args: 'PATH…',
    summary: 'what is known of files, a record each',
    completes: ['path'],
    load: pick(files, 'stat'),
  },
  {
    name: 'cd',
    args: '[PATH]',
    summary: 'go there; - goes back, nothing goes to /n/llambo',
    raw: true,
    completes: ['directory'],
    load: pick(places, 'cd'),
  },
  { name: 'pwd', summary: 'where this is', load: pick(places, 'pwd') },
  {
    name: 'find',
    args: '[PATH…]',
    summary: 'the files below',
    options: [
      ['--name PATTERN', 'whose name is like that'],
      ['--type d|f', 'directories only, or files'],
      ['--depth N', 'so many levels down (20)'],
    ],
    completes: ['path'],
    load: pick(files, 'find'),
  },
  {
    name: 'tail',
    args: '[PATH…]',
    summary: 'the last lines',
    options: [
      ['-n N', 'how many (10)'],
      ['-f', 'and then what comes'],
    ],
    completes: ['path'],
    load: pick(filters, 'tail'),
  },
  {
    name: 'head',
    args: '[PATH…]',
    summary: 'the first lines',
    options: [
      ['-n N', 'how many (10)'],
      ['-c N', 'bytes, not lines'],
    ],
    completes: ['path'],
    load: pick(filters, 'head'),
  },
  {
    name: 'wc',
    args: '[PATH…]',
    summary: 'lines, words and bytes',
    options: [
      ['-l', 'lines only'],
      ['-w', 'words only'],
      ['-c', 'bytes only'],
    ],
    completes: ['path'],
    load: pick(filters, 'wc'),
  },
  {
    name: 'grep',
    args: 'PATTERN [PATH…]',
    summary: 'lines in which a regular expression is found',
    options: [
      ['-i', 'large and small letters are one'],
      ['-v', 'lines in which it is not'],
      ['-c', 'how many'],
      ['-n', 'with their numbers'],
      ['-l', 'names of files only'],
      ['-q', 'nothing is printed: only the status counts'],
      ['-F', 'the pattern is a text'],
    ],
    completes: ['text', 'path'],
    load: pick(filters, 'grep'),
  },
  {
    name: 'sort',
    args: '[PATH…]',
    summary: 'lines in order',
    options: [
      ['-r', 'the other way'],
      ['-n', 'by the number they begin with'],
      ['-u', 'each once'],
      ['-k N', 'by the Nth word'],
    ],
    completes: ['path'],
    load: pick(filters, 'sort'),
  },
  {
    name: 'watch',
    args: 'COMMAND…',
    raw: true,
    summary: 'run a command again and again, until Ctrl-C',
    options: [
      ['-n SECONDS', 'how often (2)'],
      ['-t N', 'N times'],
    ],
    completes: ['command'],
    load: pick(watching, 'watch'),
  },
  {
    name: 'bind',
    args: 'NEW OLD',
    summary: 'have NEW seen at OLD',
    options: bound,
    completes: ['path'],
    load: pick(places, 'bind'),
  },
  {
    name: 'mount',
    args: 'ADDRESS OLD [ANAME]',
    summary: 'have another server’s tree seen at OLD',
    options: bound,
    completes: ['text', 'path'],
    load: pick(places, 'mount'),
  },
  {
    name: 'import',
    args: 'ADDRESS [OLD]',
    summary: 'mount a server at /n/ and its host’s name',
    completes: ['text', 'path'],
    load: pick(places, 'mount'),
  },
  {
    name: 'unmount',
    args: '[NEW] OLD',
    summary: 'take away what was bound or mounted there',
    completes: ['path'],
    load: pick(places, 'unmount'),
  },
  { name: 'ns', summary: 'the name space, as commands that make it', load: pick(places, 'ns') },
  {
    name: 'help',
    args: '[COMMAND]',
    summary: 'these lines, or all about one',
    completes: ['builtin'],
    load: pick(shell, 'help'),
  },
  { name: 'man', args: 'PATH', summary: 'what that file is', completes: ['path'], load: pick(shell, 'man') },
  { name: 'history', summary: 'what was typed', load: pick(shell, 'history') },
  { name: 'jobs', summary: 'commands that were started with &', load: pick(shell, 'jobs') },
  {
    name: 'wait',
    args: '[JOB…]',
    summary: 'wait until jobs are over: all, or by number',
    completes: ['job'],
    load: pick(shell, 'wait'),
  },
  {
    name: 'whatis',
    args: 'NAME…',
    summary: 'functions, variables and commands, as one would type them',
    completes: ['builtin'],
    load: pick(shell, 'whatis'),
  },
  {
    name: 'eval',
    args: 'TEXT…',
    summary: 'run a text as a command',
    raw: true,
    completes: ['command'],
    load: pick(shell, 'evaluate'),
  },
  {
    name: 'read',
    args: '[NAME…]',
    summary:
      'take a line of what is piped in: its words to names, the last gets all that is left; without a name print it',
    completes: ['text'],
    load: pick(shell, 'read'),
  },
  { name: 'true', summary: 'do nothing, and succeed', load: pick(shell, 'yes') },
  { name: 'false', summary: 'do nothing, and fail', load: pick(shell, 'no') },
  { name: 'shift', args: '[N]', summary: 'forget the first arguments', load: pick(shell, 'shift') },
  { name: 'sleep', args: 'SECONDS', summary: 'wait', load: pick(shell, 'sleep') },
  {
    name: '.',
    args: 'PATH [WORD…]',
    summary: 'run the commands in a file of the name space here',
    completes: ['path'],
    load: pick(shell, 'source'),
  },
  { name: 'exit', args: '[STATUS]', summary: 'leave', load: pick(shell, 'exit') },
]

const byName = new Map(builtins.map(one => [one.name, one]))

export const find = (name: string): Builtin | undefined => byName.get(name)
