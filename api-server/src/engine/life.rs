//! The life of a container as a pure function: what each request means in each state.
//!
//! ```text
//!            start                pause
//! created ──────────▶ running ◀──────────▶ paused
//!                      │  ▲ ▲     unpause
//!                 exit │  │ └──────────────┐ back-off over
//!                      ▼  │ start          │
//!                    exited        restarting ◀── exit, and the policy restarts
//!                      │
//!  any stopped state ──┴── remove ──▶ removing ──▶ (gone), or dead if the removal failed
//! ```
//!
//! No I/O, no clock, no locks: the engine asks [`decide`] before it acts and sets the state that the answer names once
//! the action has succeeded.

use super::error::{Error, Kind};
use serde::{Deserialize, Serialize};

/// Where a container is. Exactly one at a time; Docker's overlapping booleans are derived in `view`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Created,
    Running,
    Paused,
    /// Ended, and the restart policy will start it again.
    Restarting,
    Exited,
    Removing,
    Dead,
}

impl State {
    pub const ALL: [State; 7] = [
        State::Created,
        State::Running,
        State::Paused,
        State::Restarting,
        State::Exited,
        State::Removing,
        State::Dead,
    ];

    /// The word that the API uses.
    pub fn name(self) -> &'static str {
        match self {
            State::Created => "created",
            State::Running => "running",
            State::Paused => "paused",
            State::Restarting => "restarting",
            State::Exited => "exited",
            State::Removing => "removing",
            State::Dead => "dead",
        }
    }

    pub fn from_name(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Whether an init process exists.
    pub fn is_alive(self) -> bool {
        matches!(self, State::Running | State::Paused)
    }

    /// What Docker's `State.Running` says: alive, or soon again.
    pub fn is_up(self) -> bool {
        self.is_alive() || self == State::Restarting
    }
}

/// What somebody wants of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Start,
    Stop,
    Kill,
    Pause,
    Unpause,
    Remove { force: bool },
    Attach,
    Exec,
    Resize,
    Top,
}

/// What the request means now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Do it; afterwards the container is in this state.
    Next(State),
    /// Already so.
    Repeated,
    Denied(Reason),
}

/// Why not, each with one sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    StartPaused,
    MarkedForRemoval,
    NotRunning,
    AlreadyPaused,
    NotPaused,
    Restarting,
    AttachPaused,
    AttachRestarting,
    ExecPaused,
    RemoveRunning,
    RemoveRestarting,
    RemovePaused,
    RemovalInProgress,
}

/// The whole matrix. Total: every pair has an answer.
pub fn decide(state: State, request: Request) -> Answer {
    use Answer::{Denied, Next, Repeated};
    use Request as R;
    use State as S;
    match (request, state) {
        (R::Start, S::Created | S::Exited) => Next(S::Running),
        (R::Start, S::Running | S::Restarting) => Repeated,
        (R::Start, S::Paused) => Denied(Reason::StartPaused),
        (R::Start, S::Removing | S::Dead) => Denied(Reason::MarkedForRemoval),

        (R::Stop, S::Running | S::Paused | S::Restarting) => Next(S::Exited),
        (R::Stop, _) => Repeated,

        (R::Kill, S::Running | S::Paused | S::Restarting) => Next(S::Exited),
        (R::Kill, _) => Denied(Reason::NotRunning),

        (R::Pause, S::Running) => Next(S::Paused),
        (R::Pause, S::Paused) => Denied(Reason::AlreadyPaused),
        (R::Pause, S::Restarting) => Denied(Reason::Restarting),
        (R::Pause, _) => Denied(Reason::NotRunning),

        (R::Unpause, S::Paused) => Next(S::Running),
        (R::Unpause, _) => Denied(Reason::NotPaused),

        (R::Remove { .. }, S::Removing) => Denied(Reason::RemovalInProgress),
        (R::Remove { force: false }, S::Running) => Denied(Reason::RemoveRunning),
        (R::Remove { force: false }, S::Restarting) => Denied(Reason::RemoveRestarting),
        (R::Remove { force: false }, S::Paused) => Denied(Reason::RemovePaused),
        (R::Remove { .. }, _) => Next(S::Removing),

        (R::Attach, S::Paused) => Denied(Reason::AttachPaused),
        (R::Attach, S::Restarting) => Denied(Reason::AttachRestarting),
        (R::Attach, S::Removing | S::Dead) => Denied(Reason::MarkedForRemoval),
        (R::Attach, s) => Next(s),

        (R::Exec, S::Running) => Next(S::Running),
        (R::Exec, S::Paused) => Denied(Reason::ExecPaused),
        (R::Exec, S::Restarting) => Denied(Reason::Restarting),
        (R::Exec, _) => Denied(Reason::NotRunning),

        (R::Resize | R::Top, s @ (S::Running | S::Paused)) => Next(s),
        (R::Resize | R::Top, S::Restarting) => Denied(Reason::Restarting),
        (R::Resize | R::Top, _) => Denied(Reason::NotRunning),
    }
}

