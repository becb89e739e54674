//! `-it`: job control, keys, window size, completion, detaching.

use anyhow::{Result, ensure};

use super::tests;
use crate::Test;
use crate::bed::{BASE, Cx};
use crate::terminal::Terminal;

pub(super) const TESTS: &[Test] = tests!("terminals", 60;
    bash_job_control, interrupt_key, window_size, window_resized, tab_completion, exec_terminal, detach_keys, exit_code_of_shell, end_of_file, tty_command,
);

fn bash(cx: &Cx) -> Result<Terminal> {
    let mut terminal = Terminal::open(cx, &format!("docker run --rm -it {BASE} bash --norc"))?;
    terminal.ask("PS1='$ '; echo ready-$((1+1))", "ready-2")?;
    Ok(terminal)
}

fn bash_job_control(cx: &Cx) -> Result<()> {
    let mut t = bash(cx)?;
    t.send("sleep 1000\n")?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    t.send("\x1a")?;
    t.expect("Stopped")?;
    t.ask("jobs", "Stopped                 sleep 1000")?;
    t.ask("bg; jobs", "Running")?;
    t.send("fg\n")?;
    t.expect("sleep 1000")?;
    std::thread::sleep(std::time::Duration::from_millis(300));
    t.send("\x03")?;
    t.ask("echo code $?", "code 130")?;
    t.ask("sleep 0.2 & wait; echo wai''ted", "waited")?;
    t.ask("cat <(echo sub''stitution)", "substitution")?;
    ensure!(!t.text().contains("no job control"), "bash found no job control: {}", t.text());
    t.send("exit 4\n")?;
    ensure!(t.end()? == 4, "the exit code is lost");
    Ok(())
}

fn interrupt_key(cx: &Cx) -> Result<()> {
    let mut t = Terminal::open(
        cx,
        &format!(
            "docker run --rm -it {BASE} sh -c 'trap \"echo caught; exit 9\" INT; echo up; while :; do sleep 0.1; done'"
        ),
    )?;
    t.expect("up")?;
    t.send("\x03")?;
    t.expect("caught")?;
    ensure!(t.end()? == 9, "the exit code is lost");
    Ok(())
}

fn window_size(cx: &Cx) -> Result<()> {
    let mut t = bash(cx)?;
    t.ask("stty size", "40 100")?;
    t.ask("echo $LINES by $COLUMNS", "40 by 100")?;
    t.send("exit\n")?;
    t.end()?;
    Ok(())
}

fn window_resized(cx: &Cx) -> Result<()> {
    let line = format!(
        "t=$(tty); (sleep 3; stty rows 50 cols 132 <$t) & docker run --rm -it {BASE} bash --norc -c 'trap \"stty size; exit 3\" WINCH; echo up; while :; do sleep 0.1; done'"
    );
    let mut t = Terminal::open(cx, &line)?;
    t.expect("up")?;
    t.expect("50 132")?;
    ensure!(t.end()? == 3, "the exit code is lost");
    Ok(())
}

fn tab_completion(cx: &Cx) -> Result<()> {
    let mut t = bash(cx)?;
    t.send("cat /etc/debian_v\t")?;
    t.expect("ersion")?;
    t.send("\n")?;
    t.expect("12.")?;
    t.send("echo \x1b[A\x15echo edi\x08\x08\x08edited-$((3*3))\n")?;
    t.expect("edited-9")?;
    t.send("exit\n")?;
    t.end()?;
    Ok(())
}

fn exec_terminal(cx: &Cx) -> Result<()> {
    let name = cx.own("e");
    cx.docker(&["run", "-d", "--name", &name, BASE, "sleep", "1000"])?.good()?;
    let mut t = Terminal::open(cx, &format!("docker exec -it {name} sh"))?;
    t.ask("tty; stty size", "40 100")?;
    t.ask("echo made > /by-exec; echo wri''tten", "written")?;
    t.send("exit 5\n")?;
    ensure!(t.end()? == 5, "the exit code is lost");
    cx.docker(&["exec", &name, "cat", "/by-exec"])?.prints("made")
}

fn detach_keys(cx: &Cx) -> Result<()> {
    let name = cx.own("d");
    let mut t = Terminal::open(cx, &format!("docker run -it --name {name} {BASE} bash --norc"))?;
    t.ask("echo be''fore", "before")?;
    t.send("\x10\x11")?;
    t.end()?;
    ensure!(cx.docker(&["inspect", "-f", "{{.State.Running}}", &name])?.good()? == "true", "it ended");
    let mut t = Terminal::open(cx, &format!("docker attach {name}"))?;
    t.ask("echo aft''er", "after")?;
    t.send("exit 2\n")?;
    ensure!(t.end()? == 2, "the exit code is lost");
    Ok(())
}

fn exit_code_of_shell(cx: &Cx) -> Result<()> {
    for code in [0, 3, 127] {
        let mut t = bash(cx)?;
        t.send(&format!("exit {code}\n"))?;
        ensure!(t.end()? == code, "the exit code {code} is lost");
    }
    Ok(())
}

fn end_of_file(cx: &Cx) -> Result<()> {
    let mut t = Terminal::open(cx, &format!("docker run --rm -it {BASE} cat"))?;
    t.send("line\n")?;
    t.expect("line\r\nline")?;
    t.send("\x04")?;
    ensure!(t.end()? == 0, "cat failed");
    Ok(())
}

fn tty_command(cx: &Cx) -> Result<()> {
    let mut t = Terminal::open(
        cx,
        &format!(
            "docker run --rm -it {BASE} sh -c 'tty; ps >/dev/null 2>&1; test -t 0 -a -t 1 -a -t 2 && echo all; cat /dev/tty'"
        ),
    )?;
    t.expect("/dev/pts/")?;
    t.expect("all")?;
    t.send("from the keyboard\n")?;
    t.expect("from the keyboard\r\nfrom the keyboard")?;
    t.send("\x04")?;
    t.end()?;
    Ok(())
}
