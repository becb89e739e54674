//! Waiting for a container's end or removal.

use super::Engine;
use super::record::Published;
use tokio::sync::watch;

/// When `wait` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    NotRunning,
    NextExit,
    Removed,
}

impl Engine {
    /// Waits as `POST /containers/X/wait` does: the exit code, and the error of a failed removal.
    pub async fn wait(
        mut published: watch::Receiver<Published>,
        condition: Condition,
    ) -> (i32, Option<String>) {
        let (seen, state) = {
            let now = published.borrow_and_update();
            (now.exits, now.state)
        };
        let met = published
            .wait_for(|p| match condition {
                Condition::NotRunning => !state.is_up() || p.exits > seen || p.removed.is_some(),
                Condition::NextExit => p.exits > seen || p.removed.is_some(),
                Condition::Removed => p.removed.is_some(),
            })
            .await
            .map(|p| (p.exit_code, p.removed.clone().flatten()));
        match met {
            Ok((code, error)) if condition == Condition::Removed => (code, error),
            Ok((code, _)) => (code, None),
            Err(_) => (-1, Some("the container is gone".into())),
        }
    }
}
