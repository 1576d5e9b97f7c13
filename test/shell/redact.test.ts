import t from 'tap'
import { hasSecret, REDACTED, redact, takeOut } from '../../ctl/shell/redact.js'

/** As random as a password that a program has made. */
const KEY = 'q8Zr2vXw5TnB7mKc4LpD9sHf3JgY6aEu'
const hex = (length: number) => '0123456789abcdef'.repeat(8).slice(0, length)

t.test('secrets are removed in every way that they are written', async t => {
  const rows: readonly (readonly [text: string, ...secrets: string[]])[] = [
    // names
    ['export API_TOKEN=abc123', 'abc123'],
    ['DB_PASSWORD="a b c" run', 'a b c'],
    ["aws_secret_access_key='xyz'", 'xyz'],
    ['{"api_key": "k-1", "x": 1}', 'k-1'],
    ['curl -d "{\\"password\\":\\"hunter2\\",\\"x\\":1}" https://x', 'hunter2'],
    ['password: hunter2', 'hunter2'],
    ['PGPASSWORD=hunter2 psql -h db', 'hunter2'],
    ['MYSQL_PWD=hunter2 mysql', 'hunter2'],
    ['run --set db.auth.pw=hunter2', 'hunter2'],
    ['Server=db;User Id=sa;Password=hunter2;', 'hunter2'],
    ['DefaultEndpointsProtocol=https;AccountName=x;AccountKey=hunter2==;', 'hunter2'],
    ['mount -t cifs -o username=ann,password=hunter2 //x /mnt', 'hunter2'],
    ['mvn -Dsonar.token=hunter2 verify', 'hunter2'],
    ['psql -c "ALTER USER ann PASSWORD \'hunter2\'"', 'hunter2'],
    ["CREATE USER ann IDENTIFIED BY 'hunter2'", 'hunter2'],
    ['machine x.org login ann password hunter2', 'hunter2'],
    // what gives a name a value without a sign between
    ['set -gx API_TOKEN hunter2', 'hunter2'],
    ['set -Ux TOKEN hunter2', 'hunter2'],
    ['setenv AWS_SECRET_ACCESS_KEY hunter2', 'hunter2'],
    ['aws configure set aws_secret_access_key hunter2', 'hunter2'],
    ['aws configure set default.aws_session_token hunter2 --profile x', 'hunter2'],
    ['npm config set //registry.example.org/:_authToken hunter2', 'hunter2'],
    ['npm config set //registry.example.org/:_authToken=hunter2', 'hunter2'],
    ['git config --global github.token hunter2', 'hunter2'],
    ['poetry config pypi-token.pypi hunter2', 'hunter2'],
    ['$env:API_TOKEN = "hunter2"', 'hunter2'],
    // options
    ['tool --password hunter2 --verbose', 'hunter2'],
    ['tool --api-key=k1', 'k1'],
    ['tool --auth-token "k 1"', 'k 1'],
    ['keytool -list -keystore x -storepass hunter2', 'hunter2'],
    ['gpg --batch --passphrase hunter2 -d x', 'hunter2'],
    ['curl --oauth2-bearer hunter2 https://x', 'hunter2'],
    ['aws secretsmanager create-secret --name x --secret-string hunter2', 'hunter2'],
    // programs
    ['docker login -u ann -p hunter2 registry.example.org', 'hunter2'],
    ['sudo podman login registry.example.org -u ann -phunter2', 'hunter2'],
    ['helm registry login x -u ann -p hunter2', 'hunter2'],
    ['az login -u ann -p hunter2', 'hunter2'],
    ['redis-cli -h db -a hunter2 ping', 'hunter2'],
    ['redis-cli CONFIG SET requirepass hunter2', 'hunter2'],
    ['sshpass -p hunter2 ssh x', 'hunter2'],
    ['sshpass -phunter2 ssh x', 'hunter2'],
    ['mysql -h db -u ann -phunter2 base', 'hunter2'],
    ['ssh db "mysqldump -uann -phunter2 base"', 'hunter2'],
    ['$ docker login -p hunter2', 'hunter2'],
    ['+ redis-cli -a hunter2', 'hunter2'],
    ['x=$(redis-cli -a hunter2 get x)', 'hunter2'],
    ['cd /x && mongosh -u ann -p hunter2 db', 'hunter2'],
    ['curl -u ann:hunter2 https://x', 'hunter2'],
    ['curl -uann:hunter2 https://x', 'hunter2'],
    ['curl --user ann:hunter2 https://x', 'hunter2'],
    ['curl --proxy-user=ann:hunter2 https://x', 'hunter2'],
    ["curl -b 'session=hunter2' https://x", 'hunter2'],
    ['http -a ann:hunter2 example.org', 'hunter2'],
    ['smbclient //x/y -U ann%hunter2', 'hunter2'],
    ["smbclient //x/y -U 'DOM\\ann%hunter2'", 'hunter2'],
    ['lftp -u ann,hunter2 example.org', 'hunter2'],
    ['ldapsearch -x -D cn=admin -w hunter2 -b dc=x', 'hunter2'],
    ['openssl rsa -in k.pem -passin pass:hunter2', 'hunter2'],
    ['openssl enc -aes-256-cbc -k hunter2 -in x', 'hunter2'],
    ['7z x -phunter2 a.7z', 'hunter2'],
    ['zip -P hunter2 a.zip x', 'hunter2'],
    ['xfreerdp /u:ann /p:hunter2 /v:x', 'hunter2'],
    ['kubectl create secret generic x --from-literal=pw=hunter2', 'hunter2'],
    ['kubectl create secret generic x --from-literal user=hunter2', 'hunter2'],
    ['vault kv put secret/x colour=hunter2', 'hunter2'],
    ['vault login hunter2', 'hunter2'],
    ['heroku config:set COLOUR=hunter2', 'hunter2'],
    ['fly secrets set COLOUR=hunter2 SHAPE=hunter3', 'hunter2', 'hunter3'],
    ['gh secret set COLOUR --body hunter2', 'hunter2'],
    ['cargo login hunter2', 'hunter2'],
    ['rclone obscure hunter2', 'hunter2'],
    ['ngrok config add-authtoken hunter2', 'hunter2'],
    ['nmcli dev wifi connect home password hunter2', 'hunter2'],
    ['htpasswd -b .htpasswd ann hunter2', 'hunter2'],
    ['htpasswd -bc .htpasswd ann hunter2', 'hunter2'],
    ['wpa_passphrase home hunter2', 'hunter2'],
    ['useradd -m -p hunter2 ann', 'hunter2'],
    ['echo hunter2 | sudo -S apt update', 'hunter2'],
    ['echo hunter2 | docker login -u ann --password-stdin', 'hunter2'],
    ["echo 'ann:hunter2' | chpasswd", 'hunter2'],
    ['sudo -S true <<<hunter2', 'hunter2'],
    // URLs and headers
    ['git clone https://ann:hunter2@example.org/x', 'hunter2'],
    ['git clone https://hunter2@example.org/x', 'hunter2'],
    ['psql postgresql://ann:hunter2@db/x', 'hunter2'],
    ['redis-cli -u redis://:hunter2@db:6379', 'hunter2'],
    ["curl 'https://x.blob.example.org/a?sv=2024&sig=hunter2%3D&se=1'", 'hunter2'],
    ['wget https://x/y?X-Amz-Credential=hunter3%2F2024&X-Amz-Signature=hunter2', 'hunter2', 'hunter3'],
    ['curl https://x/y?access_token=hunter2&b=1', 'hunter2'],
    ['curl https://maps.example.org/?key=hunter2', 'hunter2'],
    ['curl https://hooks.slack.com/services/T0/B0/hunter2', 'hunter2'],
    ['curl https://discord.com/api/webhooks/12345/hunter2', 'hunter2'],
    ["curl -H 'Authorization: Bearer abc.def' x", 'abc.def'],
    ["curl -H 'PRIVATE-TOKEN: hunter2' x", 'hunter2'],
    ["curl -H 'X-Api-Key: hunter2' x", 'hunter2'],
    ['Cookie: session=1; id=2', 'session=1'],
    // tokens that are known by their look
    ['llambo: llb_0123456789abcdef', 'llb_0123456789abcdef'],
    ...[
      'sk-abcdefghijklmnopqrstuvwx',
      'sk-ant-api03-abcdefghijklmnop',
      `sk_live_${'a1'.repeat(12)}`,
      `rk_test_${'a1'.repeat(12)}`,
      `whsec_${'a1'.repeat(16)}`,
      `ghp_${'a'.repeat(36)}`,
      `github_pat_${'a'.repeat(40)}`,
      `glpat-${'a'.repeat(20)}`,
      'xoxb-123456789012-abcdefghij',
      'xapp-1-A0-123-abcdef',
      'AKIAIOSFODNN7EXAMPLE',
      `AIza${'b'.repeat(35)}`,
      `GOCSPX-${'b'.repeat(28)}`,
      `hf_${'b'.repeat(34)}`,
      `npm_${'b'.repeat(36)}`,
      `pypi-AgEIcHlwaS5vcmc${'b'.repeat(60)}`,
      `dckr_pat_${'b'.repeat(27)}`,
      `dop_v1_${hex(64)}`,
      `hvs.${'b'.repeat(24)}`,
      `shpat_${hex(32)}`,
      `SG.${'b'.repeat(22)}.${'c'.repeat(43)}`,
      `lin_api_${'b'.repeat(40)}`,
      `PMAK-${'b'.repeat(30)}`,
      `glsa_${'b'.repeat(32)}`,
      `dapi${hex(32)}`,
      `gsk_${'b'.repeat(52)}`,
      `tskey-auth-${'b'.repeat(20)}`,
      `AGE-SECRET-KEY-1${'Q'.repeat(58)}`,
      `123456789:AA${'b'.repeat(33)}`,
      'eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSM',
    ].map(token => [`tool ${token} x`, token] as const),
    ['-----BEGIN RSA PRIVATE KEY-----\nMIIE\nxyz\n-----END RSA PRIVATE KEY-----\nafter', 'MIIE', 'xyz'],
    ['-----BEGIN PRIVATE KEY-----\ncut off here: MIIE', 'MIIE'],
    ['-----BEGIN PGP PRIVATE KEY BLOCK-----\nabc\n-----END PGP PRIVATE KEY BLOCK-----', 'abc'],
    // nothing but chance
    [`tool ${KEY}`, KEY],
    [`deploy --with=${KEY} x`, KEY],
    ['error: invalid value wJalrXUtnFEMIK7MDENGbPxRfiCYzzzKEY1aB2', 'wJalrXUtnFEMIK7MDENGbPxRfiCYzzzKEY1aB2'],
  ]
  for (const [text, ...secrets] of rows) {
    for (const secret of secrets) t.notOk(redact(text).includes(secret), `${text}\n→ ${redact(text)}`)
    t.ok(hasSecret(text), text)
  }
  t.equal(
    redact('echo correct-horse', { MY_SECRET: 'correct-horse' }),
    `echo ${REDACTED}`,
    'what the environment calls a secret',
  )
})

