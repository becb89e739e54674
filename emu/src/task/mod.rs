//! Tasks: what the personality keeps of each process and thread of the container.
//!
//! Tasks are real host threads; waiting, exiting and memory are the host's. Kept here is what the host must not know:
//! credentials, working directory, mounts, the program that runs.

pub mod cred;
mod fs;
pub(crate) mod process;
mod table;

pub use cred::{Caps, Cred};
pub use fs::FsStruct;
pub use process::Process;
pub(crate) use table::Reissue;
pub use table::{Task, TaskTable};
