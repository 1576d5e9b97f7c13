/** What users do in llambo's own tree: the program, what it does, the script, the expected result, and a note. */
export type Use = readonly [
  client: string,
  operation: string,
  script: string,
  wanted: RegExp,
  note?: string,
  /** The expected result shows that something is missing that is not ours to provide. The row says so. */
  lacking?: 'lacking',
]

/** Runs a script with a session of its own: $S is its directory, open until the script ends. */
const session = (script: string) => `exec 4<>$N/session/clone; read n <&4; S=$N/session/$n; ${script}`
/** Runs a program that draws, in a terminal; `keys` are typed once the screen shows `shown`. */
const terminal = (command: string, shown: string, keys: string) =>
  `export S; cd $OUT; mkfifo keys; script -qfec "${command}" screen < keys > /dev/null 2>&1 & exec 5> keys
   until grep -aEq "${shown}" screen; do sleep 0.05; done 2> /dev/null; printf '${keys}' >&5; wait $!; echo "ended $?"`

const python = (code: string) => `python3 -c "
import os
N = os.environ['N']
${code}"`

const REFUSED = 'refused, and says why'

export const uses: readonly Use[] = [
  ['sh', 'echo > data, cat data', 'echo "one two" > $N/data; cat $N/data', /^exit 0\n0:one 1:two\n$/],
  [
    'sh',
    'exec 3<> data: ask and read on one descriptor',
    'exec 3<>$N/data; echo hi >&3; cat <&3; exec 3>&-',
    /^exit 0\n0:hi\n$/,
  ],
  [
    'sh',
    '>|, >>, here-document, here-string',
    'set -C; echo a >| $N/data; cat $N/data; echo b >> $N/data; cat $N/data; cat > $N/data << EOF\nc d\nEOF\ncat $N/data',
    /^exit 0\n0:a\n0:b\n0:b\n.*cannot overwrite/,
    'noclobber refuses >, as for every file that exists',
  ],
  [
    'bash',
    '$(< file), mapfile, read -r, while read',
    'x=$(<$N/status); echo "$x" | cut -c1-6 | head -1; mapfile -t a < $N/ctl; echo "$a"; read -r w rest < $N/status; echo $w; while read -r w rest; do echo $w; done < $N/namespace; cat <<< "$(< $N/namespace)" | tail -1',
    /^exit 0\nserver\nstrategy specialise\nserver\nmount\nmount\nbind\nbind -a worker-0001\/models models\n$/,
  ],
  [
    'bash',
    'a brace group and a subshell are one prompt',
    '(echo a; /bin/echo b; echo c) > $N/data; cat $N/data; { printf x; printf y; } > $N/data; cat < $N/data',
    /^exit 0\n0:a 1:b 2:c\n0:xy\n$/,
  ],
  [
    'tee',
    'into data',
    'echo hi | tee $N/data; cat $N/data; echo ho | tee -a $N/data > /dev/null; cat $N/data',
    /^exit 0\nhi\n0:hi\n0:ho\n$/,
  ],
  [
    'cat',
    'a hundred times, as watch does',
    'for i in $(seq 100); do cat $N/status; done | grep -c ^server',
    /^exit 0\n100\n$/,
  ],
  [
    'cat',
    '-n, -A, several files, onto data',
    'cat -n $N/ctl $N/namespace | tail -1; printf "x y" > $OUT/p; cat $OUT/p > $N/data; cat -A $N/data',
    /^exit 0\n +\d+\tbind -a worker-0001\/models models\n0:x 1:y\$\n$/,
  ],
  [
    'cp',
    'a file onto data, and out of the tree',
    'echo "p q" > $OUT/p; cp $OUT/p $N/data; cp $N/data $OUT/a; cat $OUT/a; cp $N/status $OUT/s; wc -l < $OUT/s',
    /^exit 0\n0:p 1:q\n4\n$/,
  ],
  [
    'cp',
    'settings saved from ctl and put back',
    'cat $N/ctl > $OUT/c; echo "temperature 0.3" > $N/ctl; cp $OUT/c $N/ctl; echo "strategy specialise" > $N/ctl; cat $N/ctl | diff $OUT/c - | grep temp',
    /^exit 0\n> temperature 0\.3\n$/,
    'a setting that the file does not have stays',
  ],
  [
    'cp',
    'lines onto ctl that are not commands',
    'echo frobnicate > $OUT/c; cp $OUT/c $N/ctl; cat $N/error',
    /^exit 0\n.*unknown command: frobnicate.*\n[\s\S]*cp: .*Invalid argument/,
    REFUSED,
  ],
  [
    'cp',
    '-r, -a of a session; diff -r with it',
    session(
      'echo hello > $S/data; cat $S/data; cp -r $S $OUT/s; diff -r $S $OUT/s; cp -a $S $OUT/t; ls $OUT/t | wc -l; cat $OUT/s/log | head -1',
    ),
    /^exit 0\n0:hello\n8\nuser: hello\n$/,
  ],
  [
    'cp',
    'a model out and in',
    'cp $N/models/llambo-tiny.gguf $OUT/m.gguf; cmp $OUT/m.gguf "$M"; cp $OUT/m.gguf $N/models/other.gguf; cmp $N/models/other.gguf "$M"; rm $N/models/other.gguf; ls $N/models',
    /^exit 0\nllambo-tiny.gguf\n$/,
  ],
  [
    'mv',
    'a file of the tree',
    'mv $N/status $N/st; mv $N/status $OUT/; ls $N | grep -c status',
    /^exit 0\n1\nmv: cannot move .*: Operation not permitted\nmv: cannot remove .*: Permission denied\n$/,
    REFUSED,
  ],
  [
    'ln',
    'hard and symbolic',
    'ln $N/status $N/x; ln -s status $N/x; ls $N/x',
    /^exit 2\nln: .*Operation not permitted\nln: .*Operation not permitted\nls: cannot access/,
    REFUSED,
  ],
  [
    'rm, rmdir, mkdir, touch',
    'what the tree does not allow',
    'rm $N/status; rm -f $N/data; rmdir $N/models; mkdir $N/x; touch $N/x; mkfifo $N/x; touch $N/data',
    /^exit 0\n(rm|rmdir|mkdir|touch|mkfifo): .*(denied|not permitted)\n[\s\S]*mkfifo: .*(denied|not permitted)\n$/,
    REFUSED,
  ],
  ['rm', '-r of a session', session('rm -r $S; ls $N/session | grep -c "^$n$"'), /^exit 1\n0\n$/],
  [
    'chmod, chown',
    'of a file of the tree',
    'chmod 600 $N/data; chmod 600 $N/status; stat -c %a $N/data',
    /^exit 0\n666\nchmod: .*not permitted\nchmod: .*not permitted\n$/,
    'refused: a file keeps its mode and its owner',
  ],
  [
    'truncate',
    'to nothing, to something',
    'truncate -s 0 $N/data; echo $?; truncate -s 5 $N/data',
    /^exit 1\n0\ntruncate: .*Operation not permitted\n$/,
    'to nothing is what > does; anything else is refused',
  ],
  [
    'dd',
    'skip=, bs=1M, of=data conv=notrunc',
    'echo "a b c" > $N/data; dd if=$N/data bs=1 skip=4 status=none; dd if=$N/data bs=1M status=none; printf "x y" | dd of=$N/data conv=notrunc status=none; dd if=$N/data skip=1 bs=2 count=1 iflag=fullblock status=none',
    /^exit 0\n1:b 2:c\n0:a 1:b 2:c\nx $/,
  ],
  [
    'dd',
    'a model in pieces',
    'dd if=$N/models/llambo-tiny.gguf bs=65537 status=none | cmp - "$M"; dd if=$N/models/llambo-tiny.gguf skip=7 bs=100000 count=2 status=none | cksum; dd if="$M" skip=7 bs=100000 count=2 status=none | cksum',
    /^exit 0\n(\d+ \d+\n)\1$/,
  ],
  [
    'head, tail, wc, sort, cut, nl, tac, od',
    'of generated text',
    'head -1 $N/status | cut -c1-6; tail -n 1 $N/namespace; tail -c 5 $N/namespace; wc -l < $N/namespace; sort $N/namespace | head -1; nl $N/namespace | wc -l; tac $N/namespace | head -1; od -c $N/namespace | head -1 | wc -w; head -c 6 $N/status',
    /^exit 0\nserver\nbind -a (.*)\ndels\n3\nbind -a \1\n3\nbind -a \1\n\d+\nserver$/,
  ],
  [
    'tail -f',
    'a session’s log',
    session(
      'tail -s 0.1 -n +1 -f $S/log > $OUT/t & p=$!; for w in one two; do echo $w > $S/data; cat $S/data > /dev/null; done; until grep -q "0:two" $OUT/t; do sleep 0.05; done; kill $p; cat $OUT/t',
    ),
    /^exit 0\nuser: one\nassistant: 0:one\n\nuser: two\nassistant: 0:two\n/,
  ],
  [
    'tail -f, tail -n',
    'events, a line at a time',
    'stdbuf -oL tail -s 0.1 -f $N/events > $OUT/t & p=$!; until grep -q started $OUT/t; do sleep 0.05; done; echo hi > $N/data; cat $N/data; until grep -q "kind=task-done" $OUT/t; do sleep 0.05; done; kill $p; tail -n 1 $N/events | grep -o "kind=task-done"; tail -n 3 $N/events | wc -l',
    /^exit 0\n0:hi\nkind=task-done\n3\n/,
  ],
  [
    'less',
    '+F events, in a terminal',
    `cd $OUT; mkfifo keys; script -qfec "less +F $N/events" screen < keys > /dev/null 2>&1 & exec 5> keys
   until grep -aq "Waiting for data" screen; do sleep 0.05; done 2> /dev/null; echo less > $N/data; cat $N/data; until [ "$(grep -ac "kind=task-done" screen)" -gt 0 ] && grep -aq "$(tail -n 1 $N/events | cut -d" " -f1)" screen; do sleep 0.1; done; printf '\\003q' >&5; wait $!; echo "ended $?"`,
    /^exit 0\n0:less\nended 0\n$/,
  ],
  [
    'cat',
    'event, which waits for more',
    'stdbuf -oL timeout 20 cat $N/event > $OUT/t & until grep -q "kind=" $OUT/t; do sleep 0.05; done; echo hi > $N/data; cat $N/data; until tail -n 1 $OUT/t | grep -q "kind=task-done"; do sleep 0.05; done; kill $!; wait $!; ls $N | grep -c "^event$"',
    /^exit 1\n0:hi\n0\n/,
    'event is not in any listing',
  ],
  [
    'cp -r, wc, diff -r',
    'the whole tree, to its end',
    'before=$(ls $N/session); cp -r $N $OUT/copy && head -c 6 $OUT/copy/status; find $N -type f -exec wc -c {} + | tail -1 | grep -c total; diff -rq $N $OUT/copy | grep -vc "status differ$\\|metrics differ$\\|clone differ$"; cmp $N/events $OUT/copy/events; [ "$(ls $N/session)" = "$before" ] && echo the same sessions',
    /^exit 0\nserver1\n0\nthe same sessions\n/,
    'status and metrics are made again; no session is left behind',
  ],
  [
    'rsync, tar',
    'generated text of the root, whole',
    'rsync -a --exclude models $N/ $OUT/r && head -c 6 $OUT/r/status; tar cf $OUT/t.tar -C $N status metrics events ctl && tar xOf $OUT/t.tar status | head -c 6; cmp $OUT/r/namespace $N/namespace; cmp $OUT/r/ctl $N/ctl',
    /^exit 0\nserverserver$/,
  ],
  [
    'python',
    'os.replace of a new file onto a system prompt; os.rename of the old one',
    session(
      "export S; python3 -c \"import os; S = os.environ['S']; os.rename(S + '/system', S + '/old'); open(S + '/new', 'w').write('be kind'); os.replace(S + '/new', S + '/system')\"; cat $S/system; ls -A $S | wc -l",
    ),
    /^exit 0\nbe kind\n9\n$/,
  ],
  [
    'grep',
    '-r through a session',
    session('echo hello > $S/data; cat $S/data > /dev/null; grep -rh hello $S | sort'),
    /^exit 0\n0:hello\n[\s\S]*user: hello\n/,
  ],
  [
    'grep',
    '-r through the whole tree',
    'before=$(ls $N/session); echo findme > $N/data; cat $N/data > /dev/null; timeout -s KILL 60 grep -rl findme $N | grep -c .; [ "$(ls $N/session)" = "$before" ] && echo the same sessions',
    /^exit 0\n[1-9]\d*\nthe same sessions\n$/,
    'and leaves no session behind',
  ],
  [
    'find',
    '-type f -exec cat',
    'find $N -type f -exec cat {} + > $OUT/all; [ $(wc -c < $OUT/all) -gt 5000000 ] && echo read',
    /^exit \d\nread\n/,
  ],
  [
    'find',
    '-type, -name, -newer, -delete',
    'find $N -maxdepth 1 -type d | wc -l; find $N -name "*.gguf" -size +1M | wc -l; find $N -maxdepth 1 -name status -delete',
    /^exit 1\n7\n2\nfind: cannot delete .*Permission denied\n$/,
  ],
  [
    'ls',
    '-lR, -la, --color, -i, -1U',
    'ls -lR $N | grep -c "^[-d]"; ls -la --color=always $N | wc -l; ls -i $N | wc -l; ls -1U $N/worker-0001 | head -1',
    /^exit 0\n[3-9]\d+\n18\n15\nctl\n$/,
  ],
  [
    'du, df, stat, file, test',
    'what they report',
    'du -a $N | tail -1 | cut -f2; df $N | tail -1 | cut -d" " -f1; stat -c "%F %s %a" $N/data $N/models; file -b $N/data; test -r $N/status; echo $?; test -s $N/status; echo $?',
    /^exit 0\n\S+\nllambo\nregular empty file 0 666\ndirectory 0 \d+\nempty\n0\n0\n$/,
    'generated text has the length that a read would give now',
  ],
  [
    'sha256sum, md5sum, cmp, cksum, gzip -c, base64',
    'a model',
    'sha256sum < $N/models/llambo-tiny.gguf; sha256sum < "$M"; cmp $N/models/llambo-tiny.gguf $N/worker-0001/models/llambo-tiny.gguf; gzip -c < $N/models/llambo-tiny.gguf | gunzip | cmp - "$M"; base64 $N/models/llambo-tiny.gguf | base64 -d | cmp - "$M"',
    /^exit 0\n(.*\n)\1$/,
  ],
  [
    'tar',
    'cf of a session: its log',
    session(
      'echo hello > $S/data; cat $S/data > /dev/null; tar cf $OUT/t.tar -C $N session/$n && tar xOf $OUT/t.tar session/$n/log; tar tf $OUT/t.tar | wc -l; cd $S && cat history | tar cf $OUT/u.tar --transform s,.*,h, $OUT/../own-history 2>/dev/null; cp history log $OUT; tar cf $OUT/v.tar -C $OUT history log && tar xOf $OUT/v.tar log | head -1',
    ),
    /^exit 0\nuser: hello\nassistant: 0:hello\n\n9\nuser: hello\n$/,
    'whole, as are the other files of generated text',
  ],
  [
    'zip',
    'of a session',
    session(
      'echo hello > $S/data; cat $S/data > /dev/null; cd $N/session && zip -qr $OUT/z.zip $n; unzip -p $OUT/z.zip $n/history | head -1; unzip -l $OUT/z.zip | tail -1 | awk "{ print \\$2 }"',
    ),
    /^exit 0\n\{"role":"user","content":"hello"\}\n9\n$/,
  ],
  [
    'rsync',
    '-a of a session: its log',
    session(
      'echo hello > $S/data; cat $S/data > /dev/null; rsync -a $S/ $OUT/s; cat $OUT/s/log; ls $OUT/s | wc -l; rsync -a --append $S/history $OUT/h; rsync -a $S/history - 2>/dev/null | wc -l',
    ),
    /^exit 0\nuser: hello\nassistant: 0:hello\n\n8\n/,
    'it takes as much of a file as its length says',
  ],
  [
    'rsync',
    'a model out, and again',
    'rsync -a $N/models/ $OUT/m; cmp $OUT/m/llambo-tiny.gguf "$M"; rsync -ai $N/models/ $OUT/m',
    /^exit 0\n$/,
  ],
  [
    'sed',
    '-i on a system prompt',
    session(
      'echo "be terse" > $S/system; sed -i s/terse/kind/ $S/system; cat $S/system; sed s/terse/kind/ $S/system > $OUT/s; cat $OUT/s > $S/system; cat $S/system; ls -A $S | wc -l',
    ),
    /^exit 0\nbe kind\nbe kind\n8\n$/,
  ],
  [
    'perl',
    '-pi on a system prompt',
    session('echo "be terse" > $S/system; perl -pi -e "s/terse/kind/" $S/system; cat $S/system; ls -A $S | wc -l'),
    /^exit 0\nbe kind\n8\n$/,
  ],
  [
    'ed',
    'a system prompt edited and written',
    session('echo "be terse" > $S/system; printf ",s/terse/kind/\\nw\\nq\\n" | ed -s $S/system; cat $S/system'),
    /^exit 0\nbe kind\n$/,
  ],
  [
    'vim',
    ':w of a system prompt',
    session(
      'echo "be terse" > $S/system; vim -u NONE -N -es -c "%s/terse/kind/" -c wq $S/system; echo $?; cat $S/system; ls -A $S | wc -l',
    ),
    /^exit 0\n0\nbe kind\n8\n$/,
  ],
  [
    'vim',
    ':w with backup, writebackup and a swap file in the directory',
    session(
      'echo "be terse" > $S/system; vim -u NONE -N -es -c "set backup writebackup directory=. backupdir=. swapfile" -c "%s/terse/kind/" -c wq $S/system; echo $?; cat $S/system; ls -A $S | wc -l',
    ),
    /^exit 0\n\d\nbe (kind|terse)\n8\n$/,
  ],
  [
    'vim',
    ':w of a file that may not be written, and of a new one',
    'vim -u NONE -N -es -c "normal onew" -c w -c q! $N/status; vim -u NONE -N -es -c "normal inew" -c w -c q! $N/new; ls $N | grep -c new; head -c 6 $N/status',
    /^exit 0\n0\nserver/,
    REFUSED,
  ],
  [
    'vim',
    'in a terminal: a file is read, changed and saved',
    session(`${terminal('vim -u NONE -N $S/system', '0-1|All|0L|system', 'ibe kind\\033:wq\\r')}; cat $S/system`),
    /^exit 0\nended 0\nbe kind\n$/,
  ],
  [
    'nano',
    'in a terminal: a file is read, changed and saved',
    session(`${terminal('nano $S/system', 'nano', 'be kind\\r\\023\\030')}; cat $S/system`),
    /^exit 0\nended 0\nbe kind\n/,
  ],
  [
    'less',
    'in a terminal and in a pipe',
    `less $N/status | head -c 6; ${terminal('less $N/status', 'server', 'Gq')}`,
    /^exit 0\nserverended 0\n$/,
  ],
  [
    'more, view, xxd',
    'status',
    'more $N/status | grep -c ^server; view -u NONE -es -c "1print" -c q! $N/namespace | tail -1 | cut -c1-4; xxd $N/status | wc -l',
    /^exit 0\n1\n(moun\n)?\d+\n/,
  ],
  [
    'python',
    "open('r+'): write, flush, read",
    python("f = open(N + '/data', 'r+'); f.write('py thon'); f.flush(); print(f.read(), end='')"),
    /^exit 0\n0:py 1:thon\n$/,
  ],
  [
    'python',
    'os.open, os.write, os.read; write_text, read_text',
    python(
      "import pathlib\nd = os.open(N + '/data', os.O_RDWR); os.write(d, b'a b'); print(os.read(d, 99)); os.close(d)\np = pathlib.Path(N, 'data'); p.write_text('c d'); print(p.read_text(), end='')",
    ),
    /^exit 0\nb'0:a( 1:b\\n)?'\n0:c 1:d\n$/,
  ],
  [
    'python',
    'generate: JSON in, a JSON line at a time out',
    python(
      "import json\nwith open(N + '/generate', 'r+') as f:\n  f.write(json.dumps({'prompt': 'x y', 'max_tokens': 9})); f.flush()\n  events = [json.loads(line) for line in f]\nprint([e['event'] for e in events if e['event'] != 'token'], ''.join(e['text'] for e in events if e['event'] == 'token'))",
    ),
    /^exit 0\n\['queued', 'start', 'end'\] 0:x 1:y/,
  ],
  [
    'python',
    'mmap of a model',
    python(
      "import mmap\nf = open(N + '/models/llambo-tiny.gguf', 'rb')\nfor how in (dict(access=mmap.ACCESS_READ), dict(flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)): print(mmap.mmap(f.fileno(), 0, **how)[:] == open(os.environ['M'], 'rb').read())",
    ),
    /^exit 0\nTrue\nTrue\n$/,
  ],
  [
    'python',
    'fifty threads with a descriptor each',
    python(
      "from concurrent.futures import ThreadPoolExecutor\ndef ask(i):\n  with open(N + '/data', 'r+') as f:\n    f.write('n%d' % i); f.flush(); return f.read() == '0:n%d\\n' % i\nprint(sum(ThreadPoolExecutor(50).map(ask, range(50))))",
    ),
    /^exit 0\n50\n$/,
  ],
  [
    'perl',
    "open '+<', <F>, sysread",
    'perl -e \'open F, "+<", "$ENV{N}/data" or die; select F; $| = 1; print F "per l"; select STDOUT; print <F>; open G, "<", "$ENV{N}/ctl"; @a = <G>; print "$a[0]"; open H, "$ENV{N}/status"; local $/; $s = <H>; print substr($s, 0, 6), "\\n"\'',
    /^exit 0\n0:per 1:l\nstrategy specialise\nserver\n$/,
  ],
  [
    'awk',
    'print > file, getline < file',
    'awk -v n="$N/data" \'BEGIN { print "a w k" > n; close(n); getline l < n; print l }\'; awk "{ print \\$1 }" $N/namespace',
    /^exit 0\n0:a 1:w 2:k\nmount\nmount\nbind\n$/,
  ],
  [
    'node',
    'readFileSync, writeFileSync, promises.open',
    '"$NODE" -e \'const fs = require("fs"); const N = process.env.N; fs.writeFileSync(N + "/data", "no de"); process.stdout.write(fs.readFileSync(N + "/data", "utf8")); fs.promises.open(N + "/data", "r+").then(async f => { await f.write("x y"); process.stdout.write((await f.readFile("utf8"))); await f.close() })\'',
    /^exit 0\n0:no 1:de\n0:x 1:y\n$/,
  ],
  [
    'busybox',
    'head, tail, wc, grep, dd, sh',
    'echo "busy box" > $N/data; busybox head $N/data; busybox tail -n 1 $N/namespace; busybox wc -l < $N/namespace; busybox grep -c . $N/namespace; busybox dd if=$N/namespace 2>/dev/null | tail -1; busybox sh -c "read l < $N/status; set -- \\$l; echo \\$1"',
    /^exit 0\n0:busy 1:box\n(bind -a .*\n)3\n3\n\1server\n$/,
  ],
  [
    'busybox cat, python shutil.copy',
    'generated text, by sendfile(2)',
    "busybox cat $N/models/llambo-tiny.gguf | cmp - \"$M\"; busybox cat $N/status; python3 -c \"import os, shutil; shutil.copyfile(os.environ['N'] + '/status', os.environ['OUT'] + '/s')\"; stat -c %s $OUT/s",
    /^exit 0\nserver [\s\S]*\n[1-9]\d+\n$/,
  ],
  [
    'xargs',
    '-P 8: forty prompts, one descriptor each',
    'seq 40 | xargs -P 8 -I{} bash -c "exec 3<>$N/data; echo p{} >&3; x=\\$(cat <&3); echo \\$x" | sort -V | cksum; seq 40 | sed s/^/0:p/ | cksum',
    /^exit 0\n(.*\n)\1$/,
  ],
  [
    'flock',
    'a lock on ctl',
    'exec 9<>$N/ctl; flock 9; flock -n $N/ctl echo got || echo held; flock -u 9',
    /^exit 0\nheld\n$/,
  ],
  [
    'diff, comm, paste, join',
    'files of the tree as they come',
    'diff $N/ctl $N/ctl && echo same; diff <(cat $N/namespace) $N/namespace && echo same; comm -12 <(sort $N/namespace) <(sort $N/namespace) | wc -l; paste -sd, $N/namespace | grep -c "bind -a worker-0001/models models$"',
    /^exit 0\nsame\nsame\n3\n1\n$/,
  ],
  [
    'git',
    'hash-object, diff --no-index of a session’s files',
    session(
      'echo hello > $S/data; cat $S/data > /dev/null; git hash-object $S/log; git hash-object --stdin < $S/log; git diff --no-index --stat $S/log $S/log; cd $S && git init -q . ; ls -A | wc -l',
    ),
    /^exit 0\n(.*\n)\1[\s\S]*8\n[\s\S]*denied/,
    REFUSED,
  ],
]