t.test('text that is not a secret stays', async t => {
  for (const text of [
    'ls -la /tmp',
    'git commit -m "tokens"',
    'make -j8 test',
    'kubectl get pods -n auth',
    'cd /etc/ssl',
    'docker run -p 8080:80 nginx',
    'mkdir -p a/b; ssh -p 2222 host',
    'psql -p 5432 -U ann',
    'mysql -u ann -p base',
    'echo hello | wc -l',
    'PWD=/home/ann OLDPWD=/tmp make',
    'git clone ssh://git@example.org/x',
    'git clone git@example.org:ann/x.git',
    'git log --author=ann; git config user.name ann',
    'docker login --password-stdin',
    'tool --password-file /run/x --token-file y',
    "SyntaxError: Unexpected token '}'",
    'error: cannot set token here',
    'git checkout 2aa0fcdb1e6b7e9b5e1fd9c1f2fbb5b8ad7f1e0c',
    `docker pull x@sha256:${hex(64)}`,
    'uuid 123e4567-e89b-12d3-a456-426614174000',
    'cat /nix/store/0c7c96gikmzv87i7lv3vq5s1cmfjd6zf-glibc-2.38/lib/libc.so',
    'rm /tmp/tmp.Ab3dEf9hIjK2mN4pQr/x',
    'cat dGhpc0lzQUJhc2U2NEZpbGVOYW1l.txt',
    'less src/components/ServerOptionsFromEnvironment2.test.ts',
    'createServerFromOptionsWithDefaultTimeout is not defined',
    'NODE_OPTIONS=--max-old-space-size=4096 node x',
    'node_modules/@node-llama-cpp/linux-x64-cuda-ext/bins/linux-x64-cuda',
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5e8zYk2Zc0Wq7Vb3Xn1Mm9Rr4Tt6Uu8Pp0Ll2Kk5 ann@x',
    'SHA256:uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s (ED25519)',
    '"integrity": "sha512-uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2suNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s=="',
    '-rw-r--r-- 1 root root 4096 2026-11-27T21:30:00.000+00:00 x',
    'tests: 5 pass: 3 fail: 2',
    'for i in 1 2 3; do echo $i; done',
  ])
    t.equal(redact(text), text)
})

