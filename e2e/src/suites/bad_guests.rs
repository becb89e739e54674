//! Guests that are broken or mean harm: they get the errno that Linux gives, and nobody else notices.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::tests;
use crate::Test;
use crate::bed::{BASE, Bed, Cx};
use crate::elf::{self, Segment, TEXT};

pub(super) const TESTS: &[Test] = tests!("bad_guests", 120;
    supervisor_killed, fork_bomb, good_elf, truncated_elf, hostile_segments, interpreter_loop, scripts_five_deep, closes_everything,
    three_descriptors, kills_init_and_all, private_numbers, reads_host_files, host_processes_hidden, output_flood, fills_shared_memory,
    thousands_of_files, deep_directories,
);

/// Runs each file in a container that shows its exit code; the canary container beside it must stay well.
fn codes(cx: &Cx, files: &[(&str, Vec<u8>)]) -> Result<Vec<(String, i32)>> {
    let list: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (*n, b.as_slice())).collect();
    let directory = cx.directory(&list)?;
    let volume = format!("{}:/f:ro", directory.display());
    let script = "cd /f; for f in *; do timeout -s KILL 10 ./$f >/dev/null 2>&1; echo $f $?; done";
    let out = cx.docker(&["run", "--rm", "-v", &volume, BASE, "sh", "-c", script])?.good()?;
    Ok(out
        .lines()
        .filter_map(|l| l.split_once(' ').map(|(n, c)| (n.to_owned(), c.parse().unwrap_or(-1))))
        .collect())
}

fn good_elf(cx: &Cx) -> Result<()> {
    let got = codes(cx, &[("good", elf::image(2, &[TEXT], ""))])?;
    ensure!(got == [("good".to_owned(), 42)], "the builder of these tests is broken: {got:?}");
    Ok(())
}

fn truncated_elf(cx: &Cx) -> Result<()> {
    let whole = elf::image(2, &[TEXT], "");
    let names: Vec<String> =
        [0, 1, 4, 16, 40, 63, 64, 100, 119].iter().map(|n| format!("cut{n:03}")).collect();
    let files: Vec<(&str, Vec<u8>)> =
        names.iter().map(|n| (n.as_str(), whole[..n[3..].parse().unwrap_or(0)].to_vec())).collect();
    for (name, code) in codes(cx, &files)? {
        // The shell reads what is no program as a script: 126, 127, 0 for an empty file; a cut image may also be killed.
        ensure!([0, 2, 126, 127, 139, 135, 137].contains(&code), "{name} gave {code}");
    }
    Ok(())
}

fn hostile_segments(cx: &Cx) -> Result<()> {
    let with = |segment: Segment| elf::image(2, &[TEXT, segment], "");
    let data = Segment { flags: 6, address: 0x60_0000, ..TEXT };
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("over-stack", with(Segment { address: 0x7fff_ffff_0000, memory_size: 0x10_0000, ..data })),
        ("kernel-half", with(Segment { address: 0xffff_8000_0000_0000, ..data })),
        ("wrapping", with(Segment { address: u64::MAX - 0xfff, memory_size: 0x10_000, ..data })),
        ("huge-memory", with(Segment { memory_size: 1 << 46, ..data })),
        ("all-memory", with(Segment { memory_size: u64::MAX, ..data })),
        ("file-over-memory", with(Segment { file_size: 0x200, memory_size: 0x10, ..data })),
        ("past-the-end", with(Segment { offset: 0x10_0000, file_size: 0x1000, memory_size: 0x1000, ..data })),
        ("huge-offset", with(Segment { offset: u64::MAX - 0xfff, ..data })),
        ("misaligned", with(Segment { address: 0x60_0123, ..data })),
        ("overlapping", with(Segment { address: 0x40_0000, flags: 6, ..data })),
        ("page-zero", with(Segment { address: 0, ..data })),
        ("at-the-stub", with(Segment { address: 0x1_0000, ..data })),
        ("no-load", elf::image(2, &[Segment { kind: 4, ..TEXT }], "")),
        ("no-headers", elf::image(2, &[], "")),
        ("relocatable", elf::image(1, &[TEXT], "")),
        ("core", elf::image(4, &[TEXT], "")),
        ("not-executable", elf::image(2, &[Segment { flags: 4, ..TEXT }], "")),
    ];
    for (name, code) in codes(cx, &files)? {
        match name.as_str() {
            // The code runs before anything is wrong with these.
            "page-zero" | "misaligned" | "overlapping" | "at-the-stub" | "past-the-end" => {
                ensure!([42, 126, 137, 139, 135].contains(&code), "{name} gave {code}");
            }
            _ => ensure!(code != 42 && code != 0, "{name} gave {code}"),
        }
    }
    cx.run(BASE, &["echo", "well"])?.prints("well")
}

