/** What the guest does with llambo's tree, and what it must print. */

/** Where an operation runs, and facts that only the host knows. */
export interface At {
  dialect: '9P2000' | '9P2000.u' | '9P2000.L'
  /** `6.1` */
  kernel: string
  /** SHA-256 of the bundled model, in hexadecimal. */
  digest: string
}

type Said = string | ((at: At) => string)

/** One thing that a user does in a shell, and exactly what it prints. */
export interface Operation {
  operation: string
  /** Run by busybox's sh with lib.sh. */
  script: string
  want: Said
  /** What is worth knowing about the result. */
  note?: (at: At) => string | undefined
  /** Why it cannot be tried there. The script skips it as well. */
  not?: (at: At) => string | undefined
}

const shell = String.raw
const lines = (...all: string[]) => all.map(line => `${line}\n`).join('')

/** The text of an errno in v9fs. In 9P2000 an error is a string, and v9fs knows few of them. */
const errno = ({ dialect }: At, name: string) => (dialect === '9P2000' ? 'Unknown error 526' : name)
/** The same for a write. */
const writeErrno = (at: At, name: string) => (at.kernel === '6.12' ? 'Input/output error' : errno(at, name))

const errnoNote = ({ dialect }: At) =>
  dialect === '9P2000' ? '9P2000 has no number for it; the text is in the file error' : undefined
const writeErrnoNote = (at: At) =>
  at.kernel === '6.12' ? '6.12 gives EIO for any write that fails; the text is in the file error' : errnoNote(at)

