/**
 * tap makes every Node process that a test starts load its coverage hooks, through NODE_OPTIONS, and also the processes
 * that those start. That takes three times as long as one of our programs takes to start, and users do not run it. This
 * file is loaded before each test file and undoes it. It also marks every process with the folder of the test file, by
 * which the suite finds those that are left (left.ts).
 */

import onSpawn from 'process-on-spawn'

onSpawn.addListener(({ env }) => {
  env.NODE_OPTIONS = (env.NODE_OPTIONS ?? '').replace(/"?--import=\S+@tapjs\S+/g, '').trim()
  if (env.NODE_OPTIONS === '') delete env.NODE_OPTIONS
  if (process.env.TEST_FOLDER) env.TEST_FOLDER = process.env.TEST_FOLDER
})