fn interpreter_loop(cx: &Cx) -> Result<()> {
    let interp = |path: &str| {
        let size = path.len() as u64 + 1;
        let segment = Segment { kind: 3, offset: 0x190, file_size: size, memory_size: size, ..TEXT };
        elf::image(2, &[segment, TEXT], &format!("{path}\0"))
    };
    let long = Segment { kind: 3, offset: 0x190, file_size: 1 << 30, memory_size: 1 << 30, ..TEXT };
    let files = vec![
        ("self-loop", interp("/f/self-loop")),
        ("cycle-a", interp("/f/cycle-b")),
        ("cycle-b", interp("/f/cycle-a")),
        ("missing", interp("/no/such/ld.so")),
        ("directory", interp("/etc")),
        ("text", interp("/etc/passwd")),
        ("empty-name", interp("")),
        ("long-name", elf::image(2, &[long, TEXT], "x")),
    ];
    for (name, code) in codes(cx, &files)? {
        // An interpreter that asks for one itself is loaded as it is, without its own: it runs.
        let ok: &[i32] = match name.as_str() {
            "self-loop" | "cycle-a" | "cycle-b" => &[42, 126, 127, 137, 139],
            _ => &[126, 127, 2, 137, 139],
        };
        ensure!(ok.contains(&code), "{name} gave {code}");
    }
    Ok(())
}

fn scripts_five_deep(cx: &Cx) -> Result<()> {
    let script = "cd /tmp; printf '#!/bin/sh\\necho ran\\n' > s0; chmod 755 s0
        for i in 1 2 3 4 5 6; do printf '#!/tmp/s%d\\n' $((i-1)) > s$i; chmod 755 s$i; done
        for i in 0 1 2 3 4; do ./s$i >/dev/null 2>&1; echo $?; done
        perl -e 'exec \"/tmp/s5\"; print $!+0, \"\\n\"'; perl -e 'exec \"/tmp/s6\"; print $!+0, \"\\n\"'";
    // 40 is ELOOP.
    cx.sh(BASE, script)?.prints("0\n0\n0\n0\n0\n40\n40")
}

fn closes_everything(cx: &Cx) -> Result<()> {
    let script = "exec 0<&- 1>/tmp/out 2>&-; perl -e 'use POSIX; POSIX::close($_) for 0..1023; -d \"/etc\" or exit 1; open(F, \">/tmp/f\") or exit 2; print F \"x\"; close F; -s \"/tmp/f\" == 1 or exit 3; my $p = fork; exit 0 unless $p; waitpid($p, 0); exec \"/bin/true\"'";
    cx.run(BASE, &["bash", "-c", script])?.code(0)?;
    Ok(())
}

fn three_descriptors(cx: &Cx) -> Result<()> {
    cx.run(BASE, &["bash", "-c", "ulimit -n 3; test -d /etc && echo stat; ls / >/dev/null 2>&1; echo $?; (echo fork); cat /etc/passwd 2>/dev/null; echo $?"])?.good()?;
    cx.docker(&["run", "--rm", "--ulimit", "nofile=64:64", BASE, "sh", "-c", "ulimit -n"])?.prints("64")
}

fn kills_init_and_all(cx: &Cx) -> Result<()> {
    let name = cx.own("other");
    cx.docker(&["run", "-d", "--name", &name, BASE, "sleep", "1000"])?.good()?;
    let script = "sleep 100 & perl -e 'kill(9, 1); print \"alive\\n\"'; perl -e '$SIG{USR1} = \"IGNORE\"; my $n = kill(9, -1); print \"done\\n\"'; echo init lives; wait";
    let out = cx.sh(BASE, script)?;
    ensure!(out.text().contains("alive") && out.text().contains("init lives"), "{out}");
    cx.docker(&["exec", &name, "echo", "well"])?.prints("well")
}

fn private_numbers(cx: &Cx) -> Result<()> {
    // Every number that no kernel has, and the x32 range, with harmless and wild arguments.
    let script = "for my $nr (470..600, 1000..1100, 4096, 65535, 0x7fffffff, 0x40000000..0x40000010) { for my $a (0, 1, -1, 0x10000) { $! = 0; my $r = syscall($nr, $a, $a, $a, $a, $a, $a); die \"$nr gave $r\" if $r != -1; } } print \"refused\\n\"";
    cx.run(BASE, &["perl", "-e", script])?.prints("refused")
}

fn reads_host_files(cx: &Cx) -> Result<()> {
    let secret = cx.bed.path("canary/one").to_string_lossy().into_owned();
    let data = cx.bed.path("data").to_string_lossy().into_owned();
    let script = format!(
        "for p in {secret} /proc/1/root{secret} /proc/self/root/../../..{secret} /../../..{secret} /proc/self/cwd/../../../..{secret} {data}; do test -e $p && echo seen $p; done
         for p in /proc/[0-9]*/root /proc/[0-9]*/cwd; do test -e $p{secret} && echo seen $p; done; echo end"
    );
    cx.sh(BASE, &script)?.prints("end")
}

fn host_processes_hidden(cx: &Cx) -> Result<()> {
    let me = std::process::id();
    let script = format!(
        "test -e /proc/{me} && echo seen; kill -0 {me} 2>/dev/null && echo killable; grep -l c[a]rrack /proc/[0-9]*/cmdline /proc/[0-9]*/maps 2>/dev/null; ls -d /proc/[0-9]* | wc -l"
    );
    let out = cx.sh(BASE, &script)?.good()?;
    ensure!(out.parse::<u32>().is_ok_and(|n| n <= 4), "{out}");
    Ok(())
}

