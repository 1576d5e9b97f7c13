#!/usr/bin/env node
import { later } from '../ctl/common/later.js'

later('limbot', 'the chat', 'llamboctl rdwr data "What is AI?", or echo and cat on /n/llambo/data')
