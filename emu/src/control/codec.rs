//! Lines of JSON on a stream, with a bound on their length, and a small blocking client.

use super::{Reply, Request};
use serde::{Serialize, de::DeserializeOwned};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Longest line that is accepted, bytes. A spec of an exec with a large environment fits; a flood does not.
const MAX_LINE: usize = 8 << 20;

/// Why a conversation with a supervisor failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("the supervisor cannot be reached: {0}")]
    Io(#[from] io::Error),
    #[error("the supervisor sent something that is not a reply: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("the supervisor closed the connection before it answered")]
    Closed,
}

/// Writes `value` as one line.
pub fn write_line<T: Serialize>(to: &mut impl Write, value: &T) -> Result<(), ControlError> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line)?;
    Ok(())
}

/// Reads one line without reading past it (what follows on the stream belongs to somebody else).
pub fn read_line<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, ControlError> {
    let mut line = Vec::new();
    let mut byte = [0u8; 1];
    loop {
        match from.read(&mut byte) {
            Ok(0) if line.is_empty() => return Err(ControlError::Closed),
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) => line.push(byte[0]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
        if line.len() > MAX_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line of more than 8 MiB").into());
        }
    }
    Ok(serde_json::from_slice(&line)?)
}

/// A blocking client: one connection, one request.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

impl Client {
    /// Connects to the control socket at `path`.
    pub fn connect(path: &Path) -> Result<Client, ControlError> {
        Ok(Client { stream: UnixStream::connect(path)? })
    }

    /// Sends the request and waits for its reply.
    pub fn call(&mut self, request: &Request) -> Result<Reply, ControlError> {
        write_line(&mut self.stream, request)?;
        read_line(&mut self.stream)
    }
}
