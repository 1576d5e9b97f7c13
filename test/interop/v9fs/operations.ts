/** Where an operation runs, and what the host knows that it needs. */
export interface At {
  dialect: '9P2000' | '9P2000.u' | '9P2000.L'
  /** `6.1` */
  kernel: string
  /** SHA-256 of the bundled model, in hexadecimal. */
  digest: string
}

type Said = string | ((at: At) => string)

/** One thing a user does in a shell, and exactly what it prints. */
export interface Operation {
  operation: string
  /** Run by busybox's sh with lib.sh. */
  script: string
  want: Said
  /** What is worth knowing of what came. */
  note?: Said
}

const shell = String.raw
const lines = (...all: string[]) => all.map(line => `${line}\n`).join('')

export const operations: readonly Operation[] = [
  {
    operation: 'mount',
    script: shell`grep " $n " /proc/mounts | grep -o 'noextend\|version=9p2000.u' || echo extended`,
    want: ({ dialect }) =>
      ({ '9P2000': 'noextend\n', '9P2000.u': 'version=9p2000.u\n', '9P2000.L': 'extended\n' })[dialect],
  },
  {
    operation: 'ls -la of the root',
    script: 'cd $n; ls -la | names_and_modes',
    want: lines(
      '-rw-rw---- ctl',
      '-rw-rw-rw- data',
      '-rw-rw-rw- embed',
      '-r--r--r-- error',
      '-r--r--r-- events',
      '-rw-rw-rw- generate',
      '-r--r--r-- metrics',
      'drwxrwxr-x models',
      '-r--r--r-- namespace',
      'drwxrwxrwx session',
      '-r--r--r-- status',
      'drwxrwxrwx task',
      'dr-xr-xr-x worker-0001',
    ),
  },
  {
    operation: 'ls -la of a session',
    script: shell`new_session $n; cd $session; ls -la | names_and_modes; echo close >&4`,
    want: lines(
      '-rw------- ctl',
      '-rw------- data',
      '-rw------- generate',
      '-rw------- history',
      '-r-------- log',
      '-r-------- status',
      '-rw------- system',
      '-r-------- trace',
    ),
  },
  { operation: 'cat ctl', script: 'cat $n/ctl', want: lines('slots 4', 'load echo') },
  {
    operation: 'busybox cat, wc, grep, sed',
    script: shell`cd $n; busybox cat ctl; wc -l ctl; grep load ctl; sed -n 1p ctl`,
    want: lines('slots 4', 'load echo', '2 ctl', 'load echo', 'slots 4'),
  },
  {
    operation: 'echo > data; cat data',
    script: 'cd $n; echo red green > data; cat data',
    want: lines('0:red 1:green'),
  },
  {
    operation: 'echo >> data; cat data',
    script: 'cd $n; echo red green blue >> data; cat data',
    want: lines('0:red 1:green 2:blue'),
  },
  {
    operation: 'exec 3<>data; echo >&3; cat <&3',
    script: 'exec 3<>$n/data; echo red green >&3; cat <&3; echo blue >&3; cat <&3',
    want: lines('0:red 1:green', '0:blue'),
  },
  {
    operation: 'a prompt written byte by byte',
    script: 'cd $n; printf "red green" | dd bs=1 of=data 2>/dev/null; cat data',
    want: lines('0:red 1:green'),
  },
  {
    operation: 'a prompt of 200 kB',
    script: shell`
      cd $n; before=$(basename $(newest .))
      seq 100001 128571 >/tmp/prompt; echo end >>/tmp/prompt
      cat /tmp/prompt >data; cat data | wc -w
      task=$(newest .); expr $(basename $task) - $before
      cmp /tmp/prompt $task/prompt && wc -c <$task/prompt
      grep -o ' prompt_tokens=[0-9]*' $task/status`,
    want: lines('1024', '1', '200001', ' prompt_tokens=28572'),
  },
  {
    operation: 'head -c, tail -c, dd skip',
    script: shell`
      cd $n; seq 1 1000 >data; cat data >/tmp/whole
      head -c 7 data; echo
      head -c 5000 data >/tmp/part; head -c 5000 /tmp/whole | cmp - /tmp/part; wc -c </tmp/part
      tail -c 9 data
      dd if=data bs=100 skip=3 count=2 2>/dev/null >/tmp/part
      dd if=/tmp/whole bs=100 skip=3 count=2 2>/dev/null | cmp - /tmp/part; wc -c </tmp/part`,
    want: lines('0:1 1:2', '5000', '999:1000', '200'),
  },
  {
    operation: 'a model’s checksum',
    script: 'sha256sum <$n/models/llambo-tiny.gguf; stat -c %s $n/models/llambo-tiny.gguf',
    want: ({ digest }) => lines(`${digest}  -`, '2840000'),
  },
  {
    operation: 'dd with blocks of 512, 4096, 65536 bytes and 1 MiB',
    script: shell`
      cd $n/models
      for bs in 512 4096 65536 1M; do dd if=llambo-tiny.gguf bs=$bs 2>/dev/null | sha256sum; done | uniq`,
    want: ({ digest }) => lines(`${digest}  -`),
  },
  {
    operation: 'dd with blocks of 1 byte',
    script: shell`
      cd $n; seq 1 300 >data
      cat data >/tmp/whole; dd if=data bs=1 2>/dev/null | cmp - /tmp/whole; wc -w </tmp/whole`,
    want: lines('300'),
  },
  {
    operation: 'cp of a model, out and in',
    script: shell`
      cp $n/models/llambo-tiny.gguf /tmp/model.gguf; sha256sum </tmp/model.gguf
      cp /tmp/model.gguf $n/models/copy.gguf; sha256sum <$n/models/copy.gguf
      ls $n/models; rm $n/models/copy.gguf; ls $n/models`,
    want: ({ digest }) => lines(`${digest}  -`, `${digest}  -`, 'copy.gguf', 'llambo-tiny.gguf', 'llambo-tiny.gguf'),
  },
  {
    operation: 'cp of a damaged model',
    script: shell`
      head -c 1000000 $n/models/llambo-tiny.gguf >/tmp/bad.gguf
      cp /tmp/bad.gguf $n/models/; echo cp $?; cat $n/error
      dd if=/tmp/bad.gguf of=$n/models/bad.gguf conv=fsync 2>&1 | grep dd:
      ls $n/models`,
    want: '',
  },
  {
    operation: 'a session by clone, its conversation, rmdir',
    script: shell`
      new_session $n; cd $session
      echo be brief >system; cat system
      echo red >data; cat data; echo green >data; cat data
      cat history; grep -o 'messages=[0-9]*' status; cat log
      cd /; exec 4>&-; rmdir $session; ls $n/session`,
    want: lines(
      'be brief',
      '0:red',
      '0:green',
      '{"role":"user","content":"red"}',
      '{"role":"assistant","content":"0:red"}',
      '{"role":"user","content":"green"}',
      '{"role":"assistant","content":"0:green"}',
      'messages=4',
      'user: red',
      'assistant: 0:red',
      '',
      'user: green',
      'assistant: 0:green',
      '',
      'clone',
    ),
  },
  {
    operation: 'history replaced by > and grown by >>',
    script: shell`
      new_session $n; cd $session
      echo '{"role":"user","content":"a"}' >history
      echo '{"role":"assistant","content":"b"}' >>history; cat history
      echo '{"role":"user","content":"c"}' >history; cat history
      echo close >&4`,
    want: lines('{"role":"user","content":"a"}', '{"role":"assistant","content":"b"}', '{"role":"user","content":"c"}'),
  },
  {
    operation: 'rm -r of a session',
    script: shell`new_session $n; exec 4>&-; rm -r $session; ls $n/session`,
    want: lines('clone'),
  },
  {
    operation: 'tail -f log',
    script: shell`
      new_session $n; cd $session
      echo red >data; cat data >/dev/null
      tail -f log >/tmp/log & tail=$!
      until_ 'grep -q 0:red /tmp/log'
      echo green >data
      until_ 'grep -q 0:green /tmp/log'
      kill $tail; ended $tail; cat /tmp/log; echo close >&4`,
    want: lines('ended 143', 'user: red', 'assistant: 0:red', '', 'user: green', 'assistant: 0:green', ''),
  },
  {
    operation: 'errors: names that are not there, and may not be made',
    script: shell`
      cd $n; cat nothing; cat task/99999/status; ls nothing; mkdir session/x; mkdir models/x; (echo x >new); true`,
    want: '',
  },
  {
    operation: 'errors: a bad word to ctl',
    script: shell`cd $n; /bin/echo frobnicate >ctl; cat error; /bin/echo temperature 9 >ctl; cat error`,
    want: '',
  },
  {
    operation: 'errors: permission denied',
    script: shell`
      cd $n; (echo x >status); rm status; rmdir worker-0001; mv ctl ctl2; chown ann ctl; chmod 666 ctl; ls -l ctl | cut -c1-10`,
    want: '',
  },
  {
    operation: 'errors: what a prompt may not be',
    script: shell`
      cd $n; dd if=/dev/zero bs=65536 count=20 of=data 2>&1 | grep dd:; cat data; cat error
      printf 'caf\351' >data; cat data; cat error`,
    want: '',
  },
  {
    operation: 'generate',
    script: shell`
      exec 3<>$n/generate; echo '{"prompt":"red green"}' >&3
      cat <&3 | grep -o '"event":"[a-z]*"\|"text":"[^"]*"'`,
    want: lines(
      '"event":"queued"',
      '"event":"start"',
      '"event":"token"',
      '"text":"0:red"',
      '"event":"token"',
      '"text":" 1:green"',
      '"event":"end"',
    ),
  },
  {
    operation: 'a waiting read ends on a signal, and costs nothing',
    script: shell`
      cd $s; echo red x100000 >data; task=$(newest .)
      cat data >/tmp/out 2>&1 & reader=$!
      until_ "waits $reader"; kill $reader; ended $reader
      cat ctl; grep -o 'state=[a-z]*' $task/status
      dd if=data bs=1 count=5 2>/dev/null; echo
      echo cancel >$task/ctl; until_ "grep -q state=cancelled $task/status"`,
    want: lines('ended 143', 'slots 8', 'load echo', 'state=running', '0:red'),
  },
  {
    operation: 'while read -r line of generate, as it is made',
    script: shell`
      exec 3<>$s/generate; echo '{"prompt":"red x100000"}' >&3
      tokens=0
      while read -r line <&3; do
        case $line in *'"token"'*) tokens=$((tokens + 1)); echo "$line" ;; esac
        [ $tokens = 3 ] && break
      done
      task=$(newest $s); grep -o 'state=[a-z]*' $task/status
      exec 3>&-; until_ "grep -q state=cancelled $task/status"`,
    want: lines(
      ...[0, 1, 2].map(i => `{"event":"token","text":"${i ? ' ' : ''}${i}:red","ids":[${i}]}`),
      'state=running',
    ),
  },
  {
    operation: 'bash: while read -r line of generate, as it is made',
    script: shell`
      cat >/tmp/script <<'END'
exec 3<>$s/generate; echo '{"prompt":"red x100000"}' >&3
while read -r line <&3; do echo "$line"; done
END
      export s; bash /tmp/script >/tmp/lines & reader=$!
      until_ "waits $reader"; task=$(newest $s)
      dd if=$task/answer bs=1 count=17 2>/dev/null; echo
      grep -o '"event":"[a-z]*"' /tmp/lines | head -5
      kill $reader; ended $reader; until_ "grep -q state=cancelled $task/status"`,
    want: '',
  },
  {
    operation: 'cat of an answer as it is made, with ?chunk',
    script: shell`
      cd $c; echo red x100000 >data; task=$(newest .)
      cat data >/tmp/out 2>&1 & reader=$!
      until_ 'grep -q 0:red /tmp/out'; grep -o 'state=[a-z]*' $task/status
      until_ 'grep -q 2:red /tmp/out'; grep -o 'state=[a-z]*' $task/status
      echo cancel >$task/ctl; ended $reader; grep -o '^0:red 1:red 2:red' /tmp/out; sed 's/.*red//' /tmp/out`,
    want: '',
  },
  {
    operation: 'cat of events as they come, with ?chunk',
    script: shell`
      cd $c; cat events >/tmp/out & reader=$!
      until_ 'grep -q started /tmp/out'; : >/tmp/seen
      for word in drain resume drain resume; do
        had=$(grep -c 'kind=draining\|kind=resumed' /tmp/out)
        echo $word >ctl
        until_ '[ $(grep -c "kind=draining\|kind=resumed" /tmp/out) -gt $had ]'
        tail -1 /tmp/out | grep -o 'kind=.*'
      done
      kill $reader; ended $reader`,
    want: lines('kind=draining', 'kind=resumed', 'kind=draining', 'kind=resumed', 'ended 143'),
  },
  {
    operation: 'busybox cat with ?chunk',
    script: shell`
      cd $c; echo red x100000 >data; task=$(newest .)
      busybox cat data >/tmp/out 2>&1 & reader=$!
      until_ "waits $reader"; dd if=$task/answer bs=1 count=17 2>/dev/null; echo; cut -c1-5 /tmp/out
      kill $reader; ended $reader; echo cancel >$task/ctl`,
    want: '',
  },
  {
    operation: 'cat without ?chunk',
    script: shell`
      cd $s; echo red x100000 >data; task=$(newest .)
      cat data >/tmp/out 2>&1 & reader=$!
      until_ "waits $reader"; dd if=$task/answer bs=1 count=17 2>/dev/null; echo
      wc -c </tmp/out; echo cancel >$task/ctl; ended $reader; head -c 5 /tmp/out; sed 's/.*red//' /tmp/out`,
    want: '',
  },
  {
    operation: '20 readers of a model at once',
    script: shell`
      for i in $(seq 20); do sha256sum <$n/models/llambo-tiny.gguf >/tmp/sum$i & done; wait
      cat /tmp/sum* | uniq -c | sed 's/^ *//'`,
    want: ({ digest }) => lines(`20 ${digest}  -`),
  },
  {
    operation: '20 prompts at once, each its own answer',
    script: shell`
      for i in $(seq 20); do
        (exec 3<>$n/data; echo "reader$i x100" >&3; cat <&3 >/tmp/answer$i) &
      done; wait
      for i in $(seq 20); do
        seq -s ' ' 0 99 | sed "s/\([0-9]\)\( \|\$\)/\1:reader$i\2/g" | cmp - /tmp/answer$i && echo whole
      done | uniq -c | sed 's/^ *//'`,
    want: lines('20 whole'),
  },
  {
    operation: 'users of one mount',
    script: shell`
      su ann -c '. /job/lib.sh; cd $r; id -u; new_session $r; cd $session; echo mine >data; cat data; ls $r/session; stat -c "%u %a" $session
        echo $id >/tmp/number; cat $r/ctl; (echo drain >$r/ctl)'
      su bob -c '. /job/lib.sh; cd $r; ls session; cat session/$(cat /tmp/number)/history; cat data'
      rmdir $r/session/$(cat /tmp/number); ls $r/session`,
    want: '',
  },
  {
    operation: 'umount while a read waits',
    script: shell`
      at /n/u $SLOW /; echo red x100000 >/n/u/data; task=$(newest /n/u)
      cat /n/u/data >/dev/null & reader=$!; until_ "waits $reader"
      umount /n/u; echo umount $?
      kill -KILL $reader; ended $reader
      umount /n/u; echo umount $?; at /n/u $SLOW /; cat /n/u/ctl
      cat /n/u/data >/dev/null & reader=$!; until_ "waits $reader"
      umount -l /n/u; echo umount -l $?; grep -c /n/u /proc/mounts
      kill $reader; ended $reader; echo cancel >$s/task/$(basename $task)/ctl`,
    want: '',
  },
  {
    operation: 'cache=loose',
    script: shell`
      at /n/l $FAST / ,cache=loose; cat /n/l/ctl; echo red >/n/l/data; cat /n/l/data; sha256sum </n/l/models/llambo-tiny.gguf
      umount /n/l`,
    want: '',
  },
  {
    operation: 'the kernel complains of nothing',
    script: 'dmesg',
    want: '',
  },
]
