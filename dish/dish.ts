#!/usr/bin/env node
import { main } from '../ctl/common/program.js'
import { quietPipe, untilSignal } from '../ctl/common/signals.js'
import { dish } from './command.js'

quietPipe()
process.exit(await main(dish, process.argv.slice(2), process.env, untilSignal()))
