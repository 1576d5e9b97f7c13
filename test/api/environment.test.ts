/** Tests of environment variables. */
import t from 'tap'
import { variable } from '../../api/environment.js'

t.test('a variable is read within its bounds, and a refusal names the variable but not its value', async t => {
  t.equal(variable({}, 'LLAMBO'), undefined)
  t.equal(variable({ LLAMBO: '' }, 'LLAMBO'), undefined)
  t.equal(variable({ LLAMBO: ' tcp!alpha!564\n' }, 'LLAMBO'), 'tcp!alpha!564')
  t.equal(variable({ LLAMBO_TOKEN: 'llb_abc\n' }, 'LLAMBO_TOKEN'), 'llb_abc')
  for (const [name, value] of [
    ['LLAMBO', 'x'.repeat(5000)],
    ['LLAMBO', ' '.repeat(100_000)],
    ['LLAMBO', 'tcp!a\u001b[2J!1'],
    ['LLAMBO_TOKEN', 'secret secret'],
    ['LLAMBO_TOKEN', `secret${'x'.repeat(5000)}`],
    ['OPENAI_API_KEY', 'secret\r\nx-other: 1'],
    ['LLAMBO_TOKEN_FILE', 'a\nb'],
    ['LLAMBO_FINGERPRINT', '0'.repeat(129)],
    ['LLAMBO_SHELL_MODEL', 'm'.repeat(256)],
  ] as const)
    t.throws(() => variable({ [name]: value }, name), {
      message: new RegExp(
        `^bad argument: \\$${name}: expected up to \\d+ printable [a-zA-Z ]+; unset ${name}, or set it again$`,
      ),
    })
})
