//! A session that says one statement and goes.
//!
//! Blocking, over a bare socket: the black-box tests have no event loop, and a statement without a result needs no more of the
//! protocol than a length and a letter. Rejected: a client library, which every test program would then link.

use std::io::{Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// A statement of the harness takes moments; longer means that the server is gone.
const BOUND: Duration = Duration::from_secs(60);

/// Runs a statement as the superuser in this database; several, parted by semicolons, are one transaction.
pub(crate) fn execute(socket: &Path, database: &str, statement: &str) -> Result<()> {
    let mut server = UnixStream::connect(socket).with_context(|| format!("{}", socket.display()))?;
    server.set_read_timeout(Some(BOUND))?;
    let mut startup = 196_608u32.to_be_bytes().to_vec();
    startup.extend_from_slice(b"user\0postgres\0database\0");
    startup.extend_from_slice(database.as_bytes());
    startup.extend_from_slice(b"\0\0");
    server.write_all(&length(&startup))?;
    server.write_all(&startup)?;
    until_ready(&mut server).context("the start of a session")?;
    let mut query = statement.as_bytes().to_vec();
    query.push(0);
    server.write_all(b"Q")?;
    server.write_all(&length(&query))?;
    server.write_all(&query)?;
    until_ready(&mut server).with_context(|| statement.chars().take(100).collect::<String>())
}

/// A length counts itself.
fn length(body: &[u8]) -> [u8; 4] {
    u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes()
}

/// Reads up to ReadyForQuery; an error on the way is the answer.
fn until_ready(server: &mut UnixStream) -> Result<()> {
    let mut refused = None;
    loop {
        let (mut kind, mut length) = ([0], [0; 4]);
        server.read_exact(&mut kind)?;
        server.read_exact(&mut length)?;
        let mut body = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4)];
        server.read_exact(&mut body)?;
        match kind {
            [b'E'] => refused = Some(String::from_utf8_lossy(&body).replace('\0', " ")),
            [b'Z'] => break,
            _ => {}
        }
    }
    match refused {
        None => Ok(()),
        Some(refused) => bail!("the server says: {refused}"),
    }
}
