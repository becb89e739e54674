//! Look-ups that a process answers itself: that it does, and that it never gives an answer that is no longer so.

use anyhow::Result;

use crate::Test;
use crate::bed::{Cx, PROGRAMS};

pub(super) const TESTS: &[Test] = &[
    Test { suite: "brand", name: "changes_are_seen", seconds: 90, programs: true, run: changes_are_seen },
    Test {
        suite: "brand",
        name: "signals_forks_threads",
        seconds: 90,
        programs: true,
        run: signals_forks_threads,
    },
    Test { suite: "brand", name: "identity", seconds: 60, programs: true, run: identity },
    Test { suite: "brand", name: "bad_memory", seconds: 60, programs: true, run: bad_memory },
];

/// What all the scripts begin with. `os.stat` and its like call the C library's functions, whose `mov eax, NR; syscall` is
/// changed; syscall(3) takes the number as a parameter and always goes the long way.
const PRELUDE: &str = r#"
import ctypes, os, stat, sys, errno, threading, signal, subprocess
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def long_way(nr, *args):
    ctypes.set_errno(0)
    r = libc.syscall(nr, *args)
    return (r, ctypes.get_errno() if r < 0 else 0)
def short_way(f, *args):
    ctypes.set_errno(0)
    r = f(*args)
    return (r, ctypes.get_errno() if r < 0 else 0)
def both(path):
    p = path.encode()
    out = []
    for flags in (0, 0x100):
        a, b = ctypes.create_string_buffer(144), ctypes.create_string_buffer(144)
        out.append((short_way(libc.fstatat, -100, p, a, flags), a.raw, long_way(262, -100, p, b, flags), b.raw))
    a, b = ctypes.create_string_buffer(4096), ctypes.create_string_buffer(4096)
    out.append((short_way(libc.readlink, p, a, 4096), a.raw, long_way(89, p, b, 4096), b.raw))
    for mode in range(8):
        out.append((short_way(libc.access, p, mode), b'', long_way(21, p, mode), b''))
    return out
bad = 0
def check(*paths):
    global bad
    for path in paths:
        for (r1, b1, r2, b2) in both(path):
            if r1 != r2 or (r1[0] >= 0 and b1 != b2):
                bad += 1
                print('differs:', path, r1, r2)
def is_branded(f):
    code = bytes((ctypes.c_ubyte * 48).from_address(ctypes.cast(f, ctypes.c_void_p).value))
    return b'\xe9' in code and b'\xb8' + b'\x59\0\0\0' not in code
for i in range(60):
    check('/usr/share/doc', '/usr/bin/env', '/nothing', '/bin/sh')
print('branded', is_branded(libc.readlink))
"#;

fn python(cx: &Cx, text: &str, prints: &str) -> Result<()> {
    let all = format!("{PRELUDE}{text}\nprint('bad', bad)\n");
    cx.docker_with(&["run", "-i", "--rm", PROGRAMS, "python3", "-"], all.as_bytes())?
        .prints(&format!("branded True\n{prints}bad 0"))
}

