#!/usr/bin/env node
import { llamboctl } from './command/table.js'
import { main } from './common/program.js'
import { quietPipe, untilSignal } from './common/signals.js'

quietPipe()
process.exit(await main(llamboctl, process.argv.slice(2), process.env, untilSignal()))