/** What `read_tokens` prints. */
const tokens = [0, 1, 2].map(i => `{"event":"token","text":"${i ? ' ' : ''}${i}:red","ids":[${i}]}`)

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
      'dr-xr-xr-x host',
      '-r--r--r-- metrics',
      'drwxrwxr-x models',
      '-r--r--r-- namespace',
      'drwxrwxrwx session',
      '-r--r--r-- status',
      'drwxrwxrwx task',
      'drwx------ usr',
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
  { operation: 'cat ctl', script: 'cat $n/worker-0001/ctl', want: lines('slots 4', 'load echo') },
  {
    operation: 'busybox cat, wc, grep, sed',
    script: shell`cd $n/worker-0001; busybox cat ctl; wc -l ctl; grep load ctl; sed -n 1p ctl`,
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
      cp /tmp/bad.gguf $n/models/; echo cp $?; sed 's/.*model file/model file/' $n/error
      dd if=/tmp/bad.gguf of=$n/models/bad.gguf conv=fsync 2>&1 | grep -o 'fsync failed.*: .*'
      ls $n/models`,
    want: at =>
      lines(
        'cp 0',
        'model file is damaged: tensor 46 ends 1840000 bytes past the end of the file; it was truncated, or not copied completely',
        `fsync failed for '/n/n/models/bad.gguf': ${errno(at, 'Bad message')}`,
        'llambo-tiny.gguf',
      ),
    note: () =>
      'it is refused, but cp does not learn of it: v9fs drops the answer to a close; dd conv=fsync and the file error show it',
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
    operation: 'tail -f <log',
    script: shell`
      new_session $n; cd $session
      echo red >data; cat data >/dev/null
      : >/tmp/log; tail -f <log >/tmp/log & tail=$!
      until_ 'grep -q 0:red /tmp/log'
      echo green >data
      until_ 'grep -q 0:green /tmp/log'
      kill $tail; ended $tail; cat /tmp/log; echo close >&4`,
    want: lines('ended 143', 'user: red', 'assistant: 0:red', '', 'user: green', 'assistant: 0:green', ''),
    note: () => 'with <, because GNU tail waits for inotify on a name, and v9fs does not have it',
  },
  {
    operation: 'errors: names that do not exist, and may not be created',
    script: shell`
      cd $n; cat nothing; cat task/99999/status; ls nothing
      mkdir session/x; mkdir models/x; cp /dev/null new; true`,
    want: at =>
      lines(
        'cat: nothing: No such file or directory',
        'cat: task/99999/status: No such file or directory',
        "ls: cannot access 'nothing': No such file or directory",
        "mkdir: cannot create directory 'session/x': Permission denied",
        `mkdir: cannot create directory 'models/x': ${errno(at, 'Operation not permitted')}`,
        "cp: cannot create regular file 'new': Permission denied",
      ),
    note: errnoNote,
  },
  {
    operation: 'errors: a bad word to ctl',
    script: shell`cd $n; last() { sed 's/^[^ ]* ctl: //; s/; commands: .*//' error; }
      /bin/echo frobnicate >ctl; last; /bin/echo temperature 9 >ctl; last; head -1 ctl`,
    want: at =>
      lines(
        `echo: write error: ${writeErrno(at, 'Invalid argument')}`,
        'unknown command: frobnicate',
        `echo: write error: ${writeErrno(at, 'Invalid argument')}`,
        'bad argument: temperature: expected a number from 0 to 5, not "9"',
        'strategy specialise',
      ),
    note: writeErrnoNote,
  },
  {
    operation: 'errors: permission denied',
    script: shell`
      cd $n; cp /dev/null status; rm status; rmdir worker-0001; mv ctl ctl2; sed 's/.*permission/permission/' error; ls -l ctl | cut -c1-10`,
    want: at =>
      lines(
        "cp: cannot create regular file 'status': Permission denied",
        "rm: cannot remove 'status': Permission denied",
        "rmdir: failed to remove 'worker-0001': Permission denied",
        `mv: cannot move 'ctl' to 'ctl2': ${errno(at, 'Operation not permitted')}`,
        'permission denied: this file cannot be renamed',
        '-rw-rw----',
      ),
    note: errnoNote,
  },
  {
    operation: 'errors: prompts that are refused',
    script: shell`
      cd $n; head -c 1100000 /dev/zero >data 2>/dev/null || echo refused; cat data; sed 's/.*prompt too/prompt too/' error
      printf 'caf\351' >data; cat data; sed 's/.*prompt is/prompt is/' error`,
    want: at =>
      lines(
        'refused',
        `cat: data: ${errno(at, 'File too large')}`,
        'prompt too long: over 1048576 bytes',
        `cat: data: ${errno(at, 'Invalid or incomplete multibyte or wide character')}`,
        'prompt is not UTF-8',
      ),
    note: errnoNote,
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
      cat worker-0001/ctl; grep -o 'state=[a-z]*' $task/status
      dd if=data bs=1 count=5 2>/dev/null; echo
      echo cancel >$task/ctl; until_ "grep -q state=cancelled $task/status"`,
    want: lines('ended 143', 'slots 8', 'load echo', 'state=running', '0:red'),
  },
  {
    operation: 'echo > data while a read of it waits',
    script: shell`
      [ $kernel = 6.12 ] && exit
      cd $s; echo red x100000 >data; task=$(newest .)
      cat data >/dev/null & reader=$!; until_ "waits $reader"
      echo green >data; cat data; kill $reader; ended $reader; echo cancel >$task/ctl`,
    want: lines('0:green', 'ended 143'),
    not: ({ kernel }) =>
      kernel === '6.12'
        ? '6.12 keeps a file locked while a read of it waits: a writer hangs, beyond kill, until that read ends; sessions do not lock each other'
        : undefined,
  },
  {
    operation: 'a prompt in one session while a read of another waits',
    script: shell`
      new_session $s; cd $session; echo red x100000 >data
      cat data >/dev/null 2>&1 & reader=$!; until_ "waits $reader"
      (new_session $s; cd $session; echo green >data; cat data; echo close >&4)
      echo close >&4; ended $reader`,
    want: lines('0:green', 'ended 1'),
  },
  {
    operation: 'while read -r line of generate, as it is made, without and with ?chunk',
    script: shell`
      for where in $s $c; do
        exec 3<>$where/generate; echo '{"prompt":"red x100000"}' >&3
        read_tokens; task=$(newest $s); grep -o 'state=[a-z]*' $task/status
        exec 3>&-; until_ "grep -q state=cancelled $task/status"
      done`,
    want: lines(...tokens, 'state=running', ...tokens, 'state=running'),
  },
  {
    operation: 'bash: while read -r line of generate, as it is made, with ?chunk',
    script: shell`
      exec 3<>$c/generate; echo '{"prompt":"red x100000"}' >&3
      bash -c '. /job/lib.sh; read_tokens'; task=$(newest $s); grep -o 'state=[a-z]*' $task/status
      exec 3>&-; until_ "grep -q state=cancelled $task/status"`,
    want: lines(...tokens, 'state=running'),
    note: () => 'not without ?chunk: bash reads ahead, and v9fs waits until it has as much',
  },
  {
    operation: 'bash: while read -r line of event, with ?chunk',
    script: shell`
      bash -c 'for i in 1 2 3 4 5 6 7 8 9 10; do read -r line; echo "$line"; done' <$c/event |
        sed 's/seq=//; s/ .*//' | awk 'NR > 1 && $1 != last + 1 { print "a gap" } { last = $1 } END { print NR }'`,
    want: lines('10'),
  },
  ...['cat', 'busybox cat'].map(
    (cat): Operation => ({
      operation: `${cat} of an answer as it is made, with ?chunk`,
      script: shell`
        cd $c; echo red x100000 >data; task=$(newest .)
        CAT data >/tmp/out 2>/tmp/err & reader=$!
        until_ 'grep -q 0:red /tmp/out'; grep -o 'state=[a-z]*' $task/status
        until_ 'grep -q 2:red /tmp/out'; grep -o 'state=[a-z]*' $task/status
        echo cancel >$task/ctl; ended $reader; grep -o '^0:red 1:red 2:red' /tmp/out; sed 's/.*: //' /tmp/err`.replace(
        'CAT',
        cat,
      ),
      want: at =>
        lines('state=running', 'state=running', 'ended 1', '0:red 1:red 2:red', errno(at, 'Operation canceled')),
    }),
  ),
  {
    operation: 'cat of event, a line as it comes, with ?chunk',
    script: shell`
      cd $c; cat event >/tmp/out & reader=$!
      told() { grep -o 'kind=worker-\(draining\|resumed\)' /tmp/out; }
      until_ 'grep -q kind= /tmp/out'
      for word in drain resume drain resume; do
        had=$(told | wc -l)
        echo $word worker-0001 >ctl
        until_ '[ $(told | wc -l) -gt $had ]'; told | tail -1
      done
      kill $reader; ended $reader`,
    want: lines(
      ...['kind=worker-draining', 'kind=worker-resumed', 'kind=worker-draining', 'kind=worker-resumed'],
      'ended 143',
    ),
  },
  {
    operation: 'cat of an answer without ?chunk',
    script: 'cd $s; echo red x3 >data; cat data',
    want: lines('0:red 1:red 2:red'),
    note: () =>
      'shown at its end: v9fs waits until the buffer is full; mount with aname=/?chunk to see it as it is made',
  },
  {
    operation: 'cat of an answer that is cancelled, without ?chunk',
    script: shell`
      cd $s; echo red x100000 >data; task=$(newest .)
      cat data >/tmp/out 2>/tmp/err & reader=$!
      until_ "waits $reader"; dd if=$task/answer bs=1 count=11 2>/dev/null; echo; wc -c </tmp/out
      echo cancel >$task/ctl; ended $reader; cut -c1-11 /tmp/out; sed 's/.*: //' /tmp/err`,
    want: at =>
      lines(
        ...['0:red 1:red', '0', 'ended 1'],
        ...(at.kernel === '6.12' ? [] : ['0:red 1:red']),
        errno(at, 'Operation canceled'),
      ),
    note: ({ kernel }) =>
      kernel === '6.12' ? '6.12 drops what came before the error; it is still in data and in the task' : undefined,
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
    operation: 'users of one mount, access=user',
    script: shell`
      [ $dialect = 9p2000 ] && exit
      as 41001 '. /job/lib.sh; new_session $r; cd $session; exec 4>&-; echo $id >/tmp/number
        echo mine >data; cat data; stat -c "%u %a" $session; ls $r/session | sed "s/^$id\$/her own/"; cat $r/ctl'
      as 41002 '. /job/lib.sh; cd $r; ls session; cat session/$(cat /tmp/number)/history 2>&1 | sed "s/.*: //"; cat data'
      as 41001 '. /job/lib.sh; rmdir $r/session/$(cat /tmp/number); ls $r/session'`,
    want: lines(
      ...['0:mine', '41001 700', 'her own', 'clone', 'cat: /n/r/ctl: Permission denied'],
      ...['clone', 'No such file or directory'],
      'clone',
    ),
    not: ({ dialect }) => (dialect === '9P2000' ? '9P2000 names no user except the one who mounts' : undefined),
  },
  {
    operation: 'a user the server has no number for: access=any,uname=glenda',
    script: shell`
      [ $dialect = 9p2000.u ] && exit
      at /n/g $RELAY / ,access=any,uname=glenda; new_session /n/g
      echo red >$session/data; cat $session/data; task=$(newest /n/g); grep -o 'user=[a-z]*' $task/status
      echo close >&4; exec 4>&-; umount /n/g; ls $s/task/$(basename $task) | wc -l`,
    want: lines('0:red', 'user=glenda', '7'),
    not: ({ dialect }) =>
      dialect === '9P2000.u'
        ? 'v9fs takes the number that means none for a user’s, and lets nobody in: use 9P2000.L'
        : undefined,
  },
  {
    operation: 'umount while a read waits',
    script: shell`
      at /n/u $SLOW /; echo red x100000 >/n/u/data; task=$(newest /n/u)
      cat /n/u/data >/dev/null & reader=$!; until_ "waits $reader"
      umount /n/u; echo umount $?; kill -KILL $reader; ended $reader; umount /n/u; echo umount $?
      at /n/u $SLOW /; cat /n/u/worker-0001/ctl
      cat /n/u/data >/dev/null & reader=$!; until_ "waits $reader"
      umount -l /n/u; echo umount -l $?; grep -c /n/u /proc/mounts; kill $reader; ended $reader
      echo cancel >$s/task/$(basename $task)/ctl`,
    want: lines(
      "umount: can't unmount /n/u: Device or resource busy",
      'umount 1',
      'ended 137',
      'umount 0',
      'slots 8',
      'load echo',
      'umount -l 0',
      '0',
      'ended 143',
    ),
    note: () => 'refused while the read waits; possible when the reader is killed, or at once with -l',
  },
  {
    operation: 'cache=loose: a model’s checksum',
    script: 'at /n/l $FAST / ,cache=loose; sha256sum </n/l/models/llambo-tiny.gguf; umount /n/l',
    want: ({ digest }) => lines(`${digest}  -`),
  },
  {
    operation: 'cache=loose: cat ctl; echo > data; cat data',
    script: shell`
      [ $kernel = 6.1 ] && exit
      at /n/l $FAST / ,cache=loose; cat /n/l/worker-0001/ctl; echo red >/n/l/data; cat /n/l/data; umount /n/l`,
    want: lines('slots 4', 'load echo', '0:red'),
    not: ({ kernel }) =>
      kernel === '6.1' ? '6.1 believes the length 0: mount with cache=none, which is the default' : undefined,
  },
  {
    operation: 'a connection that is lost while a read waits',
    script: shell`
      at /n/k $RELAY /; echo red x100000 >/n/k/data; task=$(newest /n/k)
      cat /n/k/data >/dev/null 2>/tmp/err & reader=$!; until_ "waits $reader"
      nc 10.0.2.2 $CUT </dev/null; ended $reader; sed 's/.*: //' /tmp/err; cat /n/k/worker-0001/ctl; umount /n/k; echo umount $?
      at /n/k $RELAY /; cat /n/k/worker-0001/ctl; umount /n/k; echo cancel >$s/task/$(basename $task)/ctl`,
    want: ({ kernel }) =>
      lines(
        'ended 1',
        kernel === '6.12' ? 'Bad address' : 'Input/output error',
        'cat: /n/k/worker-0001/ctl: Input/output error',
        'umount 0',
        'slots 8',
        'load echo',
      ),
    note: ({ kernel }) =>
      `every call fails until it is mounted again${kernel === '6.12' ? '; 6.12 ends the read that waited with EFAULT' : ''}`,
  },
  {
    operation: 'the kernel logs no warning about all this',
    // the kernel logs once for each error string that it has no number for
    script: shell`dmesg -c | grep 'WARNING\|BUG\|Oops\|Call Trace\|hung\|9p' | grep -v p9_errstr2errno; true`,
    want: '',
  },
]
