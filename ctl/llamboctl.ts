#!/usr/bin/env node
import { main } from './cli.js'
import { quietPipe, untilSignal } from './common/signals.js'

quietPipe()
process.exit(await main(process.argv.slice(2), process.env, untilSignal()))
