/** Tests of dish's language: what is typed, and what comes out. */

import t from 'tap'
import { user } from '../../dish/space.js'
import { shell } from './fixture.js'

/** What is typed, what it prints, and its status unless that is success. */
const rows: Readonly<Record<string, readonly (readonly [text: string, out: string, status?: string | RegExp])[]>> = {
  quotes: [
    ["echo 'it''s' a'b'c", "it's abc\n"],
    ["echo ''", '\n'],
    ["echo 'two\nlines'", 'two\nlines\n'],
    ['echo a\\\n b', 'a b\n'],
    ["echo '$x' # a comment", '$x\n'],
    ['echo a#b', 'a#b\n'],
    ['echo "a  b"', '"a b"\n'],
    ['echo -n x; echo -x', 'x-x\n'],
  ],
  lists: [
    ['x=(a b c); echo $x $#x $x(2) $x(2-) $x(1-2) $"x', 'a b c 3 b b c a b a b c\n'],
    ['x=(a b c); echo $x(3 1)', 'c a\n'],
    ['x=(); echo $#x; echo a $x b', '0\na b\n'],
    ["x=('a b' c); echo $#x; y=$x(1); echo $#y", '2\n1\n'],
    ['echo (a (b c) d)', 'a b c d\n'],
    ['x=a y=(1 2); echo $x^$y; echo $x$x.$x; echo $y^-^$y', 'a1 a2\naa.a\n1-1 2-2\n'],
    ['x=() echo a$x', '', 'cannot join an empty list'],
    ['x=(1 2) y=(1 2 3); echo $x$y', '', /cannot join lists of 2 and 3 words; they must/],
    ['x=a; echo $x(0)', '', /expected an index such as 1, 2-3 or 2-, not "0"/],
    ['x=1; x=2 whatis x; echo $x', 'x=2\n1\n'],
    ['x={ echo a | cat }; echo $x; eval $x', '{ echo a | cat }\na\n'],
  ],
  words: [
    ['x=1 echo $x', '1\n'],
    ['x=1; x=2 y=$x echo $x $y; echo $x $y', '2 2\n1\n'],
    ['true; echo $status', '\n'],
    ['false', '', 'false'],
    ['true && echo yes; false || echo no; if(true) echo so', 'yes\nno\nso\n'],
  ],
  switch: [
    ['switch(b.txt) { case a*; echo 1; case b* c*; echo 2; echo 3; case *; echo 4 }', '2\n3\n'],
    ['for(i in 1 x) switch($i) {\ncase [0-9]\n\techo digit\ncase *\n\techo other\n}', 'digit\nother\n'],
    ['switch(q) { case a; echo a }; echo $status', '\n'],
    ['switch(a) { case a; echo 1; echo 2 } > s.txt; echo 3; cat s.txt', '3\n1\n2\n'],
    ['echo kept > s.txt; switch(q) { case a; echo 1 } >> s.txt; cat s.txt', 'kept\n'],
    ['echo in > s.txt; switch(a) { case a; cat } < s.txt', 'in\n'],
    ["switch(case) { case 'case'; 'case' x; case *; echo no }", '', /case: no such command/],
    ['x=(); switch($x) { case *; echo any; case; echo none }', 'none\n'],
  ],
  'here-documents': [
    ["x=1; cat <<EOF; echo after\na $x b $$x $x^y\n$*'s { }\nEOF\necho end", "a 1 b $x 1y\n's { }\nafter\nend\n"],
    ["cat <<'EOF'\na $x\nEOF", 'a $x\n'],
    ['cat <<A | { cat; cat <<B }\na\nA\nb\nB', 'a\nb\n'],
    ['if(true) cat <<E\none\nE\necho two', 'one\ntwo\n'],
    ['fn f { cat <<E\n$1\nE\n}; f x; whatis f', 'x\nfn f { cat <<EOF\n$1^\nEOF\n }\n'],
    ['cat <<E\nE', ''],
  ],
  read: [
    ['{ echo a b c; echo d } | { read x y; echo $#y $x - $y; cat }', '1 a - b c\nd\n'],
    ['cat a.txt | while(read x) echo got $x', 'got alpha\ngot beta\ngot gamma\n'],
    ['x=`{echo one | read}; echo $x', 'one\n'],
    ['cat <<E | { read x; read y; echo $x+$y }\n1\n2\nE', '1+2\n'],
    ['read x', '', 'eof'],
    ['read 1', '', /^read: expected a variable name, not "1"; usage: read /],
  ],
  globs: [
    ['echo *.txt', 'a.txt b.txt\n'],
    ['echo worker-*', 'worker-0001 worker-0002 worker-0010\n'],
    ['echo dir/x? d*/[xy]*', 'dir/x1 dir/x2 dir/x1 dir/x2 dir/y\n'],
    ['echo dir/[~y]*', 'dir/sub dir/x1 dir/x2\n'],
    ['echo d*/sub/x1 d*/nope', 'dir/sub/x1 d*/nope\n'],
    ['echo /n/llambo/dir/s*/', '/n/llambo/dir/sub/\n'],
    ["echo nope* '*.txt'", 'nope* *.txt\n'],
    ['x=*.txt; echo $#x', '2\n'],
    ["x='*.txt'; echo $x; cd dir; echo *", '*.txt\nsub x1 x2 y\n'],
    ['cd dir/sub; echo ../x*', '../x1 ../x2\n'],
  ],
  output: [
    ['echo `{echo a; echo b}', 'a b\n'],
    ['x=`{cat a.txt}; echo $#x $x(2)', '3 beta\n'],
    ["ifs='e' x=`{cat b.txt}; echo $#x", '2\n'],
    ['x=`{cat nope}; echo $status', '/n/llambo/nope: file does not exist (llambo, as $USER)\n'],
  ],
  pipes: [
    ['cat a.txt | grep -v beta | wc -l', '2\n'],
    ['echo a | { cat; echo b }', 'a\nb\n'],
    ['cat events | head -n 1', 'one\n'],
    ['{ while(~ 1 1) echo x } | head -n 2', 'x\nx\n'],
    ['{ while(~ 1 1) echo x | cat } | { head -n 1; echo end }', 'x\nend\n'],
    ['fn f { for(i in 1 2) echo $i; cat events; echo no }; f | head -n 3', '1\n2\none\n'],
    ['cat nope | cat', '', /\/n\/llambo\/nope: file does not exist \(llambo, as .*\)\|$/],
    ['x=1; { x=2 } | cat; echo $x', '1\n'],
    ['x=1; x=2 { echo $x }; echo $x; b={ echo in }; $b', '2\n1\nin\n'],
    ['{ x=2 }; echo $x', '2\n'],
  ],
  redirection: [
    ['echo a > new; echo b >> new; cat new; cat < new | wc -l; rm new', 'a\nb\n2\n'],
    ['cat nope >[2] err; cat err; rm err', 'dish: /n/llambo/nope: file does not exist (llambo, as $USER)\n'],
    ['cat nope >[2=1] | wc -l', '1\n', /.*/],
    ['{ echo a; echo b >[1=2] } > new; cat new; rm new', 'a\n'],
    ['echo x > (a b)', '', /expected one file for a redirection, not 2: a b/],
    ['echo x > dir', '', '/n/llambo/dir: is a directory (llambo, as $USER)'],
    ['cat < dir', '', '/n/llambo/dir: is a directory (llambo, as $USER)'],
    ['echo x > secret', '', '/n/llambo/secret: permission denied (llambo, as $USER)'],
    ['echo x > nope/y', '', '/n/llambo/nope/y: file does not exist (llambo, as $USER)'],
    ['> new; stat new | grep -c length=0; rm new', '1\n'],
    ['mkdir d; echo x > d/y; rm -r d; ls d', '', '/n/llambo/d: file does not exist (llambo, as $USER)'],
  ],
  control: [
    ['for(i in 1 2) echo n$i; echo $i', 'n1\nn2\n2\n'],
    ['fn f { for(i) echo -$i }; f a b', '-a\n-b\n'],
    ['if(~ a a) echo yes; if not echo no', 'yes\n'],
    ['if(~ a b) echo yes\nif not echo no', 'no\n'],
    ['if(~ a b) echo yes', ''],
    ['if(~ a b) {echo yes} if not {if(~ 1 2) echo 1; if not echo 2}; echo end', '2\nend\n'],
    ['x=(); while(not ~ $#x 3) x=($x a); echo $x', 'a a a\n'],
    ['~ a b && echo yes || echo no', 'no\n'],
    ['~ a a && echo yes || echo no', 'yes\n'],
    ['not ~ a b && echo right', 'right\n'],
    ['~ (a b) c b', ''],
    ['~ foo f* && ~ foo f?? && ~ foo [e-g]oo && not ~ foo [a-c]*', ''],
    ["~ 'f*' 'f*' && not ~ foo 'f*' && ~ a/b a*", ''],
    ['x=(); ~ $x && not ~ $x a*', ''],
    ['~ foo b*', '', 'no match'],
  ],
  functions: [
    ['fn f { echo $1 $#* $*; shift; echo $* }; f a b; echo $#*', 'a 2 a b\nb\n0\n'],
    ['fn f { echo f }; whatis f; fn f; f', 'fn f { echo f }\n', /^f: no such command/],
    ['fn f { f }; f', '', /f: more than 200 nested calls/],
    ['fn hi { cat }; echo a | hi', 'a\n'],
  ],
  status: [
    ['~ a b; echo $status; echo $#status', 'no match\n1\n'],
    ['exit; echo no', ''],
    ['exit 7', '', '7'],
    ['status=bad; echo $status', 'bad\n'],
    ['lss', '', 'lss: no such command (did you mean ls?)'],
    ['nonsense', '', 'nonsense: no such command; help lists the commands, !nonsense runs one of this machine'],
    ['ls -z', '', 'ls: unknown option -z; usage: ls [-l] [-d] [--json] [PATH…]'],
    ['head -n', '', /^head: missing value for -n; usage: head /],
    ['X=1 !env', '', /^!env: no such command; put ! first: !VARIABLE=VALUE env$/],
    [
      'echo a > /tmp/x',
      '',
      /^\/tmp\/x: file does not exist \(dish, as \S+\); use ! commands for files of this machine$/,
    ],
    ['import ws://127.0.0.1:1/9p', '', /^import: cannot reach ws:\/\/127\.0\.0\.1:1\/9p: no server answers$/],
    ['head -n x a.txt', '', /^head: -n: expected a whole number from 0, not "x"; usage: head /],
    ['cp a.txt', '', /^cp: missing argument; usage: cp PATH… DEST$/],
    ['bind a', '', /^bind: missing argument; usage: bind /],
    ['bind a b c', '', /^bind: unexpected argument "c"; usage: bind /],
  ],
  filters: [
    ['head -n 2 a.txt', 'alpha\nbeta\n'],
    ['head -2 a.txt | tail -n 1', 'beta\n'],
    ['head -c 3 a.txt b.txt', '==> a.txt <==\nalp==> b.txt <==\nbet'],
    ['tail -n 1 a.txt b.txt', '==> a.txt <==\ngamma\n==> b.txt <==\nbeta\n'],
    ['tail -n 0 a.txt; tail -n 9 b.txt', 'beta\n'],
    ['wc a.txt b.txt', '3 3 17 a.txt\n1 1 5 b.txt\n4 4 22 total\n'],
    ['grep -n et a.txt b.txt', 'a.txt:2:beta\nb.txt:1:beta\n'],
    ['grep -l alpha a.txt b.txt; grep -c a a.txt', 'a.txt\n3\n'],
    ['grep -i -v BETA a.txt', 'alpha\ngamma\n'],
    ["echo 'a.b' | grep -F .b", 'a.b\n'],
    ['grep zzz a.txt', '', 'no match'],
    ["grep '[' a.txt", '', /^grep: Invalid regular expression/],
    ['sort -r a.txt', 'gamma\nbeta\nalpha\n'],
    ["echo '10\n9\n9' | sort -n -u", '9\n10\n'],
    ["echo 'b 1\na 2' | sort -k 2", 'b 1\na 2\n'],
    ["echo 'c 1\na 1\nb 1' | sort -k 2", 'a 1\nb 1\nc 1\n'],
    ["echo 'a 1\nc 1\nb 1' | sort -k 2", 'a 1\nb 1\nc 1\n'],
    ["echo 'x b\n1 a\nx a' | sort -k 2", '1 a\nx a\nx b\n'],
    ['find dir --name x* --type f', 'dir/sub/x1\ndir/x1\ndir/x2\n'],
    ['find dir --type d', 'dir\ndir/sub\n'],
    ['find dir --depth x', '', /^find: --depth: expected a whole number from 0, not "x"; usage: find /],
    ['find dir --depth 1.5', '', /^find: --depth: expected a whole number from 0, not "1\.5"; /],
    ['find dir --type x', '', /^find: --type: expected d or f, not "x"; /],
    ['all -j 1.5 ls', '', /^all: -j: expected a whole number from 1, not "1\.5"; /],
    ['watch -n 0.01 ls', '', /^watch: -n: expected seconds from 0\.1, not "0\.01"; /],
    ['shift x', '', /^shift: expected a whole number from 0, not "x"; /],
    ['kill x', '', /^kill: expected a task number \(ps lists them\), or %N for a job, not "x"; usage: kill TASK…$/],
    ['sleep 0 &; wait; kill %1', '', /^kill: %1: already finished$/],
    ['ls dir; ls -d dir', 'sub\nx1\nx2\ny\ndir\n'],
    ["cat 'two words' it''s", 'blank\n', /its: file does not exist/],
    ['cp a.txt b.txt dir; cat dir/a.txt | head -n 1; rm dir/a.txt dir/b.txt; ls dir/a*', 'alpha\n', /dir\/a\*/],
    ['cat a.txt nope b.txt | tail -n 1', 'beta\n', /nope/],
    ['rm dir', '', '/n/llambo/dir: is a directory; use rm -r, or rmdir for a session or a task'],
    ['rmdir a.txt', '', '/n/llambo/a.txt: not a directory'],
    ['rm -f nope', ''],
  ],
  places: [
    ['pwd; cd dir; pwd; cd -; cd; pwd', '/n/llambo\n/n/llambo/dir\n/n/llambo\n/n/llambo\n'],
    ['cd /; ls; cd n; ls', 'n\nusr\ndish\nllambo\n'],
    ['cd a.txt', '', '/n/llambo/a.txt: not a directory'],
    ['cd nope; pwd', '/n/llambo\n'],
    ['cd ../../../..; pwd', '/\n'],
  ],
}

const mine = (text: string) => text.replaceAll('$USER', user.name)

for (const [about, table] of Object.entries(rows))
  t.test(`${about}: each line has its output and status`, async t => {
    const dish = await shell(t)
    for (const [text, out, status = ''] of table) {
      const { state } = dish.session
      const said = await dish.run(text)
      t.equal(said.out, mine(out), text)
      if (typeof status === 'string') t.equal(said.status, mine(status), `${text}: status`)
      else t.match(said.status, status, `${text}: status`)
      state.variables.clear()
      state.functions.clear()
      state.cwd = state.before = '/n/llambo'
    }
  })