fn changes_are_seen(cx: &Cx) -> Result<()> {
    python(
        cx,
        r#"
doc = '/usr/share/doc'
some = sorted(d for d in os.listdir(doc) if os.path.isdir(f'{doc}/{d}') and not os.path.islink(f'{doc}/{d}'))
a, b, c, d, e, f, g = (f'{doc}/{n}' for n in some[:7])
def inner(x): return [x, x + '/copyright', x + '/copyright/', x + '/new', x + '/../' + os.path.basename(x), x + '2', x + '2/copyright']
everything = [p for x in (a, b, c, d, e, f, g) for p in inner(x)] + [doc, '/', '/usr', '/bin/sh', '/lib/none', '/usr/bin/none', '/etc/passwd']
def see(): check(*everything)
see()
open(a + '/new', 'w').close(); see()                     # a name comes into an image's directory
os.unlink(b + '/copyright'); see()                       # one goes
os.rename(c, c + '2'); see()                             # a directory moves
os.mkdir(c); open(c + '/copyright', 'w').close(); see()  # another takes its place
os.rename(d + '/copyright', a + '/copyright'); see()     # over a file of the image
os.symlink('passwd', '/etc/none'); check('/etc/none', '/etc/none/')
os.chmod(e, 0o700); os.chmod(f + '/copyright', 0); see()
os.utime(g + '/copyright', (1, 2)); see()
with open(g + '/copyright', 'a') as h: h.write('x' * 10000)
see()
os.link(g + '/copyright', g + '/new'); see()
subprocess.run(['rm', '-r', g], check=True); see()       # by somebody else
subprocess.run(['mv', f, f + '2'], check=True); see()
os.unlink('/usr/bin/env'); os.symlink('/bin/true', '/usr/bin/env'); check('/usr/bin/env')
os.rename('/usr/share/man', '/usr/share/man2'); check('/usr/share/man', '/usr/share/man/man1', '/usr/share/man2/man1', '/usr/share/man2/../man')
os.mkdir('/a'); os.mkdir('/a/b'); check('/a', '/a/b', '/a/b/..', '/a/none', '/a/../usr')
pid = os.fork()
if pid == 0:
    os.setgroups([]); os.setgid(1234); os.setuid(1234)   # somebody who may search less
    see(); check('/root', '/root/none', '/root/.bashrc', '/etc/shadow', e + '/copyright')
    os._exit(min(bad, 1))
bad += os.waitpid(pid, 0)[1]
pid = os.fork()
if pid == 0:
    os.chroot('/usr')                                    # names mean something else
    check('/bin/env', '/usr', '/share/doc', '/etc/passwd', '/none', '/..')
    os._exit(min(bad, 1))
bad += os.waitpid(pid, 0)[1]
see()
"#,
        "",
    )
}

fn signals_forks_threads(cx: &Cx) -> Result<()> {
    python(
        cx,
        r#"
hits = 0
def handler(*_):
    global hits
    hits += 1
    os.stat('/usr/bin/env')
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
interrupted = 0
for i in range(20000):
    try:
        os.stat('/usr/share/doc/../../bin/env'); os.readlink('/bin'); os.access('/etc/passwd', os.R_OK)
    except InterruptedError:
        interrupted += 1
signal.setitimer(signal.ITIMER_REAL, 0)
print('interrupted', interrupted, 'hits', hits > 10)
children = []
for i in range(20):
    pid = os.fork()
    if pid == 0:
        check('/usr/bin/env', '/usr/lib', '/nothing/' + str(i)); os._exit(min(bad, 1))
    children.append(pid)
print('children', sum(os.waitpid(p, 0)[1] for p in children))
def work():
    for i in range(300): check('/usr/bin/env', '/bin', '/none')
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
maps = open('/proc/self/maps').read()
print('hidden', 'carrack' not in maps and '/index' not in maps)
print(subprocess.run(['sh', '-c', 'for i in 1 2 3; do test -e /usr/bin/env && readlink -f /bin/sh; done'], capture_output=True, text=True).stdout.split())
print('descriptors', sorted(os.listdir('/proc/self/fd'))[:4])
one_left = "import os, resource; resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4)); [os.stat('/usr/bin/env') for _ in range(100)]; print('still', os.dup(0))"
print(subprocess.run([sys.executable, '-c', one_left], capture_output=True, text=True).stdout.strip())
"#,
        "interrupted 0 hits True\nchildren 0\nhidden True\n['/usr/bin/dash', '/usr/bin/dash', '/usr/bin/dash']\ndescriptors ['0', '1', '2', '3']\nstill 3\n",
    )
}

