/**
 * tap has every Node process that a test starts load its coverage hooks, and theirs, by NODE_OPTIONS: three times what one of our programs
 * itself takes to start, and not what users run. Loaded before each test file, this takes that back.
 */
import onSpawn from 'process-on-spawn'

onSpawn.addListener(({ env }) => {
  env.NODE_OPTIONS = (env.NODE_OPTIONS ?? '').replace(/"?--import=\S+@tapjs\S+/g, '').trim()
  if (env.NODE_OPTIONS === '') delete env.NODE_OPTIONS
})
