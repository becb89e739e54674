//! Locks between processes that have the same store open: flock(2) on files of it. A lock goes with its
//! holder, however that ends.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Context, Error};

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Waits for the lock on a file, which is made if it is missing.
pub(super) fn exclusive(path: &Path) -> Result<Lock, Error> {
    let file = open(path)?;
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            result => break result.context("locking", path)?,
        }
    }
    Ok(Lock { _file: file })
}

/// The lock on a file unless somebody has it.
pub(super) fn try_exclusive(path: &Path) -> Result<Option<Lock>, Error> {
    attempt(path, FlockOperation::NonBlockingLockExclusive)
}

/// A shared lock on a file unless somebody has it exclusively.
pub(super) fn try_shared(path: &Path) -> Result<Option<Lock>, Error> {
    attempt(path, FlockOperation::NonBlockingLockShared)
}

fn attempt(path: &Path, operation: FlockOperation) -> Result<Option<Lock>, Error> {
    let file = open(path)?;
    match flock(&file, operation) {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
        Err(e) => Err(Error::io("locking", path, e)),
    }
}

fn open(path: &Path) -> Result<File, Error> {
    File::options().read(true).append(true).create(true).open(path).context("opening", path)
}
