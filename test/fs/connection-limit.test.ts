/** The limit on connections that the limit on open files implies. */
import t from 'tap'
import { maxConnections } from '../../fs/transport/connection-limit.js'

const limits = (files: string) => `Limit                     Soft Limit           Hard Limit           Units
Max processes             95968                95968                processes
Max open files            ${files.padEnd(20)} 1048576              files
`

t.test('the limit on connections leaves descriptors for everything else', async t => {
  const rows: readonly (readonly [string, number])[] = [
    ['64', 32],
    ['65', 32],
    ['1024', 768],
    ['4096', 3840],
    ['20000', 10_240],
    ['unlimited', 10_240],
  ]
  for (const [files, most] of rows) t.equal(maxConnections(limits(files)), most, `${files} open files`)
  t.equal(maxConnections(''), 10_240, 'a system without /proc/self/limits')
})