/// Who a process is, it knows; and whenever that changes, it knows that too.
fn identity(cx: &Cx) -> Result<()> {
    python(
        cx,
        r#"
calls = [(libc.getpid, 39), (libc.getuid, 102), (libc.geteuid, 107), (libc.getgid, 104), (libc.getegid, 108)]
def ids(): return [f() for f, _ in calls]
def ids_long(): return [libc.syscall(nr) for _, nr in calls]
def same():
    global bad
    for _ in range(3):
        a, b = ids(), ids_long()
        if a != b: bad += 1; print('differs:', a, b)
for _ in range(100): ids()
print('branded', b'\xe9' in bytes((ctypes.c_ubyte * 16).from_address(ctypes.cast(libc.getpid, ctypes.c_void_p).value)), ids()[0])
same()
for euid in (1000, 0, 5, 0): os.seteuid(euid); same()
for egid in (1000, 0): os.setegid(egid); same()
def child(f):
    pid = os.fork()
    if pid == 0:
        same(); f(); same()
        [ids() for _ in range(100)]
        f(); same(); os._exit(min(bad, 1))
    return os.waitpid(pid, 0)[1]
print('children', child(lambda: None), child(lambda: os.setresuid(7, 7, 7)), child(lambda: child(lambda: os.setgid(9))))
results = []
def of_its_own():
    libc.syscall(119, 11, 11, 0)   # setresgid of this thread alone
    same(); [ids() for _ in range(100)]; same()
    results.append(ids())
t = threading.Thread(target=of_its_own); t.start(); t.join()
print('thread', results[0][3:], 'others', ids()[3:])
print(subprocess.run(['sh', '-c', 'test $$ != ' + str(os.getpid()) + ' && id -u'], capture_output=True, text=True).stdout.strip())
for i in range(200): os.seteuid(i % 3 and 0 or i); same(); os.seteuid(0)
"#,
        "branded True 1\nchildren 0 0 0\nthread [11, 11] others [0, 0]\n0\n",
    )
}

/// Pointers that lead nowhere give EFAULT as ever; and a process that unmaps or overwrites what it was given harms itself
/// alone.
fn bad_memory(cx: &Cx) -> Result<()> {
    python(
        cx,
        r#"
import mmap
print(short_way(libc.fstatat, -100, ctypes.c_void_p(8), ctypes.create_string_buffer(144), 0))
print(short_way(libc.fstatat, -100, b'/usr', ctypes.c_void_p(8), 0))
print(short_way(libc.readlink, b'/bin', ctypes.c_void_p(0xffff800000000000), 100))
print(short_way(libc.access, ctypes.c_void_p(2**64 - 1), 0))
libc.mmap.restype = ctypes.c_void_p
page = libc.mmap(None, 8192, 3, 0x22, -1, 0)
libc.munmap(ctypes.c_void_p(page + 4096), 4096)
ctypes.memmove(page + 4096 - 5, b'/bin\0', 5)
print(short_way(libc.readlink, ctypes.c_void_p(page + 4096 - 5), ctypes.create_string_buffer(100), 100))
ctypes.memmove(page + 4096 - 4, b'/bin', 4)
print(short_way(libc.readlink, ctypes.c_void_p(page + 4096 - 4), ctypes.create_string_buffer(100), 100))
buf = ctypes.create_string_buffer(b'z' * 64)
print(libc.readlink(b'/bin', buf, 64), buf.raw[:12])
pid = os.fork()
if pid == 0:
    code = bytes((ctypes.c_ubyte * 48).from_address(ctypes.cast(libc.readlink, ctypes.c_void_p).value))
    at = code.index(b'\xe9')
    site = ctypes.cast(libc.readlink, ctypes.c_void_p).value + at + 5 + int.from_bytes(code[at+1:at+5], 'little', signed=True)
    libc.munmap(ctypes.c_void_p(site & ~4095), 1 << 24)
    os.readlink('/bin')
    os._exit(0)
status = os.waitpid(pid, 0)[1]
print('killed by', status)
check('/usr/bin/env', '/bin')
"#,
        "(-1, 14)\n(-1, 14)\n(-1, 14)\n(-1, 14)\n(7, 0)\n(-1, 14)\n7 b'usr/binzzzzz'\nkilled by 11\n",
    )
}
