//! The socket in the data folder by which whoever runs a node proves it: who can open it is told the node's address, and a token for it.
//!
//! A file with a token would do as much, but stays where a node was killed, and is copied with backups.

use std::convert::Infallible;
use std::fs::{File, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aloft_base::{Policy, Tasks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::{Address, Error};

const NAME: &str = "aloft.sock";
/// How long whoever connects may take to read a few hundred bytes, or the node to tell them.
const PATIENCE: Duration = Duration::from_secs(5);
/// The wait after a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);
/// The most that is told.
const BYTES: u64 = 64 << 10;

/// Tells the address to whoever opens the socket, while the tasks run. Only its owner and root can.
pub(crate) fn serve(data: &Path, address: &Address, tasks: &Tasks) -> Result<(), Error> {
    let path = data.join(NAME);
    let told = serde_json::to_vec(address).map_err(|error| Error::io("write", &path)(error.into()))?;
    let listener = listen(data, &path).map_err(Error::io("listen on", &path))?;
    let (owner, stop) = (rustix::process::geteuid().as_raw(), tasks.stop().clone());
    tasks.start("the administrator's socket", Policy::Alone, async move {
        loop {
            let accepted = tokio::select! {
                // Safe to cancel: nothing was accepted.
                accepted = listener.accept() => accepted,
                () = stop.asked() => break,
            };
            let Ok((mut stream, _)) = accepted else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            // Between the socket's making and its mode, others may have opened it.
            let peer = stream.peer_cred();
            if peer.is_ok_and(|peer| peer.uid() == owner || peer.uid() == 0) {
                // Whoever does not read it is let go.
                let _ = tokio::time::timeout(PATIENCE, stream.write_all(&told)).await;
            }
        }
        // Another node may have made its own by now only after this one let go of the data.
        let _ = std::fs::remove_file(&path);
        Ok::<(), Infallible>(())
    });
    Ok(())
}

fn listen(data: &Path, path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (_folder, short) = short(data)?;
    let listener = UnixListener::bind(short)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Address {
    /// The address of the node that serves this data folder, as it tells it to the folder's owner; nothing if none does.
    ///
    /// # Errors
    /// When the socket may not be opened, or nothing is told.
    pub async fn of_service(data: &Path) -> Result<Option<Self>, Error> {
        let path = data.join(NAME);
        match told(data).await {
            Ok(told) => {
                let address = serde_json::from_slice(&told);
                address
                    .map(Some)
                    .map_err(|error| Error::io("read", &path)(error.into()))
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) => Err(Error::io("open", &path)(error)),
        }
    }
}

async fn told(data: &Path) -> std::io::Result<Vec<u8>> {
    let (_folder, short) = short(data)?;
    let stream = UnixStream::connect(short).await?;
    let mut told = Vec::new();
    let mut limited = stream.take(BYTES);
    let read = tokio::time::timeout(PATIENCE, limited.read_to_end(&mut told)).await;
    read.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))?;
    Ok(told)
}

/// A path of the socket that fits into an address of 108 bytes, however long the folder's is: by way of the folder's descriptor.
fn short(data: &Path) -> std::io::Result<(File, PathBuf)> {
    let folder = File::open(data)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(NAME);
    Ok((folder, path))
}