t.test('each removed secret is listed with its rule', async t => {
  t.same(takeOut('docker login -u ann -p hunter2 && curl https://ann:hunter3@x'), {
    text: `docker login -u ann -p ${REDACTED} && curl https://ann:${REDACTED}@x`,
    removed: [
      { rule: 'docker -p', text: 'hunter2' },
      { rule: 'user and password of a URL', text: 'hunter3' },
    ],
  })
  t.same(takeOut('ls'), { text: 'ls', removed: [] })
  const once = redact('export API_TOKEN=abc curl -u a:b x')
  t.equal(redact(once), once, 'twice is once')
})

t.test('redaction takes time proportional to the length of any text', async t => {
  const long = (piece: string, length: number) => piece.repeat(Math.ceil(length / piece.length))
  t.ok(redact(long('x --password a; echo q8Zr2vXw5TnB7mKc4LpD9sHf3JgY6aEu\n', 1_000_000)).length > 0, 'a megabyte')
  const time = (text: string) => {
    const started = process.cpuUsage()
    redact(text)
    const { user, system } = process.cpuUsage(started)
    return (user + system) / 1000
  }
  for (const piece of [
    'a',
    '-',
    ':',
    ' ',
    '"',
    "'",
    '\\',
    '=',
    'token',
    'token ',
    'token_',
    'token.',
    'set a_token ',
    'set token ',
    'x-',
    'a.',
    'a://',
    'https://a:',
    '?a.',
    '&token',
    'mysql ',
    'mysql -p',
    'docker login -p ',
    'machine a login ',
    'echo a|sudo -S ',
    '-----BEGIN PRIVATE KEY-----',
    '-----BEGIN ',
    'q8Zr2vXw5TnB7mKc',
    'q8Zr2vXw5TnB7mKc4LpD9sHf3JgY6aEu ',
    '--password ',
    '"mysql -p" ',
    'eyJaaaaaaaa.',
    'authorization',
    'cookie:',
    '1234567',
    'a=',
  ]) {
    // a quadratic rule would take a hundred times as long for ten times the text
    const [short, tenfold] = [time(long(piece, 10_000)), time(long(piece, 100_000))]
    t.ok(tenfold < 40 * Math.max(short, 10), `${JSON.stringify(piece)}: ${short.toFixed()} ms, ${tenfold.toFixed()} ms`)
  }
})
