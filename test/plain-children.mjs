/**
 * tap makes every Node process that a test starts load its coverage hooks, through NODE_OPTIONS, and also the processes
 * that those start. That takes three times as long as one of our programs takes to start, and users do not run it. This
 * file is loaded before each test file and undoes it.
 */

import onSpawn from 'process-on-spawn'

onSpawn.addListener(({ env }) => {
  env.NODE_OPTIONS = (env.NODE_OPTIONS ?? '').replace(/"?--import=\S+@tapjs\S+/g, '').trim()
  if (env.NODE_OPTIONS === '') delete env.NODE_OPTIONS
})
