#!/usr/bin/env node
/** The program `dish`. */
import { main } from '../cli/program.js'
import { end, guardOutput, untilSignal } from '../cli/signals.js'
import { dish } from './command.js'

guardOutput()
await end(await main(dish, process.argv.slice(2), process.env, untilSignal()))
