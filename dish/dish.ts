#!/usr/bin/env node
import { later } from '../ctl/common/later.js'

later('dish', 'the shell of the cluster', 'llamboctl ls, cat and write, or any shell below /n/llambo')
