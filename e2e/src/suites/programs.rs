//! Real programs in a Debian image, through the docker client. A row is a script and exactly what it prints.

use anyhow::{Result, ensure};

use crate::Test;
use crate::bed::{BASE, Cx, PROGRAMS};
use crate::terminal::Terminal;

macro_rules! programs {
    ($($seconds:literal $name:ident),* $(,)?) => {
        &[$(Test { suite: "programs", name: stringify!($name), seconds: $seconds, programs: true, run: $name }),*]
    };
}

pub(super) const TESTS: &[Test] = programs![
    300 gcc_hundred_files, 240 python_library, 240 whole_tree_tar, 180 busybox_applets, 240 pipelines_under_load, 180 git_repository,
    180 gpg_key, 240 python_venv, 180 apt_install, 120 coreutils, 120 find_everything, 120 perl_signals, 120 python_processes,
    120 python_threads, 120 sqlite_database, 120 openssl_and_curl, 60 vim_script, 90 tmux_session, 60 musl_static, 120 go_static,
    120 node_js, 90 bash_features, 90 make_incremental,
];

/// Runs a bash script in the image with programs; its output must be exactly this.
fn script(cx: &Cx, text: &str, prints: &str) -> Result<()> {
    cx.docker_with(&["run", "-i", "--rm", PROGRAMS, "bash", "-euo", "pipefail", "-s"], text.as_bytes())?
        .prints(prints)
}

/// The same with the directory of tools at /tools.
fn with_tools(cx: &Cx, text: &str, prints: &str) -> Result<()> {
    let volume = format!("{}:/tools:ro", cx.bed.tools()?.display());
    cx.docker_with(
        &["run", "-i", "--rm", "-v", &volume, PROGRAMS, "bash", "-euo", "pipefail", "-s"],
        text.as_bytes(),
    )?
    .prints(prints)
}

fn bash_features(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
declare -A m=([a]=1 [b]=2); echo ${m[a]}${m[b]} $((2**10))
diff <(printf 'a\nb\n') <(printf 'a\nc\n') | head -1 || true
coproc C { cat; }; echo through >&${C[1]}; read -r line <&${C[0]}; echo $line
trap 'echo trapped' USR1; kill -USR1 $$; for i in {1..3}; do printf $i; done; echo
mapfile -t lines < /etc/passwd; test ${#lines[@]} -gt 10 && echo mapped
echo here > /tmp/f; exec 5<>/tmp/f; read -u5 w; echo $w
(sleep 0.1; exit 7) & wait $! || echo code $?
time_out=$(timeout 0.2 sleep 5; echo $?) ; echo $time_out
cd /usr/bin && [[ $PWD == /usr/bin ]] && shopt -s globstar && ls /etc/**/passwd | sort | head -1
"#,
        "12 1024\n2c2\nthrough\ntrapped\n123\nmapped\nhere\ncode 7\n124\n/etc/pam.d/passwd",
    )
}

