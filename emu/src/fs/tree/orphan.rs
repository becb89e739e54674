//! Inodes without a name: kept for those who have them open, and no longer.

use super::node::{Body, Data, Node, ROOT, State};
use super::{Backing, Tree};
use crate::vfs::{Ino, Kind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How many orphans there must be for a look. One: what was removed and is not open gives its space back at once. While some
/// are held open, the next look is at twice their number.
pub(crate) const SWEEP_MIN: usize = 1;

/// Who may have an inode open, and how to find out.
#[derive(Clone, Copy)]
enum Holders {
    None,
    OfBody,
    Unknown,
}

fn holders(node: &Node) -> Holders {
    match (node.kind(), &node.data) {
        (Kind::Regular, Data::Regular(Body::Own)) if node.opened => Holders::OfBody,
        // A descriptor on the image's body says which inode it is of as long as the image lives.
        (Kind::Regular, _) => Holders::None,
        (Kind::Fifo, _) if node.opened => Holders::Unknown,
        // Everything else is opened as a placeholder, which holds a handle.
        _ => Holders::None,
    }
}

impl<B: Backing> Tree<B> {
    /// Forgets orphans when there are many. Called after names were removed, without the
    /// lock, and when nobody holds a handle any more for the removal itself.
    pub(crate) fn sweep_if_due(&self) {
        if self.state.read().orphans.len() >= self.sweep_at.load(Ordering::Relaxed) {
            self.sweep();
        }
    }

    /// Forgets every orphan that nobody can have open, and removes its body: no handle exists, and the host says that
    /// nobody but us has the body open.
    pub fn sweep(&self) {
        let candidates: Vec<(Ino, Holders)> = {
            let state = self.state.read();
            let idle = state.orphans.iter().filter_map(|ino| {
                let node = state.nodes.get(ino)?;
                (Arc::strong_count(&node.pin) == 1).then(|| (*ino, holders(node)))
            });
            idle.collect()
        };
        let held = |ino: Ino, holders: Holders| match holders {
            Holders::None => false,
            Holders::Unknown => true,
            Holders::OfBody => self.backing.in_use(ino),
        };
        let gone: Vec<Ino> =
            candidates.into_iter().filter(|(ino, h)| !held(*ino, *h)).map(|(ino, _)| ino).collect();
        self.forget(&gone);
    }

    fn forget(&self, gone: &[Ino]) {
        let mut bodies = Vec::new();
        {
            let mut state = self.state.write();
            for ino in gone {
                // Somebody may have taken a handle, or linked it, in between.
                let idle = state.orphans.contains(ino)
                    && state.nodes.get(ino).is_some_and(|n| Arc::strong_count(&n.pin) == 1);
                if idle {
                    bodies.extend(self.remove_node(&mut state, *ino));
                }
            }
            self.sweep_at.store((state.orphans.len() * 2).max(SWEEP_MIN), Ordering::Relaxed);
        }
        for ino in bodies {
            self.backing.remove(ino);
        }
    }

    /// Takes a node out; returns its number when it has something on the host.
    pub(super) fn remove_node(&self, state: &mut State, ino: Ino) -> Option<Ino> {
        if ino == ROOT {
            return None;
        }
        state.orphans.remove(&ino);
        let node = state.nodes.remove(&ino)?;
        if ino <= self.lower.max_ino() {
            state.dead.insert(ino);
        }
        (matches!(node.data, Data::Regular(Body::Own) | Data::Special)).then_some(ino)
    }
}
