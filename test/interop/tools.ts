/**
 * Ordinary programs at their ordinary work: the program, what it does, the script. `$SRC` is a small tree and `$OUT` an
 * empty directory, both outside the mount.
 */
export const tools: readonly (readonly [client: string, operation: string, script: string])[] = [
  ['cp', '-a of a tree: links, modes, times', 'cp -a "$SRC/." . && diff -r --no-dereference "$SRC" .'],
  [
    'cp',
    '-r within the mount, then over itself',
    'cp -r "$SRC" a; cp -r a b; cp -r a/. b; diff -r a b; cp b/text b/text',
  ],
  [
    'cp',
    '--sparse, --update, --backup, -l, -s',
    'cp --sparse=always "$SRC/big" s; cp -u "$SRC/text" .; cp --backup=numbered "$SRC/empty" text; cp -l s l; cp -s "$PWD/s" y; cmp s l; cmp y l',
  ],
  [
    'mv',
    'within a directory, across, over a file, over an empty directory, into itself',
    'mkdir -p a/b c e; echo 1 > a/f; echo 2 > c/g; mv a/f a/h; mv a/h c/; mv c/h c/g; cat c/g; mv a/b c/; mv -T c e; mv e e/b; mkdir -p x/y; mv -T e x; mv -n c a; ls -R',
  ],
  ['mv', 'out of the mount and back', 'cp -a "$SRC" s; mv s "$OUT/s"; ls -A; mv "$OUT/s" t; ls -AR t'],
  [
    'rm',
    '-rf of a tree, and what it refuses',
    'cp -a "$SRC" s; mkdir -p s/deep/deeper; rm s; rmdir s; rm -rf s; rm nothing; rm -f nothing; ls -A',
  ],
  [
    'mkdir, rmdir',
    '-p, -m, what exists, what is not empty',
    'mkdir -p a/b/c; mkdir -m 750 m; mkdir a; rmdir a; rmdir -p a/b/c; mkdir x/y; umask 077; mkdir u; rmdir nothing',
  ],
  [
    'ln',
    'hard and symbolic links, dangling, -sf, to a directory',
    'echo 1 > f; mkdir d; ln f g; ln -s f s; ln -s nowhere n; ln -sf g s; ln -s d e; ln -sr d/../f d/r; cat s d/r; ls e/; cat n; ln f g; ln d h; echo 2 > g; cat f; rm f; stat -c %h g',
  ],
  [
    'touch',
    '-d with nanoseconds, -r, -a, -m, -c',
    'touch -d "2001-02-03 04:05:06.123456789" f; touch -r f g; touch -c nothing; touch h; touch -m -d 1999-01-01 h; touch -d @0 h; touch -a -d 1998-07-08 f; touch -d 1960-01-02 o; stat -c "%x %y" f g; stat -c %y h',
  ],
  [
    'chmod, chown, chgrp',
    'octal, symbolic, -R, special bits',
    'cp -r "$SRC" s; chmod 640 s/text; chmod u+x,go-r s/text; chmod -R a-w s; chmod 4755 s/text; chmod 1777 s; chown 12:34 s/text; chgrp 56 s/big; chown -h 7:8 s/link; stat -c "%a %u %g %n" s s/text s/big s/link',
  ],
  [
    'truncate',
    'to less, to more, to nothing, beyond the end',
    'printf 0123456789 > f; truncate -s 4 f; cat f; truncate -s 100 f; wc -c < f; truncate -s +1M f; truncate -s 0 f; truncate -s 5G g; stat -c %s g; rm g',
  ],
  [
    'dd',
    'conv=notrunc seek=, skip=, oflag=append, oflag=sync, a hole',
    'dd if="$SRC/big" of=f bs=1000 2>/dev/null; printf XYZ | dd of=f bs=1 seek=1500 conv=notrunc status=none; dd if=f bs=1 skip=1498 count=7 status=none | od -c; printf end | dd of=f oflag=append conv=notrunc status=none; tail -c 5 f | od -c; printf x | dd of=h bs=1 seek=100000 status=none; cksum f h; dd if="$SRC/big" of=g bs=64k oflag=sync conv=fsync status=none; dd if=g of=/dev/null bs=100k 2>&1 | head -2',
  ],
  [
    'head, tail, wc, od',
    'from the front, the end, the middle',
    'seq 10000 > f; head -3 f; head -n -9998 f; tail -2 f; tail -n +9999 f; tail -c 7 f; head -c 5 f; wc f; od -A d -t x1 -j 48000 -N 8 f; tac f | head -2; nl f | tail -1',
  ],
  [
    'sort, uniq, comm, join, paste',
    'also onto their own input',
    'seq 2000 | shuf --random-source="$SRC/big" > f; sort -n -o f f; head -3 f; sort -r f -o f; sort -u f f > g; comm -12 f g | wc -l; paste -d, f g | head -2; sort -S 64k -T . --parallel=2 -n f | cksum',
  ],
  [
    'split, csplit, cat',
    'in pieces and together again',
    'split -b 10000 "$SRC/big" p.; cat p.* | cmp - "$SRC/big"; rm p.*; seq 100 | split -l 7 - l; ls | wc -l; cat l* | cksum; cat laa laa >> lab; wc -l < lab; seq 10 > s; csplit -s s 4 8; cat xx01',
  ],
  ['tee', '-a, to several files', 'echo 1 | tee a b > /dev/null; echo 2 | tee -a a b; cat a b'],
  ['cat', 'onto the file it reads', 'echo x > f; cat f >> f; echo $?; cat < f f | cat -A; cat nothing'],
  [
    'stat, ls, du',
    'what they report of files',
    'cp -a "$SRC/." .; stat -c "%n %s %F %a %h %b %o" text big empty; ls -la --time-style=+%s text link; ls -ls big; ls -1U | sort; ls -d */; du -ab --exclude=. . | sort -k2 | grep -v "\\.$"; stat nothing; stat -f -c "%T %l" . | cut -d" " -f2',
  ],
  [
    'install',
    '-D, -m, -d, over a file',
    'install -D -m 711 "$SRC/text" a/b/c; install -d -m 700 d/e; install "$SRC/empty" a/b/c; install -p "$SRC/text" p; stat -c "%a %n" a/b/c d/e p',
  ],
  [
    'mktemp',
    'a file and a directory here',
    'f=$(mktemp ./XXXXXX); d=$(mktemp -d ./dXXXX); stat -c "%a %F" "$f" "$d"; rm "$f"; rmdir "$d"',
  ],
  ['shred', '-u', 'cp "$SRC/text" f; shred -n 2 -u f; ls -A'],
  ['mkfifo', 'a pipe between two programs', 'mkfifo p; stat -c %F p; cat p & echo through > p; wait; rm p'],
  ['sync', 'a file and its file system', 'echo 1 > f; sync f; sync -f f; sync -d f; echo $?'],
  [
    'readlink, realpath, basename',
    'through links and ..',
    'mkdir -p a/b; echo 1 > a/f; ln -s ../f a/b/l; ln -s a/b d; readlink d/l; realpath --relative-to=. d/l; cd d; cd ..; basename "$(pwd -P)"; cat b/l; cd -P b/..; cat f',
  ],
  [
    'grep',
    '-r, -R, -l, -c, -q, --include',
    'cp -a "$SRC/." .; grep -r line . | sort | head -5; grep -c line text; grep -rl line . | sort; grep -Rl line . | sort | head; grep -q zzz text; echo $?; grep -r --include="*.md" . | wc -l; grep line nothing',
  ],
  [
    'sed',
    '-i, -i.bak, -s',
    'seq 5 > f; sed -i 2d f; sed -i.bak s/3/three/ f; cat f f.bak; sed -n "\\$=" f; chmod 640 f; sed -i 1d f; stat -c %a f; ls -A',
  ],
  [
    'awk',
    'reading, writing, getline, in place',
    'seq 20 > f; awk "{ s += \\$1; print > (\\$1 % 3) } END { print s }" f; wc -l 0 1 2; awk "BEGIN { while ((getline l < \\"f\\") > 0) n++; print n }"; awk 1 f > f.new && mv f.new f; cksum f',
  ],
  [
    'find',
    '-delete, -newer, -size, -perm, -type, -empty, -exec',
    'cp -a "$SRC/." .; find . -type l; find . -empty | sort; find . -size +1k -type f | sort; find . -perm -u+x | sort; find . -newermt 2002-01-01 ! -newermt 2005-01-01 | sort; find . -name "*.md" -exec cat {} +; find . -links 2 -type f | sort; find dir -delete; find . | sort',
  ],
  [
    'xargs',
    '-P 4, a hundred writers',
    'seq 100 | xargs -P 4 -I{} sh -c "echo {} > f{}"; cat f* | sort -n | cksum; ls | wc -l; ls | xargs rm; ls -A',
  ],
  [
    'tail -f',
    'follows what is appended, and a new file of the name (-F)',
    ': > "$OUT/t"; : > "$OUT/u"; echo 1 > f; tail -s 0.1 -n +1 -f f > "$OUT/t" & p=$!; for i in 2 3; do echo $i >> f; done; until [ "$(wc -l < "$OUT/t")" = 3 ]; do :; done; kill $p; cat "$OUT/t"; tail -s 0.1 -n +1 -F f > "$OUT/u" 2>/dev/null & p=$!; until [ "$(wc -l < "$OUT/u")" = 3 ]; do :; done; mv f g; echo new > f; until grep -q new "$OUT/u"; do :; done; kill $p; cat "$OUT/u"',
  ],
  [
    'tar',
    'c, x, r, --delete, --exclude, sparse, hard links',
    'cp -a "$SRC" s; tar cf t.tar s; tar tf t.tar | sort; mkdir x; tar xpf t.tar -C x; diff -r --no-dereference s x/s; tar rf t.tar -C "$SRC" text; tar tf t.tar | wc -l; tar czf z.tgz --exclude=big s; tar tzf z.tgz | wc -l; tar df t.tar; truncate -s 1M h; tar cSf h.tar h; [ $(stat -c %s h.tar) -lt 100000 ]; echo $?; rm -rf x *.tar *.tgz',
  ],
  [
    'cpio',
    '-pdm of a tree',
    'cd "$SRC" && find . | cpio -pdm --quiet "$OLDPWD/c"; cd - > /dev/null; diff -r --no-dereference "$SRC" c',
  ],
  [
    'gzip, xz, bzip2',
    'in place and back',
    'cp "$SRC/big" f; cksum < f; gzip f; ls; zcat f.gz | cksum; gunzip f.gz; xz f; xz -d f.xz; bzip2 f; bunzip2 f.bz2; cksum < f; gzip -t f; echo $?',
  ],
  [
    'zip, unzip',
    'a tree there and back',
    'cp -r "$SRC" s; zip -qry z.zip s; mkdir x; unzip -q z.zip -d x; diff -r --no-dereference s x/s; zip -q z.zip s/text; rm z.zip',
  ],
  [
    'rsync',
    '-a twice: the second has nothing to do',
    'rsync -a "$SRC/" d; rsync -aHi "$SRC/" d; diff -r --no-dereference "$SRC" d; echo more >> d/text; rsync -a --checksum --delete -i "$SRC/" d | cut -c1-4; rsync -a --inplace d/ e; rsync -a --append-verify d/ e; rsync -aHin d/ e; ls -A d',
  ],
  [
    'git',
    'init, add, commit, status, log',
    'git init -q -b main .; cp -r "$SRC/." .; git add -A; git commit -qm one; git status --short; echo x >> text; git status --short; git diff --stat; git commit -qam two; git log --format=%s; git rev-parse HEAD^{tree}',
  ],
  [
    'git',
    'branch, merge, stash, rebase, checkout, mv, rm',
    'git init -q -b main .; seq 9 > f; git add f; git commit -qm 1; git checkout -qb side; sed -i s/2/two/ f; git commit -qam 2; git checkout -q main; sed -i s/8/eight/ f; git commit -qam 3; git merge -q -m 4 side; cat f; echo y > g; git add g; git stash -q; ls; git stash pop -q; git commit -qm 5; git mv g h; git rm -q --cached f; git status --short; git reset -q --hard; git rebase -q HEAD~1; git log --format=%s | cat',
  ],
  [
    'git',
    'gc, repack, fsck, clone, worktree',
    'git init -q -b main a; cd a; for i in 1 2 3 4 5; do cp "$SRC/big" big$i; echo $i >> big$i; git add -A; git commit -qm $i; done; git gc -q; git fsck --no-progress; ls .git/objects/pack | sed "s/-.*\\././"; git repack -adq; cd ..; git clone -q a b; git -C b log --format=%s | cat; git clone -q --bare a c.git; git -C b push -q ../c.git HEAD:new; git -C c.git branch; git -C a worktree add -q ../w HEAD~2; ls w; rm -rf a b c.git w',
  ],
  [
    'sh',
    '>, >>, 2>&1, <>, <<, noclobber, exec',
    'echo 1 > f; echo 2 >> f; cat f; sh -c "echo e >&2" > g 2>&1; cat g; exec 3<>f; read a <&3; echo "$a"; echo X >&3; cat f; exec 3>&-; set -C; echo no > f; echo yes >| f; cat f; set +C; cat << EOF > h\nhere\nEOF\ncat h; : > f; wc -c < f; > f; echo a > dir/f; exec 4>> f; echo b >&4; echo c >> f; cat f',
  ],
  [
    'sh',
    'umask of new files and directories',
    'for u in 000 022 027 077; do umask $u; echo > f$u; mkdir d$u; done; stat -c "%a %n" *',
  ],
  [
    'sh',
    'a script and a binary run from here',
    'printf "#!/bin/sh\\necho ran \\$1\\n" > s; ./s; chmod +x s; ./s one; cp /bin/true t; ./t; echo $?; cp /bin/echo e; ./e hi; echo x >> s; ./s 2>&1 | head -1; sh < s | head -1; . ./s 2> /dev/null',
  ],
  [
    'sh',
    'two writers append to one file',
    'for w in a b; do (for i in $(seq 200); do echo $w$i >> f; done) & done; wait; wc -l f; sort f | cksum; (for i in $(seq 200); do echo x$i; done >> f) & (for i in $(seq 200); do echo y$i; done >> f) & wait; wc -l f; sort f | cksum; rm f',
  ],
  [
    'sh',
    'a file that was removed while it was open',
    'exec 3<>f; echo one >&3; rm f; echo two >&3; stat -L -c "%h %s" /proc/self/fd/3; ls -A; echo new > f; exec 3>&-; cat f',
  ],
  [
    'sh',
    'a directory that was removed while it was the current one',
    'mkdir d; cd d; rmdir ../d; echo x > f; cd ..; ls -A',
  ],
  [
    'sh',
    'names with spaces, newlines, quotes, UTF-8, 255 bytes',
    'n=$(printf "%0255d" 0); for f in "a b" " lead" $\'new\\nline\' "q\'\\"" -dash "ünï ☃" "$n" "back\\\\slash" "*" "...";  do echo "$f" > "./$f"; cat -- "$f"; mv -- "$f" "$f" 2>/dev/null; done; find . -print0 | sort -z | tr "\\0" "\\n"; echo x > "$n"1; rm -- *; ls -A',
  ],
  [
    'sh',
    'a thousand files in one directory',
    'mkdir d; for i in $(seq 1000); do echo $i > d/$i; done; ls d | wc -l; cat d/* | sort -n | cksum; find d -type f | wc -l; rm -r d; ls -A',
  ],
  [
    'sh',
    'a path of sixty directories',
    'p=$(printf "d/%.0s" $(seq 60)); mkdir -p $p; echo deep > $p/f; cat $p/f; find . | wc -l; (cd $p; pwd | tr / "\\n" | tail -60 | sort -u; cat f); rm -r d',
  ],
  [
    'sh',
    'test -f, -d, -L, -s, -x, -nt, -ef',
    'cp -a "$SRC/." .; touch -d 2000-01-01 old; for t in "-f text" "-d dir" "-L link" "-s empty" "-x run.sh" "-x text" "text -nt old" "link -ef text" "text -ef hard" "-w text" "-p text"; do test $t; echo "$t $?"; done',
  ],
  [
    'flock',
    'one at a time, -n refused while it is held',
    'exec 9> l; flock 9; flock -n l echo got || echo held; flock -u 9; flock -n l echo got; for i in 1 2 3 4; do (flock 8; n=$(cat n 2>/dev/null || echo 0); echo $((n+1)) > n) 8> m & done; wait; cat n',
  ],
  [
    'python',
    'open r+, w, a, x, truncate, seek, os.replace, O_EXCL',
    `python3 -c "
import os
f = open('f', 'x'); f.write('0123456789'); f.close()
try: open('f', 'x')
except FileExistsError as e: print('exists', e.errno)
f = open('f', 'r+'); f.seek(3); f.write('abc'); f.seek(0); print(f.read()); f.truncate(5); f.close(); print(open('f').read())
a = open('f', 'a'); a.seek(0); a.write('end'); print(a.tell()); a.close(); print(open('f').read())
open('g', 'w').write('new'); os.replace('g', 'f'); print(open('f').read(), os.listdir('.'))
h = open('f', 'rb'); open('t', 'w').write('over'); os.replace('t', 'f'); print(h.read(), open('f').read(), os.fstat(h.fileno()).st_size)
d = os.open('e', os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640); os.write(d, b'x' * 100); os.ftruncate(d, 50); os.lseek(d, -10, 2); print(len(os.read(d, 100))); os.fsync(d); os.fdatasync(d); os.pwrite(d, b'yy', 60); print(os.pread(d, 9, 48)); os.close(d)
s = open('s', 'wb'); s.seek(70000); s.write(b'z'); s.close(); print(os.stat('s').st_size)
try: os.rmdir('f')
except OSError as e: print(e.errno)
try: os.open('f/x', 0)
except OSError as e: print(e.errno)
try: os.open('.', os.O_WRONLY)
except OSError as e: print(e.errno)
"`,
  ],
  [
    'python',
    'scandir, walk, glob, shutil, pathlib, tempfile',
    `python3 -c "
import os, shutil, pathlib, tempfile, glob
shutil.copytree(os.environ['SRC'], 's', symlinks=True)
print(sorted((e.name, e.is_dir(), e.is_file(), e.is_symlink()) for e in os.scandir('s')))
print(sorted(len(f) for _, _, f in os.walk('s')), sorted(glob.glob('s/**', recursive=True)))
shutil.move('s', 't'); shutil.copy2('t/text', 'u'); print(os.stat('u').st_mtime == os.stat('t/text').st_mtime)
p = pathlib.Path('t/new'); p.write_text('ä'); print(p.read_text(), p.stat().st_size); p.unlink()
os.chmod('u', 0o600); os.utime('u', ns=(1, 123456789)); print(os.stat('u').st_mtime_ns)
t = tempfile.TemporaryFile(dir='.'); t.write(b'x' * 1000); t.flush(); print(os.fstat(t.fileno()).st_size); t.seek(0); print(len(t.read()))
with tempfile.NamedTemporaryFile(dir='.') as n: n.write(b'y'); n.flush(); print(open(n.name).read())
with tempfile.TemporaryDirectory(dir='.') as d: open(d + '/f', 'w').close()
shutil.rmtree('t'); print(sorted(os.listdir('.')))
"`,
  ],
  [
    'python',
    'mmap: reading, private, shared and written',
    `python3 -c "
import mmap, os
data = open(os.environ['SRC'] + '/big', 'rb').read()
open('f', 'wb').write(data)
f = open('f', 'r+b')
r = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ); print(r[:] == data, r.find(data[-20:]) == len(data) - 20)
c = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY); c[0:5] = b'hello'; print(open('f', 'rb').read(5) == data[:5])
w = mmap.mmap(f.fileno(), 0); w[10:15] = b'WORLD'; w[-3:] = b'end'; w.flush(); w.close()
g = open('f', 'rb').read(); print(g[10:15], g[-3:], len(g) == len(data))
"`,
  ],
  [
    'python',
    'flock and fcntl locks between processes',
    `python3 -c "
import fcntl, os
f = open('l', 'w'); fcntl.flock(f, fcntl.LOCK_EX)
def tries(lock):
    pid = os.fork()
    if pid == 0:
        g = open('l', 'r+')
        try: lock(g)
        except OSError as e: os._exit(e.errno)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
ex = lambda g: fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB)
print(tries(ex)); fcntl.flock(f, fcntl.LOCK_UN); print(tries(ex))
fcntl.lockf(f, fcntl.LOCK_EX, 10, 5)
print(tries(lambda g: fcntl.lockf(g, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)), tries(lambda g: fcntl.lockf(g, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 0)))
"`,
  ],
  [
    'perl',
    '-i, -ne, sysopen, rename, glob',
    'seq 5 > f; perl -pi -e "s/3/three/" f; perl -pi.orig -e "\\$_ = uc" f; cat f f.orig; perl -ne "print if 2..3" f; perl -e \'use Fcntl; sysopen(F, "n", O_RDWR|O_CREAT|O_EXCL, 0600) or die; syswrite F, "abc"; sysseek F, 1, 0; sysread F, $b, 9; print "$b\\n"; rename "n", "m"; print join(" ", sort glob("*")), "\\n"; print -s "m", "\\n"; unlink "m"; opendir D, "."; print join(" ", sort readdir D), "\\n"\'',
  ],
  [
    'sqlite3',
    'a database: transactions, an index, vacuum',
    'sqlite3 d "create table t(a integer primary key, b text); begin; with recursive n(i) as (select 1 union all select i+1 from n where i<2000) insert into t select i, hex(i) from n; commit; create index x on t(b); select count(*), sum(a) from t; delete from t where a % 2; vacuum; pragma integrity_check;"; sqlite3 d "begin; insert into t values(1,\'x\'); rollback; select count(*) from t;"; ls -A',
  ],
  [
    'sqlite3',
    'write-ahead log',
    'sqlite3 d "pragma journal_mode=wal; create table t(a); insert into t values(1),(2); select sum(a) from t;"; sqlite3 d "insert into t values(3); select sum(a) from t; pragma wal_checkpoint(truncate);"; ls -A',
  ],
  [
    'vim',
    ':w, backup and swap file, a new file',
    'seq 3 > f; chmod 640 f; vim -u NONE -N -es -c "set backup writebackup directory=. swapfile" -c "2s/2/two/" -c wq f; echo $?; cat f f~; stat -c %a f; vim -u NONE -N -es -c "normal inew" -c wq n; cat n; ls -A',
  ],
  [
    'make, gcc',
    'a program built and rebuilt here',
    'printf "int main(){return 7;}\\n" > m.c; printf "m: m.c\\n\\tcc -o m m.c\\n" > Makefile; make -s; ./m; echo $?; make; touch -d "1 hour" m.c; make -s 2> /dev/null; ./m; echo $?; rm m',
  ],
  [
    'patch, diff',
    'made here, applied here',
    'seq 20 > a; sed s/7/seven/ a > b; diff -u --label a --label a a b > p; patch < p; cmp a b; echo $?; patch -R < p; ls -A',
  ],
  [
    'less, more, file, strings',
    'read a file',
    'cp "$SRC/text" .; less text | head -2; more text | tail -1; file text; strings text | wc -l; tail -c +5 text | head -c 5',
  ],
]
