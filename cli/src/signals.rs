//! Signals of the client: passed on to the container, and changes of the window's size.

use nix::sys::signal::{SigSet, Signal};

/// What docker's client passes on. Stop signals stay with the client: it is the user's job, not the container.
const PASSED_ON: [Signal; 6] =
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGUSR2];

/// What happened to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It got this signal.
    Signal(Signal),
    /// Its window has so many rows and columns now.
    Resize(u16, u16),
}

/// Which signals are the container's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// None: they do here what they always do.
    Nothing,
    /// Those that docker's client passes on.
    Signals,
}

/// Signals that wait until somebody listens.
#[derive(Debug)]
pub(crate) struct Held(SigSet);

/// Blocks the signals in this thread and those that it makes: from here on none of them ends the client, and none is lost.
///
/// Must come after a supervisor was forked, which is not to inherit the mask.
pub(crate) fn hold(passed: Passed, has_tty: bool) -> Held {
    let mut set = SigSet::empty();
    if passed == Passed::Signals {
        set.extend(PASSED_ON);
    }
    if has_tty {
        set.add(Signal::SIGWINCH);
    }
    if set.thread_block().is_err() {
        set = SigSet::empty();
    }
    Held(set)
}

/// [`hold`], and a thread that waits for the signals and tells `on`.
pub(crate) fn watch(passed: Passed, has_tty: bool, on: impl Fn(Event) + Send + 'static) {
    listen(hold(passed, has_tty), on);
}

/// Starts a thread that waits for the signals, those that came meanwhile first, and tells `on`.
pub(crate) fn listen(Held(set): Held, on: impl Fn(Event) + Send + 'static) {
    if set == SigSet::empty() {
        return;
    }
    let wait = move || {
        let mut insisted = 0;
        while let Ok(signal) = set.wait() {
            // As docker's client: a container that ignores the signal must not hold its user.
            insisted += u32::from(matches!(signal, Signal::SIGINT | Signal::SIGTERM));
            if insisted >= 3 {
                crate::out::say("carrack: got 3 SIGTERM/SIGINTs, forcefully exiting");
                std::process::exit(1);
            }
            match signal {
                Signal::SIGWINCH => {
                    if let Some((rows, cols)) = crate::terminal::size() {
                        on(Event::Resize(rows, cols));
                    }
                }
                signal => on(Event::Signal(signal)),
            }
        }
    };
    // Without the thread the container cannot be interrupted from here, but runs.
    let _ = std::thread::Builder::new().stack_size(256 << 10).spawn(wait);
}