fn output_flood(cx: &Cx) -> Result<()> {
    let name = cx.own("f");
    cx.docker(&["run", "-d", "--name", &name, BASE, "sh", "-c", "yes | head -c 60000000; echo end"])?
        .good()?;
    cx.docker(&["wait", &name])?.prints("0")?;
    cx.docker(&["logs", "-n", "1", &name])?.prints("end")
}

fn fills_shared_memory(cx: &Cx) -> Result<()> {
    cx.docker(&["run", "--rm", "--shm-size", "8m", BASE, "sh", "-c", "head -c 20000000 /dev/zero > /dev/shm/f; sleep 2; (true > /dev/shm/h) || echo full; rm /dev/shm/f; sleep 2; echo x > /dev/shm/g && cat /dev/shm/g"])?
        .prints("full\nx")
}

fn thousands_of_files(cx: &Cx) -> Result<()> {
    let script = "mkdir /many; cd /many; seq 1 5000 | xargs touch; ls | wc -l; seq 1 5000 | xargs rm; ls | wc -l; for i in 1 2 3; do seq 1 500 | xargs -I{} -P4 sh -c ': > x{}' ; done; ls | wc -l";
    cx.sh(BASE, script)?.prints("5000\n0\n500")
}

fn deep_directories(cx: &Cx) -> Result<()> {
    let script = "cd /tmp; perl -e 'for (1..300) { mkdir \"d\" x 20; chdir \"d\" x 20 or die \"$_: $!\" } open(F, \">leaf\"); print \"made\\n\"; exec \"/bin/pwd\"' | wc -c; find . -type d | wc -l; find . -name leaf | wc -l; rm -rf dddddddddddddddddddd; ls | wc -l";
    cx.sh(BASE, script)?.prints("6310\n301\n1\n0")
}

fn fork_bomb(cx: &Cx) -> Result<()> {
    let (name, other) = (cx.own("bomb"), cx.own("other"));
    cx.docker(&["run", "-d", "--name", &other, BASE, "sleep", "1000"])?.good()?;
    cx.docker(&[
        "run",
        "-d",
        "--name",
        &name,
        "--pids-limit",
        "200",
        BASE,
        "bash",
        "-c",
        "f() { f | f & }; f; while :; do sleep 0.2; f; done",
    ])?
    .good()?;
    std::thread::sleep(Duration::from_secs(3));
    cx.docker(&["exec", &other, "echo", "well"])?.prints("well")?;
    cx.docker(&["kill", &name])?.good()?;
    cx.docker(&["rm", "-f", &name])?.good()?;
    cx.docker(&["exec", &other, "echo", "well"])?.prints("well")
}

fn supervisor_killed(cx: &Cx) -> Result<()> {
    let bed = Bed::start(&cx.bed.args, "supervisor")?;
    bed.import_base()?;
    let test = Test { suite: "", name: "supervisor", seconds: 110, programs: false, run: supervisor_killed };
    let cx = &Cx::new(&bed, &test, Duration::from_secs(110));
    let (name, other) = (cx.own("many"), cx.own("other"));
    let idle = bed.processes().len();
    cx.docker(&["run", "-d", "--name", &other, BASE, "sleep", "1000"])?.good()?;
    let with_other = bed.processes().len();
    cx.docker(&[
        "run",
        "-d",
        "--name",
        &name,
        BASE,
        "bash",
        "-c",
        "for i in $(seq 1000); do sleep 1000 & done; echo up; wait",
    ])?
    .good()?;
    cx.until(
        "a thousand guests",
        || Ok(bed.processes().iter().filter(|(_, c)| c == "sleep").count() > 1000),
    )?;
    // The supervisor of this container: the parent of its first process.
    let pid = cx.docker(&["inspect", "-f", "{{.State.Pid}}", &name])?.good()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let parent: i32 =
        status.lines().find_map(|l| l.strip_prefix("PPid:")).and_then(|p| p.trim().parse().ok()).unwrap_or(0);
    ensure!(bed.processes().iter().any(|(p, _)| *p == parent), "the parent {parent} is not ours");
    if let Some(parent) = rustix::process::Pid::from_raw(parent) {
        rustix::process::kill_process(parent, rustix::process::Signal::KILL)?;
    }
    cx.until("no guest is left", || Ok(bed.processes().len() <= with_other))?;
    cx.docker(&["exec", &other, "echo", "well"])?.prints("well")?;
    cx.until("the daemon knows", || {
        Ok(cx.docker(&["inspect", "-f", "{{.State.Running}}", &name])?.text().trim() == "false")
    })?;
    cx.docker(&["start", &name])?.good()?;
    cx.docker(&["rm", "-f", &name, &other])?.good()?;
    cx.until("nothing is left", || Ok(bed.processes().len() <= idle))?;
    bed.finish()
}
