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
  ['-a', 'after what is there (a union)'],
  ['-b', 'before what is there (a union)'],
  ['-c', 'create new files here'],
] as const

/** The builtins, in the order in which `help` shows them. */
export const builtins: readonly Builtin[] = [
  {
    name: 'status',
    summary: 'show what the cluster at /n/llambo is doing',
    options: [json],
    load: pick(cluster, 'status'),
  },
  { name: 'nodes', summary: 'list the workers of the cluster', options: [json], load: pick(cluster, 'nodes') },
  {
    name: 'task',
    args: '[PROMPT…]',
    raw: true,
    summary: 'submit a prompt, or what is piped in, and print the answer; Ctrl-C cancels it',
    completes: ['text'],
    load: pick(cluster, 'task'),
  },
  {
    name: 'ps',
    summary: 'list exchanges that wait or run',
    options: [['-a', 'also those that have ended'], json],
    load: pick(cluster, 'ps'),
  },
  {
    name: 'kill',
    args: 'TASK…',
    summary: 'cancel exchanges; %N stops a job',
    completes: ['task'],
    load: pick(cluster, 'kill'),
  },
  {
    name: 'top',
    summary: 'show the cluster on one screen; ? lists its keys, q leaves',
    options: [['--once', 'print it once, as when the output is not a terminal'], json],
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
    summary: 'run a command on every worker at once; each line begins with the worker’s name',
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
    options: [
      ['-l', 'show mode, owner, size, time of change and name'],
      ['-d', 'list a directory itself, not what is in it'],
      json,
    ],
    completes: ['path'],
    load: pick(files, 'ls'),
  },
  {
    name: 'cat',
    args: '[PATH…]',
    summary: 'print files, or what is piped in, as the content arrives',
    completes: ['path'],
    load: pick(files, 'cat'),
  },
  { name: 'echo', args: '[WORD…]', summary: 'print words; with -n no newline', raw: true, load: pick(shell, 'echo') },
  {
    name: 'cp',
    args: 'PATH… DEST',
    summary: 'copy a file to DEST, or files into the directory DEST',
    completes: ['path'],
    load: pick(files, 'cp'),
  },
  {
    name: 'rm',
    args: 'PATH…',
    summary: 'remove files',
    options: [
      ['-r', 'remove directories and what is in them'],
      ['-f', 'ignore files that do not exist'],
    ],
    completes: ['path'],
    load: pick(files, 'rm'),
  },
  { name: 'mkdir', args: 'PATH…', summary: 'make directories', completes: ['path'], load: pick(files, 'mkdir') },
  {
    name: 'rmdir',
    args: 'PATH…',
    summary: 'remove empty directories, sessions and tasks',
    completes: ['directory'],
    load: pick(files, 'rmdir'),
  },
  {
    name: 'stat',
    args: 'PATH…',
    summary: 'print a record for each file',
    completes: ['path'],
    load: pick(files, 'stat'),
  },
  {
    name: 'cd',
    args: '[PATH]',
    summary: 'change to a directory; - goes back, without a path to /n/llambo',
    raw: true,
    completes: ['directory'],
    load: pick(places, 'cd'),
  },
  { name: 'pwd', summary: 'print the current directory', load: pick(places, 'pwd') },
  {
    name: 'find',
    args: '[PATH…]',
    summary: 'list the files below a directory',
    options: [
      ['--name PATTERN', 'only files whose name matches'],
      ['--type d|f', 'only directories, or only files'],
      ['--depth N', 'the deepest level (20)'],
    ],
    completes: ['path'],
    load: pick(files, 'find'),
  },
  {
    name: 'tail',
    args: '[PATH…]',
    summary: 'print the last lines',
    options: [
      ['-n N', 'how many lines (10)'],
      ['-f', 'then print what is appended'],
    ],
    completes: ['path'],
    load: pick(filters, 'tail'),
  },
  {
    name: 'head',
    args: '[PATH…]',
    summary: 'print the first lines',
    options: [
      ['-n N', 'how many lines (10)'],
      ['-c N', 'how many bytes, instead of lines'],
    ],
    completes: ['path'],
    load: pick(filters, 'head'),
  },
  {
    name: 'wc',
    args: '[PATH…]',
    summary: 'count lines, words and bytes',
    options: [
      ['-l', 'only lines'],
      ['-w', 'only words'],
      ['-c', 'only bytes'],
    ],
    completes: ['path'],
    load: pick(filters, 'wc'),
  },
  {
    name: 'grep',
    args: 'PATTERN [PATH…]',
    summary: 'print the lines that match a regular expression',
    options: [
      ['-i', 'ignore upper and lower case'],
      ['-v', 'print the lines that do not match'],
      ['-c', 'print how many lines match'],
      ['-n', 'print line numbers'],
      ['-l', 'print only the names of files with a match'],
      ['-q', 'print nothing; only set the status'],
      ['-F', 'take the pattern as plain text'],
    ],
    completes: ['text', 'path'],
    load: pick(filters, 'grep'),
  },
  {
    name: 'sort',
    args: '[PATH…]',
    summary: 'sort lines',
    options: [
      ['-r', 'in reverse order'],
      ['-n', 'by the number at the beginning'],
      ['-u', 'print equal lines once'],
      ['-k N', 'by the Nth word'],
    ],
    completes: ['path'],
    load: pick(filters, 'sort'),
  },
  {
    name: 'watch',
    args: 'COMMAND…',
    raw: true,
    summary: 'run a command repeatedly, until Ctrl-C',
    options: [
      ['-n SECONDS', 'how long between runs (2)'],
      ['-t N', 'run it N times'],
    ],
    completes: ['command'],
    load: pick(watching, 'watch'),
  },
  {
    name: 'bind',
    args: 'NEW OLD',
    summary: 'show NEW at OLD',
    options: bound,
    completes: ['path'],
    load: pick(places, 'bind'),
  },
  {
    name: 'mount',
    args: 'ADDRESS OLD [ANAME]',
    summary: 'show the tree of another server at OLD',
    options: bound,
    completes: ['text', 'path'],
    load: pick(places, 'mount'),
  },
  {
    name: 'import',
    args: 'ADDRESS [OLD]',
    summary: 'mount a server at OLD, or at /n/HOST',
    completes: ['text', 'path'],
    load: pick(places, 'mount'),
  },
  {
    name: 'unmount',
    args: '[NEW] OLD',
    summary: 'undo a bind or mount at OLD',
    completes: ['path'],
    load: pick(places, 'unmount'),
  },
  { name: 'ns', summary: 'print the name space as commands that make it', load: pick(places, 'ns') },
  {
    name: 'help',
    args: '[COMMAND]',
    summary: 'list the commands, or explain one',
    completes: ['builtin'],
    load: pick(shell, 'help'),
  },
  { name: 'man', args: 'PATH', summary: 'explain a file', completes: ['path'], load: pick(shell, 'man') },
  { name: 'history', summary: 'list what was typed', load: pick(shell, 'history') },
  { name: 'jobs', summary: 'list commands that were started with &', load: pick(shell, 'jobs') },
  {
    name: 'wait',
    args: '[JOB…]',
    summary: 'wait until all jobs, or these, have ended',
    completes: ['job'],
    load: pick(shell, 'wait'),
  },
  {
    name: 'whatis',
    args: 'NAME…',
    summary: 'print functions, variables and commands as they are typed',
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
    summary: 'read a line of what is piped in: a word for each name, the rest for the last; without a name print it',
    completes: ['text'],
    load: pick(shell, 'read'),
  },
  { name: 'true', summary: 'succeed', load: pick(shell, 'yes') },
  { name: 'false', summary: 'fail', load: pick(shell, 'no') },
  { name: 'shift', args: '[N]', summary: 'drop the first N arguments (1)', load: pick(shell, 'shift') },
  { name: 'sleep', args: 'SECONDS', summary: 'wait', load: pick(shell, 'sleep') },
  {
    name: '.',
    args: 'PATH [WORD…]',
    summary: 'run the commands in a file of the name space, in this shell',
    completes: ['path'],
    load: pick(shell, 'source'),
  },
  { name: 'exit', args: '[STATUS]', summary: 'leave the shell', load: pick(shell, 'exit') },
]

const byName = new Map(builtins.map(one => [one.name, one]))

export const find = (name: string): Builtin | undefined => byName.get(name)