impl Reason {
    /// The refusal, for the container with this id that the user called `name`.
    pub fn error(self, id: &str, name: &str) -> Error {
        let message = match self {
            Reason::StartPaused => "cannot start a paused container, try unpause instead".into(),
            Reason::MarkedForRemoval => "container is marked for removal and cannot be started".into(),
            Reason::NotRunning => format!("container {id} is not running"),
            Reason::AlreadyPaused => format!("container {id} is already paused"),
            Reason::NotPaused => format!("Container {id} is not paused"),
            Reason::Restarting => {
                format!("Container {id} is restarting, wait until the container is running")
            }
            Reason::AttachPaused => {
                format!("container {name} is paused, unpause the container before attach")
            }
            Reason::AttachRestarting => {
                format!("container {name} is restarting, wait until the container is running")
            }
            Reason::ExecPaused => format!("Container {name} is paused, unpause the container before exec"),
            Reason::RemoveRunning => format!(
                "cannot remove container {name:?}: container is running: stop the container before removing or force remove"
            ),
            Reason::RemoveRestarting => format!(
                "cannot remove container {name:?}: container is restarting: stop the container before removing or force remove"
            ),
            Reason::RemovePaused => {
                format!("cannot remove container {name:?}: container is paused and must be unpaused first")
            }
            Reason::RemovalInProgress => format!("removal of container {name} is already in progress"),
        };
        // Docker answers an unpause of something that is not paused with 500; clients have grown used to it.
        let kind = if self == Reason::NotPaused { Kind::Internal } else { Kind::Conflict };
        Error::new(kind, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTS: [Request; 11] = [
        Request::Start,
        Request::Stop,
        Request::Kill,
        Request::Pause,
        Request::Unpause,
        Request::Remove { force: false },
        Request::Remove { force: true },
        Request::Attach,
        Request::Exec,
        Request::Resize,
        Request::Top,
    ];

    /// The page of the book has the whole matrix; this keeps it true.
    #[test]
    fn the_book_shows_the_matrix() {
        let mut table = String::from("| |");
        for state in State::ALL {
            table += &format!(" {} |", state.name());
        }
        table += "\n|---|---|---|---|---|---|---|---|\n";
        for request in REQUESTS {
            let name = match request {
                Request::Remove { force: true } => "remove, by force".to_string(),
                Request::Remove { force: false } => "remove".to_string(),
                other => format!("{other:?}").to_lowercase(),
            };
            table += &format!("| {name} |");
            for state in State::ALL {
                table += &match decide(state, request) {
                    Answer::Next(next) if next == state => " yes |".to_string(),
                    Answer::Next(next) => format!(" → {} |", next.name()),
                    Answer::Repeated => " 304 |".to_string(),
                    Answer::Denied(reason) => {
                        format!(" {} |", crate::error::status(reason.error("", "").kind).as_u16())
                    }
                };
            }
            table += "\n";
        }
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/api.md")).unwrap();
        assert!(page.contains(&table), "docs/src/api.md should contain\n{table}");
    }

    #[test]
    fn nothing_leaves_removing() {
        for request in REQUESTS {
            assert!(
                !matches!(decide(State::Removing, request), Answer::Next(_)),
                "{request:?} must not move a container that is being removed"
            );
        }
    }

    #[test]
    fn only_dead_init_is_started_and_only_live_init_is_signalled() {
        for state in State::ALL {
            let starts = matches!(decide(state, Request::Start), Answer::Next(_));
            assert!(!(starts && state.is_up()), "{state:?}");
            let kills = matches!(decide(state, Request::Kill), Answer::Next(_));
            assert_eq!(kills, state.is_up(), "{state:?}");
        }
    }

    #[test]
    fn force_removes_from_every_state_but_removing() {
        for state in State::ALL {
            let answer = decide(state, Request::Remove { force: true });
            assert_eq!(answer == Answer::Next(State::Removing), state != State::Removing, "{state:?}");
        }
    }

    #[test]
    fn refusals_have_the_words_that_clients_look_for() {
        let text = |s, r| match decide(s, r) {
            Answer::Denied(reason) => reason.error("abc", "web").message,
            other => panic!("{other:?}"),
        };
        assert!(text(State::Running, Request::Remove { force: false }).contains("stop the container before"));
        assert!(text(State::Removing, Request::Remove { force: true }).ends_with("is already in progress"));
        assert_eq!(text(State::Exited, Request::Kill), "container abc is not running");
    }
}
