/**
 * tap has every Node process that a test starts load its coverage hooks, and theirs, by NODE_OPTIONS: three times what one of our programs
 * itself takes to start, and not what users run. Loaded before each test file, this takes that back.
 */
import onSpawn from 'process-on-spawn'

onSpawn.addListener(({ env }) => {
  delete env.NODE_OPTIONS
})