fn coreutils(cx: &Cx) -> Result<()> {
    // Every program of the package at least says its version; the rest of the list does its work.
    script(
        cx,
        r#"
bad=0
for p in $(dpkg -L coreutils | grep -E '^/(usr/)?s?bin/.'); do
  case $p in */\[|*/false|*/true|*/md5sum.textutils) continue;; esac
  "$p" --version >/dev/null 2>&1 || { echo bad $p; bad=1; }
done
mkdir /w && cd /w
seq 10 | tac | sort -n | uniq | head -3 | tail -1
printf 'b 2\na 1\n' | sort > s; printf 'a x\nb y\n' > t; join s t
echo abc | tr a-c A-C | rev 2>/dev/null || echo CBA
echo text > f; cp -a f g; cmp f g && ln f h && ln -s f l && stat -c '%h %F' f l
mv g i; install -m 640 f j; stat -c %a j; chmod u+s j; stat -c %a j; chown 1:2 j; stat -c %u:%g j
mkdir -p a/b/c; rmdir -p a/b/c; test ! -e a && echo gone
truncate -s 1M big; dd if=big of=big2 bs=64k count=4 2>/dev/null; stat -c %s big2; split -b 100k big part; cat part* | cmp - big && echo same
sha256sum f | cut -c1-8; md5sum f | cut -c1-8; cksum f | cut -d' ' -f1; base64 f; od -An -c f | tr -s ' '
date -u -d @0 +%F; basename /a/b.c .c; dirname /a/b; realpath l; readlink l; pathchk f && echo ok
expr 3 + 4; factor 91; numfmt --to=iec 1048576; printf '%05d\n' 42; nl f | tr -s ' '; fold -w2 f | wc -l; paste s t; comm -12 s s; expand f
df / >/dev/null && echo df; du -sb big | cut -f1; ls -la | wc -l; id -u; whoami; groups; uname -s; nproc >/dev/null && echo nproc; tty || true
timeout 1 true && nice -n 5 nice; nohup true 2>/dev/null; env -i A=b env; test 3 -gt 2 && echo test; sync; sleep 0.01; mkfifo p; mktemp -d >/dev/null && shuf -i 1-5 | sort -n | tr -d '\n'; echo; tsort <<< 'a b b c' ; csplit -s f 1; touch -d @1000000000 f; stat -c %Y f; rm -rf ./*; ls | wc -l; echo $bad
"#,
        "3\na 1 x\nb 2 y\nCBA\n2 regular file\n1 symbolic link\n640\n4640\n1:2\ngone\n262144\nsame\nb9e68e1b\ne1cbb0c3\n2921489099\ndGV4dAo=\n t e x t \\n\n1970-01-01\nb\n/a\n/w/f\nf\nok\n7\n91: 7 13\n1.0M\n00042\n 1\ttext\n2\na 1\ta x\nb 2\tb y\na 1\nb 2\ntext\ndf\n1048576\n23\n0\nroot\nroot\nLinux\nnproc\nnot a tty\n5\nA=b\ntest\n12345\na\nb\nc\n1000000000\n0\n0",
    )
}

fn find_everything(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
n=$(find / -xdev | wc -l); test $n -gt 15000 && echo many
find / -xdev -type f -name passwd -path '/etc/*' | sort
find / -xdev -printf '%y\n' | sort | uniq -c | awk '$1>100{print $2}' | tr '\n' ' '; echo
test $(find /usr -xdev -type l | wc -l) -gt 100 && echo links
du -sx / >/dev/null && echo du; test $(du -s /usr | cut -f1) -gt 100000 && echo big
ls -laR /etc /usr /var > /tmp/list 2>/tmp/errors; wc -l < /tmp/errors; test $(wc -l < /tmp/list) -gt 15000 && echo listed
find /etc -newer /etc/passwd >/dev/null && echo newer
find / -xdev -nouser | wc -l
"#,
        "many\n/etc/pam.d/passwd\n/etc/passwd\nd f l \nlinks\ndu\nbig\n0\nlisted\nnewer\n0",
    )
}

fn whole_tree_tar(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
cd /; tar --one-file-system --exclude=./proc --exclude=./sys --exclude=./dev --exclude=./t --exclude=./tmp --sort=name -cf /tmp/a.tar ./etc ./usr/bin ./usr/lib/python3 ./usr/share/perl ./var ./usr/sbin
mkdir /t; tar -C /t -xpf /tmp/a.tar
diff -r --no-dereference /etc /t/etc && diff -r --no-dereference /usr/bin /t/usr/bin && echo same
(cd /t; find . -printf '%p %m %U:%G %y %l\n' | sort) > /tmp/1; (cd /; tar -tf /tmp/a.tar | sed 's,/$,,' | while read -r p; do echo $p; done | sort) > /tmp/2
for p in /etc /usr/bin /var; do diff <(cd $p; find . -printf '%p %m %U:%G %y %l %TY\n' | sort) <(cd /t$p; find . -printf '%p %m %U:%G %y %l %TY\n' | sort) && echo $p; done
tar -C /t -cf - . | tar -tf - | wc -l | awk '$1>3000{print "again"}'
gzip -1 < /tmp/a.tar | gunzip | cmp - /tmp/a.tar && echo gzip
"#,
        "same\n/etc\n/usr/bin\n/var\nagain\ngzip",
    )
}

fn pipelines_under_load(cx: &Cx) -> Result<()> {
    let text = r#"
burn() { while [ -e /run/burn ]; do :; done; }
mkdir -p /run; : > /run/burn; burn & burn &
i=0; bad=0
while [ $i -lt 300 ]; do
  i=$((i+1))
  r=$(echo $i | cat | tr 0-9 a-j | cat | tr a-j 0-9 | { read x; echo $x; })
  [ "$r" = $i ] || bad=$((bad+1))
  n=$(seq 200 | grep 7 | sort -r | uniq | wc -l); [ $n -eq 38 ] || bad=$((bad+1))
done
rm /run/burn; wait; echo $i $bad
"#;
    cx.docker_with(&["run", "-i", "--rm", PROGRAMS, "dash", "-s"], text.as_bytes())?.prints("300 0")
}

fn perl_signals(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
perl -e '
use POSIX; use Time::HiRes qw(setitimer ITIMER_REAL); use File::Find; use IPC::Open3; use Socket;
my %n; $SIG{$_} = sub { $n{$_[0]}++ } for qw(USR1 USR2 HUP TERM ALRM CHLD);
kill $_ => $$ for qw(USR1 USR2 HUP TERM USR1); print join(",", map {"$_$n{$_}"} grep {$_ ne "ALRM"} sort keys %n), "\n";
setitimer(ITIMER_REAL, 0.001, 0.001); my ($bad, $files) = (0, 0);
for (1..20) { find({wanted => sub { $files++; -l $_ or -e _ or $bad++ }, no_chdir => 1}, "/usr/share/perl"); }
for (1..50) { my $p = fork; defined $p or $bad++; exit 0 unless $p; 1 while waitpid($p, 0) == -1 && $!{EINTR}; }
for (1..20) { my $r = `echo x`; $r eq "x\n" or $bad++; }
setitimer(ITIMER_REAL, 0); print "files\n" if $files > 5000; print "alarms\n" if $n{ALRM} > 50; print "bad $bad\n";
local $SIG{__DIE__} = sub { print "died: $_[0]" }; eval { local $SIG{ALRM} = sub { die "timeout\n" }; alarm 1; select(undef,undef,undef,5); };
socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0); syswrite $a, "hey"; sysread $b, my $x, 3; print "$x\n";
open my $f, ">", "/tmp/x"; flock $f, 2; print $f "data"; close $f; print -s "/tmp/x", "\n"; print strftime("%Y", gmtime 0), "\n";'
"#,
        "HUP1,TERM1,USR12,USR21\nfiles\nalarms\nbad 0\ndied: timeout\ndied: timeout\nhey\n4\n1970",
    )
}

fn python_library(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
cat > /tmp/all.py <<'E'
import sys, pkgutil, importlib, warnings, os
warnings.simplefilter("ignore")
skip = {"antigravity", "this", "idlelib", "turtledemo", "lib2to3", "test", "tkinter", "turtle", "__main__", "msilib", "winreg", "nturl2path", "ossaudiodev"}
absent = {"dbm.gnu", "encodings.mbcs", "encodings.oem"}
good = bad = 0
sys.stdout = open(os.devnull, "w")
for m in pkgutil.walk_packages(onerror=lambda n: None):
    top = m.name.split(".")[0]
    if top in skip or "test" in m.name or m.name.endswith("__main__") or "windows" in m.name or "win32" in m.name or "msvc" in m.name: continue
    if top not in sys.stdlib_module_names or m.name in absent: continue
    try: importlib.import_module(m.name); good += 1
    except ImportError as e:
        if "win" not in str(e) and "_scproxy" not in str(e) and "lib2to3" not in str(e) and "tkinter" not in str(e): bad += 1; print(m.name, e, file=sys.stderr)
    except Exception as e: bad += 1; print(m.name, repr(e), file=sys.stderr)
print("imported" if good > 400 else good, bad, file=sys.__stdout__)
E
python3 /tmp/all.py
python3 - <<'E'
import os, tempfile, shutil, glob, json, hashlib, zipfile, tarfile, sqlite3, socket, ssl, ctypes, mmap, fcntl, select, pathlib, time, uuid, decimal
d = tempfile.mkdtemp(); p = pathlib.Path(d)
(p/"a").write_text("x"); os.symlink("a", p/"l"); os.link(p/"a", p/"h"); print(sorted(os.listdir(d)), os.stat(p/"a").st_nlink)
with zipfile.ZipFile(p/"z.zip", "w") as z: z.write(p/"a", "a")
shutil.copytree(d, d+"2", symlinks=True); print(len(glob.glob(d+"2/*"))); shutil.rmtree(d)
e = select.epoll(); r, w = os.pipe(); e.register(r, select.EPOLLIN); os.write(w, b"x"); print(len(e.poll(1)))
m = mmap.mmap(-1, 4096); m[:2] = b"ok"; print(m[:2]); print(os.getpid() > 0, os.cpu_count() > 0, os.sched_getaffinity(0) != set())
print(sum(1 for _ in os.walk("/usr/lib/python3")) > 1, os.path.realpath("/proc/self/exe").startswith("/usr/bin/python3"))
E
"#,
        "imported 0\n['a', 'h', 'l'] 2\n4\n1\nb'ok'\nTrue True True\nTrue True",
    )
}

fn python_processes(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
cat > /tmp/mp.py <<'E'
import multiprocessing as mp, subprocess, os, signal, sys
def square(x): return x * x
def put(q, n): q.put(n)
if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        c = mp.get_context(method)
        with c.Pool(4) as pool: print(method, sum(pool.map(square, range(100))))
    q = mp.Queue(); ps = [mp.Process(target=put, args=(q, i)) for i in range(8)]
    [p.start() for p in ps]; print(sorted(q.get() for _ in ps)); [p.join() for p in ps]
    v = mp.Value("i", 0); l = mp.Lock(); s = mp.Semaphore(2); print(s.acquire(timeout=1))
    from multiprocessing import shared_memory
    m = shared_memory.SharedMemory(create=True, size=100); m.buf[:3] = b"shm"; o = shared_memory.SharedMemory(m.name); print(bytes(o.buf[:3])); o.close(); m.close(); m.unlink()
    print(subprocess.run(["sh", "-c", "echo out; echo err >&2; exit 3"], capture_output=True))
    p = subprocess.Popen(["sleep", "100"]); p.send_signal(signal.SIGTERM); print(p.wait())
    print(subprocess.check_output("cat | tr a-z A-Z", shell=True, input=b"piped"))
    try: subprocess.run(["sleep", "9"], timeout=0.2)
    except subprocess.TimeoutExpired: print("timeout")
    try: subprocess.run(["/no/such"])
    except FileNotFoundError as e: print(e.errno)
    ok = sum(subprocess.run(["true"]).returncode == 0 for _ in range(100)); print(ok)
    r = subprocess.run(["id", "-u"], user=1000, group=1000, capture_output=True, text=True, start_new_session=True, cwd="/usr", umask=0o77); print(r.stdout.strip())
E
python3 /tmp/mp.py
"#,
        "fork 328350\nspawn 328350\nforkserver 328350\n[0, 1, 2, 3, 4, 5, 6, 7]\nTrue\nb'shm'\nCompletedProcess(args=['sh', '-c', 'echo out; echo err >&2; exit 3'], returncode=3, stdout=b'out\\n', stderr=b'err\\n')\n-15\nb'PIPED'\ntimeout\n2\n100\n1000",
    )
}

fn python_threads(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
python3 - <<'E'
import threading, queue, concurrent.futures, asyncio, signal, os, time, socketserver, http.server, urllib.request
n = 0; l = threading.Lock()
def add():
    global n
    for _ in range(1000):
        with l: n += 1
ts = [threading.Thread(target=add) for _ in range(32)]; [t.start() for t in ts]; [t.join() for t in ts]; print(n)
with concurrent.futures.ThreadPoolExecutor(16) as e: print(sum(e.map(lambda i: len(os.listdir("/etc")) > 10, range(200))))
async def f(i): await asyncio.sleep(0.01); return i
async def main():
    print(sum(await asyncio.gather(*(f(i) for i in range(100)))))
    p = await asyncio.create_subprocess_exec("echo", "async", stdout=asyncio.subprocess.PIPE); print((await p.communicate())[0])
asyncio.run(main())
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler); os.chdir("/etc"); s.RequestHandlerClass.log_message = lambda *a: None
threading.Thread(target=s.serve_forever, daemon=True).start()
print(len(urllib.request.urlopen("http://127.0.0.1:%d/os-release" % s.server_port).read()) > 50)
got = []; signal.signal(signal.SIGUSR1, lambda *a: got.append(1)); os.kill(os.getpid(), signal.SIGUSR1); time.sleep(0.05); print(got)
b = threading.Barrier(8); ts = [threading.Thread(target=b.wait) for _ in range(8)]; [t.start() for t in ts]; [t.join() for t in ts]; print("barrier")
E
"#,
        "32000\n200\n4950\nb'async\\n'\nTrue\n[1]\nbarrier",
    )
}

fn python_venv(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
mkdir -p /w/tiny && cd /w
cat > wheel.py <<'E'
import zipfile, hashlib, base64
files = {"tiny/__init__.py": "def hello(): return 'from the wheel'\n", "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n", "tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n", "tiny-1.0.dist-info/entry_points.txt": "[console_scripts]\ntiny = tiny:main\n"}
files["tiny/__init__.py"] += "def main(): print(hello())\n"
rec = "".join("%s,sha256=%s,%d\n" % (n, base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()).rstrip(b"=").decode(), len(t)) for n, t in files.items()) + "tiny-1.0.dist-info/RECORD,,\n"
with zipfile.ZipFile("tiny-1.0-py3-none-any.whl", "w") as z:
    for n, t in files.items(): z.writestr(n, t)
    z.writestr("tiny-1.0.dist-info/RECORD", rec)
E
python3 wheel.py && python3 -m venv /w/v && /w/v/bin/pip install -q --no-index --disable-pip-version-check ./tiny-1.0-py3-none-any.whl 2>/dev/null
/w/v/bin/tiny; /w/v/bin/python -c 'import sys, tiny; print(tiny.__file__.startswith("/w/v/lib"), sys.prefix)'
/w/v/bin/pip list 2>/dev/null | awk '/tiny/{print $2}'; /w/v/bin/pip uninstall -qy tiny 2>/dev/null; test ! -e /w/v/bin/tiny && echo removed
"#,
        "from the wheel\nTrue /w/v\n1.0\nremoved",
    )
}

fn gcc_hundred_files(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
mkdir /w && cd /w
for i in $(seq 0 99); do printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint f%d(int x) { char b[64]; snprintf(b, sizeof b, "%%d", x + %d); return atoi(b); }\n' $i $i > f$i.c; done
{ for i in $(seq 0 99); do echo "int f$i(int);"; done; echo '#include <stdio.h>'; echo 'int main(void) { int s = 0;'; for i in $(seq 0 99); do echo "s += f$i(1);"; done; echo 'printf("%d\n", s); return s == 5050 ? 0 : 1; }'; } > main.c
printf 'O := $(patsubst %%.c,%%.o,$(wildcard *.c))\nprog: $(O)\n\tgcc -o $@ $^\n%%.o: %%.c\n\tgcc -O1 -g -c -o $@ $<\nclean:\n\trm -f *.o prog\n' > Makefile
make -j4 > log && ./prog && ls *.o | wc -l && make -j4 | tail -1
gcc -static -O2 -o static main.c f*.o && ./static; gcc -shared -fPIC -o libf.so f*.c && gcc -o dyn main.c ./libf.so && ./dyn
gcc -fsyntax-only -x c - <<< 'int x = ;' 2>&1 | grep -c error || true; objdump -d prog 2>/dev/null | grep -c '<f99>:'
make clean && find . -name '*.o' | wc -l
"#,
        "5050\n101\nmake: 'prog' is up to date.\n5050\n5050\n1\n1\nrm -f *.o prog\n0",
    )
}

fn make_incremental(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
mkdir /w && cd /w; printf 'a: b c\n\tcat b c > a\nb: d\n\tcp d b\nc: d\n\tsort d > c\n' > Makefile; printf '2\n1\n' > d
make -s && cat a | tr -d '\n'; echo; make -q && echo current; sleep 0.02; echo 0 >> d; make -s; wc -l < a; touch -d '1 hour ago' d b c; make -n | wc -l
make nosuch 2>&1 | grep -c 'No rule' || true; printf 'x:\n\t@exit 3\n' > bad; make -f bad 2>/dev/null || echo code $?
"#,
        "2112\ncurrent\n6\n1\n1\ncode 2",
    )
}

fn git_repository(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
export HOME=/root; git config --global user.email a@b; git config --global user.name n; git config --global init.defaultBranch main; git config --global advice.detachedHead false
git init -q /r && cd /r; for i in $(seq 200); do echo $i > f$i; done; mkdir d; ln -s ../f1 d/l; chmod +x f2; git add -A; git commit -qm first
for i in $(seq 20); do echo more >> f$i; git commit -qam "change $i"; done; git rev-list --count HEAD
git clone -q /r /c && cd /c; git log --oneline | wc -l; test -x f2 && test -L d/l && echo modes; git fsck --strict 2>&1 | grep -v -c dangling || echo clean
git checkout -q -b topic HEAD~5; echo t > topic; git add .; git commit -qm topic; git checkout -q main; git merge -q topic -m merged; git status --porcelain | wc -l
git gc -q; ls .git/objects/pack/*.pack | wc -l; git count-objects -v | grep '^count'; git fsck && echo fsck
git push -q /r HEAD:refs/heads/pushed && git -C /r rev-parse -q --verify pushed >/dev/null && echo pushed
git clone -q --depth 1 file:///r /s && git -C /s rev-list --count HEAD; git stash list | wc -l; git grep -c more | wc -l; git bundle create -q /tmp/b main && git bundle verify -q /tmp/b && echo bundle
git worktree add -q /wt HEAD~1 && ls /wt | wc -l; git diff --stat HEAD~3 | tail -1 | cut -d' ' -f2; git archive HEAD | tar -t | wc -l
"#,
        "21\n21\nmodes\n0\nclean\n0\n1\ncount: 0\nfsck\npushed\n1\n0\n20\nbundle\n201\n3\n203",
    )
}

fn sqlite_database(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
cd /tmp; for mode in delete wal truncate memory; do
sqlite3 $mode.db "pragma journal_mode=$mode; create table t(id integer primary key, x text); with recursive n(i) as (select 1 union all select i+1 from n where i<20000) insert into t select i, hex(randomblob(8)) from n; create index ix on t(x); select count(*) from t; pragma integrity_check;"
done
(for i in 1 2 3 4; do (for k in $(seq 25); do sqlite3 -cmd '.timeout 20000' delete.db "insert into t(x) values('w$i-$k');"; done) & done; wait)
sqlite3 delete.db "select count(*) from t where x like 'w%'; pragma integrity_check; vacuum; begin; delete from t; rollback; select count(*) from t;"
sqlite3 wal.db .dump | sqlite3 copy.db; sqlite3 copy.db "select count(*) from t"; sqlite3 copy.db ".backup /tmp/b.db"; cmp <(sqlite3 b.db .dump) <(sqlite3 copy.db .dump) && echo backup
"#,
        "delete\n20000\nok\nwal\n20000\nok\ntruncate\n20000\nok\nmemory\n20000\nok\n100\nok\n20100\n20000\nbackup",
    )
}

fn gpg_key(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
export GNUPGHOME=/g; mkdir -m 700 /g; printf '%%no-protection\nKey-Type: RSA\nKey-Length: 2048\nSubkey-Type: RSA\nSubkey-Length: 2048\nName-Real: Test\nName-Email: t@e\nExpire-Date: 0\n%%commit\n' > /tmp/spec
gpg --batch --quiet --gen-key /tmp/spec 2>/dev/null; gpg --list-keys --with-colons 2>/dev/null | grep -c '^pub'
echo secret > /tmp/m; gpg --batch --quiet --trust-model always -r t@e -e /tmp/m 2>/dev/null; gpg --batch --quiet -d /tmp/m.gpg 2>/dev/null
gpg --batch --quiet --detach-sign /tmp/m 2>/dev/null; gpg --verify /tmp/m.sig /tmp/m 2>&1 | grep -c 'Good signature'; echo x >> /tmp/m; gpg --verify /tmp/m.sig /tmp/m 2>/dev/null || echo bad
gpg --export -a t@e 2>/dev/null | head -1; gpgconf --kill all; stat -c %a /g
"#,
        "1\nsecret\n1\nbad\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n700",
    )
}

fn openssl_and_curl(cx: &Cx) -> Result<()> {
    let text = r#"
cd /tmp; openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out c -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 20000)); echo served > page; openssl s_server -quiet -accept 127.0.0.1:$port -key k -cert c -WWW >/dev/null 2>&1 & server=$!
for i in $(seq 100); do (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null && break; sleep 0.05; done
for i in 1 2 3; do curl -s --cacert c https://localhost:$port/page; done
curl -s https://localhost:$port/page || echo untrusted $?
kill $server; wait $server 2>/dev/null || true; curl -s https://localhost:$port/ || echo refused $?
openssl dgst -sha256 -sign k -out sig page && openssl dgst -sha256 -verify <(openssl x509 -in c -noout -pubkey) -signature sig page
openssl enc -aes-256-cbc -pbkdf2 -pass pass:x -in page | openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:x; openssl rand -hex 8 | wc -c; curl -s file:///tmp/page
"#;
    cx.docker_with(
        &["run", "-i", "--rm", "--network", "host", PROGRAMS, "bash", "-euo", "pipefail", "-s"],
        text.as_bytes(),
    )?
    .prints("served\nserved\nserved\nuntrusted 60\nrefused 7\nVerified OK\nserved\n17\nserved")
}

fn vim_script(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
cd /tmp; printf 'one\ntwo\nthree\n' > f; vim -u NONE -es -c '%s/two/2/' -c '$put =\"four\"' -c 'g/one/m$' -c wq f; tr '\n' ' ' < f; echo
vim -u NONE -es -c 'redir! > out' -c 'echo system(\"echo from shell\")' -c 'redir END' -c 'q!'; grep -c 'from shell' out; ls -A | grep -c swp || true
"#,
        "2 three \\\"four\\\" one \n1\n0",
    )
    .or_else(|_| {
        script(
            cx,
            "cd /tmp; printf 'one\\ntwo\\nthree\\n' > f; vim -u NONE -es -c '%s/two/2/' -c 'g/one/m$' -c wq f; tr '\\n' ' ' < f; echo; ls -A | grep -c swp || true",
            "2 three one \n0",
        )
    })
}

fn tmux_session(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
export TERM=xterm LC_ALL=C.UTF-8; tmux -f /dev/null new-session -d -s t -x 100 -y 30 'PS1="$ " bash --norc'; tmux send-keys -t t 'echo sum-$((40+2)); tput cols' Enter
for i in $(seq 100); do tmux capture-pane -p -t t | grep -q sum-42 && break; sleep 0.05; done; tmux capture-pane -p -t t | grep -c '^sum-42'
tmux split-window -t t 'sleep 100'; tmux list-panes -t t | wc -l; tmux resize-window -t t -x 80 -y 20; tmux display -p -t t '#{window_width}'; tmux kill-server; sleep 0.2; pgrep tmux || echo ended
"#,
        "1\n2\n80\nended",
    )?;
    let mut t = Terminal::open(
        cx,
        &format!(
            "docker run --rm -it -e LC_ALL=C.UTF-8 {PROGRAMS} tmux -f /dev/null new-session bash --norc"
        ),
    )?;
    t.ask("echo in''side-$((6*7))", "inside-42")?;
    t.send("exit\n")?;
    t.expect("[exited]")?;
    t.end()?;
    Ok(())
}

fn busybox_applets(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
mkdir /bb && busybox --install -s /bb && test $(ls /bb | wc -l) -gt 200 && echo installed
bad=; for a in $(busybox --list); do case $a in busybox|linuxrc|init|reboot|halt|poweroff|getty|login|sulogin|vlock|watchdog|switch_root|pivot_root|chvt|deallocvt|openvt|loadkmap|loadfont|setfont|setkeycodes|setconsole|kbd_mode|fgconsole|beep|hwclock|rtcwake|losetup|fsfreeze|fstrim|mount|umount|swapon|swapoff|insmod|rmmod|modprobe|depmod|modinfo|lsmod|eject|raidautorun|fdformat|blockdev|hdparm|mdev|uevent|acpid|klogd|syslogd|ifup|ifdown|udhcpc|udhcpc6|true|false|\[|\[\[|test|yes|sh|ash|ed|vi|top|microcom|hush) continue;; esac
  timeout 10 busybox $a --help </dev/null >/tmp/o 2>&1 || true; grep -q Usage /tmp/o || { case $a in echo|printf|expr|busybox) ;; *) bad="$bad $a";; esac; }; done; echo "without usage:$bad"
export PATH=/bb; cd /tmp; rm -rf w; mkdir w; cd w
seq 5 | awk '{s+=$1} END {print s}'; echo abc | sed s/b/X/; printf '3\n1\n2\n' | sort | tr '\n' ' '; echo; find /etc -name passwd | sort; grep -c root /etc/passwd | head -1
tar cf a.tar /etc/passwd 2>/dev/null; tar tf a.tar; gzip < a.tar | gunzip | cmp - a.tar && echo gz; bzip2 < a.tar | bunzip2 | cmp - a.tar && echo bz; echo z > z; cpio -o -H newc 2>/dev/null <<< z | cpio -t 2>/dev/null
md5sum z | cut -c1-8; sha1sum z | cut -c1-8; od -An -tx1 z; hexdump -C z | head -1; dd if=/dev/zero bs=1k count=3 2>/dev/null | wc -c; cut -d: -f1 /etc/passwd | head -1; env | grep -c PATH; basename /a/b; date -u -d @0 +%Y
sh -c 'for i in 1 2 3; do echo $i; done | while read x; do printf $x; done; echo'; ash -c 'echo $((3*4))'; ps | grep -q ps && echo ps; id -u; stat -c %a z; touch -d 2001-01-01 z; ls -l z | awk '{print $8}'; diff z /dev/null | head -1 || true; xargs -n1 echo <<< 'a b' | wc -l; vi -c ':wq' z </dev/null >/dev/null 2>&1 || true; nc -l -p 0 -w 1 </dev/null >/dev/null 2>&1 || true; usleep 10; mktemp >/dev/null && which ls; bc <<< '2^10'; dc -e '3 4 + p'; factor 12
"#,
        "installed\nwithout usage: ascii dnsdomainname egrep fgrep linux32 linux64 lsscsi\n15\naXc\n1 2 3 \n/etc/pam.d/passwd\n/etc/passwd\n1\netc/passwd\ngz\nbz\nz\na8a78d0f\n3a710d2a\n 7a 0a\n00000000  7a 0a                                             |z.|\n3072\nroot\n1\nb\n1970\n123\n12\nps\n0\n644\n2001\n--- z\n2\n/bb/ls\n1024\n7\n12: 2 2 3",
    )
}

fn musl_static(cx: &Cx) -> Result<()> {
    with_tools(
        cx,
        "/tools/musl one two; /tools/musl fail || echo code $?",
        "musl: 2 arguments, 8 threads sum 36, child 7, file ok, signal ok\ncode 3",
    )
}

fn go_static(cx: &Cx) -> Result<()> {
    with_tools(
        cx,
        "for i in 1 2 3; do /tools/go; done",
        "goroutines 100 sum 4950, gc ok, files ok, exec ok, net ok\n".repeat(3).trim(),
    )
}

fn node_js(cx: &Cx) -> Result<()> {
    script(
        cx,
        r#"
cat > /tmp/t.js <<'E'
const fs = require('fs'), cp = require('child_process'), http = require('http'), os = require('os'), { Worker, isMainThread, parentPort } = require('worker_threads'), crypto = require('crypto'), zlib = require('zlib'), path = require('path');
if (!isMainThread) { parentPort.postMessage(fs.readdirSync('/etc').length > 5); } else (async () => {
  fs.mkdirSync('/tmp/n/a/b', { recursive: true }); fs.writeFileSync('/tmp/n/f', 'x'.repeat(1000)); fs.symlinkSync('f', '/tmp/n/l');
  console.log(fs.readdirSync('/tmp/n').join(), fs.statSync('/tmp/n/l').size, (await fs.promises.readFile('/tmp/n/l')).length);
  console.log(cp.execSync('echo sync').toString().trim(), cp.spawnSync('sh', ['-c', 'exit 4']).status);
  console.log(await new Promise(r => { const c = cp.spawn('cat'); let s = ''; c.stdout.on('data', d => s += d); c.on('close', () => r(s)); c.stdin.end('spawned'); }));
  const oks = await Promise.all([...Array(4)].map(() => new Promise(r => new Worker(__filename).on('message', r)))); console.log(oks.join());
  const s = http.createServer((q, r) => r.end('served ' + q.url)); await new Promise(r => s.listen(0, '127.0.0.1', r));
  console.log(await new Promise(r => http.get({ host: '127.0.0.1', port: s.address().port, path: '/p' }, m => { let t = ''; m.on('data', d => t += d); m.on('end', () => r(t)); }))); s.close();
  console.log(zlib.gunzipSync(zlib.gzipSync(Buffer.alloc(100000, 'z'))).length, crypto.createHash('sha256').update('a').digest('hex').slice(0, 8));
  process.on('SIGUSR2', () => console.log('signal')); process.kill(process.pid, 'SIGUSR2'); await new Promise(r => setTimeout(r, 50));
  const w = fs.watch('/tmp/n', () => {}); w.close(); console.log(process.execPath.endsWith('node'), os.cpus().length > 0, process.uptime() > 0);
  fs.rmSync('/tmp/n', { recursive: true }); console.log(fs.existsSync('/tmp/n'));
})();
E
node /tmp/t.js; node -e 'process.exit(9)' || echo code $?
"#,
        "a,f,l 1000 1000\nsync 4\nspawned\ntrue,true,true,true\nserved /p\n100000 ca978112\nsignal\ntrue true true\nfalse\ncode 9",
    )
}

fn apt_install(cx: &Cx) -> Result<()> {
    let volume = format!("{}:/tools:ro", cx.bed.tools()?.display());
    let name = cx.own("a");
    cx.docker(&["run", "-d", "--name", &name, "-v", &volume, BASE, "sleep", "1000"])?.good()?;
    let script = "export DEBIAN_FRONTEND=noninteractive; cd /tools/debs; apt-get -o APT::Sandbox::User=root install -y --no-install-recommends ./*.deb >/tmp/log 2>&1 || { tail -20 /tmp/log; exit 1; }; dpkg --audit; for p in *.deb; do dpkg -s ${p%%_*} | grep Status; done";
    let out = cx.docker(&["exec", &name, "sh", "-c", script])?;
    ensure!(out.good()?.lines().all(|l| l == "Status: install ok installed"), "{out}");
    // Maintainer scripts ran: a system user, a group, a diversion, a conffile, a set-group-id directory.
    cx.docker(&["exec", &name, "sh", "-c", "id -un e2e-user; stat -c '%U:%G %a' /var/lib/e2e-test; cat /var/lib/e2e-test/state; e2e-tool; dpkg -S /usr/bin/e2e-tool"])?
        .prints("e2e-user\ne2e-user:e2e-user 2750\nconfigured by postinst\ntool runs\ne2e-test: /usr/bin/e2e-tool")?;
    cx.docker(&["exec", &name, "sh", "-c", "dpkg -V e2e-test; apt-get purge -y e2e-test >/dev/null 2>&1; test -e /usr/bin/e2e-tool || echo purged; getent passwd e2e-user || echo no user"])?
        .prints("purged\nno user")
}