/** What a mount of real files lacks, whatever the server. As above, $N is the mount; $TREE is the tree itself. */
export const lacks: readonly Use[] = [
  [
    'setfattr, getfattr',
    'extended attributes',
    'touch $N/f; setfattr -n user.a -v b $N/f; getfattr -d $N/f; cp -a $N/f $N/g && rsync -aX $N/f $N/h; ls $N',
    /^exit 0\nf\ng\n(h\n)?setfattr: .*Operation not supported/,
    'the mount has none, and says so; cp -a goes on without them',
    'lacking',
  ],
  [
    'flock',
    'a lock against a program that is not on this mount',
    'exec 9> $TREE/l; flock 9; flock -n $N/l echo got',
    /^exit 0\ngot\n$/,
    'locks hold among the programs of one mount; the server is not asked',
    'lacking',
  ],
  [
    'ls, cat',
    'a name that is not UTF-8',
    'echo x > "$TREE/$(printf "b\\344r")"; echo y > $TREE/plain; ls $N 2> /dev/null; cat $N/b*; cat $N/plain',
    /^exit 0\nb\ufffdr\nplain\ny\ncat: .*No such file/,
    'is shown as far as it is UTF-8 and cannot be opened: 9P has no other names. The rest of the directory is there',
    'lacking',
  ],
  [
    'ls',
    'in a directory that was removed under it',
    'mkdir $N/d; cd $N/d; rmdir $N/d; ls; cd $N; ls',
    /^exit 0\nls: cannot open directory '.': No such file/,
    'fails, as over NFS; a disk shows an empty one',
    'lacking',
  ],
  [
    'python',
    'ftruncate of a file that was removed while open',
    "cd $N; python3 -c \"import os; d = os.open('f', os.O_RDWR | os.O_CREAT); os.write(d, b'abc'); os.unlink('f'); print(os.fstat(d).st_size, os.pread(d, 9, 0)); os.ftruncate(d, 1)\"",
    /^exit 1\n3 b'abc'\n[\s\S]*FileNotFoundError/,
    'fails: diod changes files by their path. Reading, writing and fstat go on',
    'lacking',
  ],
  [
    'fallocate',
    'space for a file',
    'fallocate -l 100000 $N/f; fallocate -x -l 100000 $N/f; stat -c %s $N/f',
    /^exit 0\n100000\nfallocate: .*Operation not supported\n$/,
    '9P has no message for it: -x (posix_fallocate) writes zeros',
    'lacking',
  ],
]
