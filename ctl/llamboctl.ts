#!/usr/bin/env node
import { main } from '../cli/program.js'
import { end, guardOutput, untilSignal } from '../cli/signals.js'
/** The program `llamboctl`. */
import { llamboctl } from './command/table.js'

guardOutput()
await end(await main(llamboctl, process.argv.slice(2), process.env, untilSignal()))
