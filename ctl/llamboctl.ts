#!/usr/bin/env node
/** The program `llamboctl`. */
import { llamboctl } from './command/table.js'
import { main } from './common/program.js'
import { end, guardOutput, untilSignal } from './common/signals.js'

guardOutput()
await end(await main(llamboctl, process.argv.slice(2), process.env, untilSignal()))
