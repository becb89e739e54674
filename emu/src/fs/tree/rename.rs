//! renameat2(2).

use super::attr::touch;
use super::names::check_name;
use super::node::{Data, Name, Node, State};
use super::record::Touched;
use super::{Backing, Tree};
use crate::errno::Errno;
use crate::fs::now;
use crate::vfs::{Ino, Kind, RenameFlags};
use crate::{bail, err};

impl<B: Backing> Tree<B> {
    pub(super) fn rename_in(
        &self,
        dir: Ino,
        name: &[u8],
        new_dir: Ino,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        check_name(name)?;
        check_name(new_name)?;
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        if exchange && flags.intersects(RenameFlags::NOREPLACE | RenameFlags::WHITEOUT) {
            bail!(EINVAL);
        }
        {
            let mut state = self.state.write();
            let moved = state.lookup(self.lower(), dir, name)?;
            let replaced = match state.lookup(self.lower(), new_dir, new_name) {
                Ok(_) if flags.contains(RenameFlags::NOREPLACE) => bail!(EEXIST),
                Ok(ino) => Some(ino),
                Err(e) if e.code() != libc::ENOENT || exchange => return Err(e),
                Err(_) if state.nlink(self.lower(), new_dir) == 0 => {
                    bail!(ENOENT, "the directory was removed")
                }
                Err(_) => None,
            };
            self.check_ancestry(&state, dir, moved, new_dir, replaced, exchange)?;
            if replaced == Some(moved) {
                return Ok(());
            }
            let touched = match replaced {
                Some(other) if exchange => {
                    self.exchange(&mut state, (dir, name, moved), (new_dir, new_name, other))?
                }
                _ => {
                    self.check_kinds(&state, moved, replaced)?;
                    let whiteout = flags.contains(RenameFlags::WHITEOUT);
                    self.replace(&mut state, (dir, name, moved), (new_dir, new_name, replaced), whiteout)?
                }
            };
            self.commit(&state, &touched)?;
        }
        Ok(())
    }

    /// A directory cannot be moved below itself, nor over one that contains it.
    fn check_ancestry(
        &self,
        state: &State,
        dir: Ino,
        moved: Ino,
        new_dir: Ino,
        replaced: Option<Ino>,
        exchange: bool,
    ) -> Result<(), Errno> {
        if state.is_within(self.lower(), new_dir, moved) {
            bail!(EINVAL);
        }
        if let Some(replaced) = replaced
            && state.is_within(self.lower(), dir, replaced)
        {
            return Err(if exchange { err!(EINVAL) } else { err!(ENOTEMPTY) });
        }
        Ok(())
    }

    fn check_kinds(&self, state: &State, moved: Ino, replaced: Option<Ino>) -> Result<(), Errno> {
        let Some(replaced) = replaced else { return Ok(()) };
        let moved = state.kind(self.lower(), moved)? == Kind::Directory;
        match (moved, state.kind(self.lower(), replaced)? == Kind::Directory) {
            (true, false) => bail!(ENOTDIR),
            (false, true) => bail!(EISDIR),
            (true, true) if !state.is_empty(self.lower(), replaced) => bail!(ENOTEMPTY),
            _ => Ok(()),
        }
    }

    fn exchange(
        &self,
        state: &mut State,
        (dir, name, a): (Ino, &[u8], Ino),
        (new_dir, new_name, b): (Ino, &[u8], Ino),
    ) -> Result<Touched, Errno> {
        let now = now();
        let a_is_dir = state.kind(self.lower(), a)? == Kind::Directory;
        let b_is_dir = state.kind(self.lower(), b)? == Kind::Directory;
        for ino in [a, b] {
            state.node_mut(self.lower(), ino)?.meta.ctime = now;
        }
        for (ino, comes, goes) in [(dir, b_is_dir, a_is_dir), (new_dir, a_is_dir, b_is_dir)] {
            let node = state.node_mut(self.lower(), ino)?;
            touch(node, now);
            node.meta.nlink = node.meta.nlink.saturating_add(comes.into()).saturating_sub(goes.into());
        }
        state.put(self.lower(), dir, name, Some(b))?;
        state.put(self.lower(), new_dir, new_name, Some(a))?;
        Ok(Touched {
            nodes: vec![a, b, dir, new_dir],
            names: vec![(dir, Name::from(name)), (new_dir, Name::from(new_name))],
            xattrs: vec![],
        })
    }

    fn replace(
        &self,
        state: &mut State,
        (dir, name, moved): (Ino, &[u8], Ino),
        (new_dir, new_name, replaced): (Ino, &[u8], Option<Ino>),
        whiteout: bool,
    ) -> Result<Touched, Errno> {
        let now = now();
        let is_dir = state.kind(self.lower(), moved)? == Kind::Directory;
        // What may fail goes first.
        let whiteout = if whiteout { Some(state.allocate(self.lower())?) } else { None };
        for ino in [dir, new_dir] {
            touch(state.node_mut(self.lower(), ino)?, now);
        }
        state.node_mut(self.lower(), moved)?.meta.ctime = now;
        let mut nodes = vec![moved, dir, new_dir];
        if let Some(replaced) = replaced {
            self.drop_name(state, replaced)?;
            nodes.push(replaced);
        }
        if is_dir {
            let from = state.node_mut(self.lower(), dir)?;
            from.meta.nlink = from.meta.nlink.saturating_sub(1);
            if replaced.is_none() {
                state.node_mut(self.lower(), new_dir)?.meta.nlink += 1;
            }
        }
        match whiteout {
            Some(ino) => {
                state.nodes.insert(ino, Node::new(libc::S_IFCHR, 0, 0, 0, Data::Special, now));
                nodes.push(ino);
                state.put(self.lower(), dir, name, Some(ino))?;
            }
            None => state.put(self.lower(), dir, name, None)?,
        }
        state.put(self.lower(), new_dir, new_name, Some(moved))?;
        if let Some(replaced) = replaced
            && let Some(node) = state.nodes.get_mut(&replaced)
            && node.alias.as_ref().is_some_and(|(d, n)| *d == new_dir && **n == *new_name)
            && node.kind() != Kind::Directory
        {
            node.alias = None;
        }
        Ok(Touched {
            nodes,
            names: vec![(dir, Name::from(name)), (new_dir, Name::from(new_name))],
            xattrs: vec![],
        })
    }
}
