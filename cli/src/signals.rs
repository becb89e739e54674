//! Signals of the client: passed on to the container, and changes of the window's size.

use carrack_emu::control::{Client, Request};
use nix::sys::signal::{SigSet, Signal};
use std::path::PathBuf;

/// What docker's client passes on. Stop signals stay with the client: it is the user's job, not the container.
const PASSED_ON: [Signal; 6] =
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGUSR2];

/// Blocks the signals in this thread and those that it makes, and starts a thread that waits for them.
///
/// Must come after the supervisor was started, which is not to inherit the mask.
pub(crate) fn pass_on(socket: PathBuf, has_tty: bool) {
    let mut set = SigSet::empty();
    for signal in PASSED_ON {
        set.add(signal);
    }
    if has_tty {
        set.add(Signal::SIGWINCH);
    }
    if set.thread_block().is_err() {
        return;
    }
    let wait = move || {
        let mut insisted = 0;
        while let Ok(signal) = set.wait() {
            // As docker's client: a container that ignores the signal must not hold its user.
            insisted += u32::from(matches!(signal, Signal::SIGINT | Signal::SIGTERM));
            if insisted >= 3 {
                eprintln!("carrack: got 3 SIGTERM/SIGINTs, forcefully exiting");
                std::process::exit(1);
            }
            let request = match signal {
                Signal::SIGWINCH => match crate::terminal::size() {
                    Some((rows, cols)) => Request::Resize { rows, cols },
                    None => continue,
                },
                signal => Request::Signal { signal: signal as i32, all: false },
            };
            // A container that has just ended needs no signal.
            let _ = Client::connect(&socket).and_then(|mut c| c.call(&request));
        }
    };
    // Without the thread the container cannot be interrupted from here, but runs.
    let _ = std::thread::Builder::new().stack_size(64 << 10).spawn(wait);
}
