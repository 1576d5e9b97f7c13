#!/usr/bin/env node
/** The program limbot. */
import { main } from '../cli/program.js'
import { end, guardOutput, untilSignal } from '../cli/signals.js'
import { limbot } from './command.js'

guardOutput()
await end(await main(limbot, process.argv.slice(2), process.env, untilSignal()))
