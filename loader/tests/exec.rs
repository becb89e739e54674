//! Real programs, executed by way of the stub: the example to follow for whoever drives it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Ended, run};

/// Compiles `tests/guest/show.c` once per way of linking.
fn show(name: &str, flags: &[&str]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest/show.c");
    let status = Command::new("cc").args(flags).arg("-O1").arg(source).arg("-o").arg(&path).status().unwrap();
    assert!(status.success());
    path
}

#[track_caller]
fn check_show(path: &Path, random: Option<[u64; 2]>) {
    let argv = ["show", "", "a b"];
    let ended = run(path, &argv, &["A=1", "B=2"], random);
    assert_eq!((ended.code, ended.failed), (Some(3), None), "{ended:?}");
    let comm: String = path.file_name().unwrap().to_str().unwrap().chars().take(15).collect();
    // Whatever else runs these tests may leave descriptors of its own.
    let native = String::from_utf8(Command::new(path).output().unwrap().stdout).unwrap();
    let fds = native.lines().last().unwrap();
    let expected = format!(
        "arg show\narg \narg a b\nenv A=1\nenv B=2\nexecfn {}\nplatform x86_64\nuid 1234 secure 0\nphdr ok\nvdso ok\n\
         data 42\nbrk ok\ncomm {comm}\ncmdline 10 ok\nauxv ok\nleft 0 -1\n{fds}\n",
        path.display()
    );
    assert_eq!(ended.stdout, expected);
}

/// Every way of linking, with and without randomisation.
#[test]
fn programs_find_what_linux_gives_them() {
    let ways: &[(&str, &[&str])] = &[
        ("show-pie", &["-pie", "-fPIE"]),
        ("show-fixed", &["-no-pie"]),
        ("show-static", &["-static"]),
        ("show-static-pie", &["-static-pie", "-fPIE"]),
        ("show-aligned", &["-pie", "-fPIE", "-Wl,-z,max-page-size=0x200000"]),
        ("show-execstack", &["-pie", "-fPIE", "-Wl,-z,execstack"]),
        ("show-joined", &["-static", "-Wl,-z,noseparate-code"]),
    ];
    for (name, flags) in ways {
        let path = show(name, flags);
        check_show(&path, None);
        for random in [[0, 0], [u64::MAX, u64::MAX], [0x1234_5678_9abc_def1, 0xfedc_ba98_7654_3211]] {
            check_show(&path, Some(random));
        }
    }
}

#[test]
fn host_programs_run() {
    let ended = run(Path::new("/bin/echo"), &["echo", "hello", "world"], &[], Some([1, 2]));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "hello world\n"), "{ended:?}");
    assert_eq!(run(Path::new("/bin/true"), &["true"], &[], None).code, Some(0));
    assert_eq!(run(Path::new("/bin/false"), &[], &[], Some([3, 4])).code, Some(1));
}

#[test]
fn ld_so_shows_the_auxiliary_vector() {
    let Ended { stdout, code, .. } = run(Path::new("/bin/true"), &["true"], &["LD_SHOW_AUXV=1"], None);
    assert_eq!(code, Some(0));
    let value = |name: &str| {
        let line =
            stdout.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {stdout}"));
        line.split_once(':').unwrap().1.trim().to_owned()
    };
    assert_eq!(value("AT_PAGESZ"), "4096");
    assert_eq!(value("AT_EUID"), "1234");
    assert_eq!(value("AT_SECURE"), "0");
    assert_eq!(value("AT_PHENT"), "56");
    assert_eq!(value("AT_EXECFN"), "/bin/true");
    assert_eq!(value("AT_PLATFORM"), "x86_64");
    assert!(value("AT_PHDR").starts_with("0x555555554"));
    assert!(value("AT_BASE").starts_with("0x7"));
    assert_ne!(value("AT_SYSINFO_EHDR"), "0");
}

/// ld.so run by hand is a relocatable file without an interpreter: it must not take the place of the program it loads.
#[test]
fn an_interpreter_runs_by_hand() {
    let program = common::Object::open(Path::new("/bin/echo"), false);
    let interp = String::from_utf8(program.image.interp.unwrap()).unwrap();
    let ended = run(Path::new(&interp), &["ld.so", "/bin/echo", "by hand"], &[], Some([5, 6]));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "by hand\n"), "{ended:?}");
}

#[test]
fn a_megabyte_of_arguments() {
    let long = "x".repeat(100_000);
    let argv: Vec<&str> =
        std::iter::once("sh").chain(["-c", "echo $# ${#1}"]).chain([long.as_str(); 10]).collect();
    let ended = run(Path::new("/bin/sh"), &argv, &[], None);
    assert_eq!(ended.stdout, "9 100000\n", "{:?}", ended.stderr);
}
