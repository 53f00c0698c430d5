//! The master key: how it is read, fetched or made.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Mac, hex, unhex};
use aloft_store::folder;
use aloft_store_folder::place;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

use crate::Error;
use crate::cipher::{Cipher, KEY, draw};

/// The bound of a file or an output that is looked at: the longest form of a key has 64 digits.
const MAX_SOURCE_BYTES: u64 = 4 << 10;
/// How long a command may take: some ask a vault in another country, and a person may have to touch a token.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a master key is known by: 16 hexadecimal digits that tell nothing of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyId(String);

impl KeyId {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_stored(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key that all else is sealed under.
#[derive(Clone)]
pub struct MasterKey {
    id: KeyId,
    cipher: Cipher,
}

impl MasterKey {
    /// From its bytes.
    pub fn new(bytes: &[u8; KEY]) -> Self {
        let digest = Mac::of(bytes, b"aloft master key id").bytes();
        let id = hex(&digest).chars().take(16).collect();
        Self {
            id: KeyId(id),
            cipher: Cipher::new(bytes),
        }
    }

    /// A new one, which nobody keeps.
    pub fn draw(chance: &dyn Chance) -> Self {
        Self::new(&draw(chance))
    }

    /// What it is known by.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    pub(crate) fn cipher(&self) -> &Cipher {
        &self.cipher
    }

    /// Reads the 32 bytes raw, in hexadecimal or in base64 of either alphabet.
    fn parse(source: &str, bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |reason: &str| Error::NotAMaster {
            source_name: source.to_owned(),
            reason: reason.to_owned(),
        };
        if let Ok(raw) = <&[u8; KEY]>::try_from(bytes) {
            // Of random bytes not one in 10¹³ is so: it is a password, or the digits of half a key.
            if raw.iter().all(|byte| (b' '..=b'~').contains(byte)) {
                return Err(wrong("its 32 bytes are characters, not random ones"));
            }
            return Ok(Self::new(raw));
        }
        let text = std::str::from_utf8(bytes).map(str::trim);
        let Ok(text) = text.map_err(|_| ()) else {
            return Err(wrong(&format!("it has {} bytes", bytes.len())));
        };
        let decoded = match text.len() {
            64 => unhex(text),
            44 => STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok(),
            _ => return Err(wrong(&format!("it has {} characters", text.len()))),
        };
        let decoded = decoded.map(Zeroizing::new);
        let key = decoded
            .as_deref()
            .and_then(|key| <&[u8; KEY]>::try_from(&key[..]).ok());
        key.map(Self::new)
            .ok_or_else(|| wrong("its characters are neither hexadecimal digits nor base64"))
    }
}

/// Nothing that a log could give away.
impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MasterKey").field(&self.id).finish()
    }
}

/// Where the master key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file of the operator's.
    File(PathBuf),
    /// What a command prints, which `sh` runs: a vault's or a key service's client. Its errors go to the node's.
    Command(String),
    /// A file that is made, readable by its owner alone, if nothing was sealed yet.
    Made(PathBuf),
}

impl Source {
    /// The key itself, for [`rewrap`](crate::rewrap). A file is not made.
    ///
    /// # Errors
    /// [`Error::NotAMaster`], [`Error::Fetch`].
    pub async fn read(&self) -> Result<MasterKey, Error> {
        match self {
            Self::Command(command) => run(command).await,
            Self::File(path) | Self::Made(path) => {
                let path = path.clone();
                let found = blocking(move || read(&path)).await?;
                found
                    .map_err(fetch("read the master key's file", self.path()))
                    .and_then(|(source, bytes)| MasterKey::parse(&source, &bytes))
            }
        }
    }

    /// The key, made if it may be: if `sealed` names none that something was sealed under.
    pub(crate) async fn fetch(
        &self,
        sealed: Option<crate::KeyId>,
        chance: &Arc<dyn Chance>,
    ) -> Result<MasterKey, Error> {
        let Self::Made(path) = self else {
            return self.read().await;
        };
        let looked = path.clone();
        if blocking(move || looked.try_exists().unwrap_or(true)).await? {
            return self.read().await;
        }
        if let Some(sealed) = sealed {
            return Err(Error::NoMaster {
                sealed,
                path: path.clone(),
            });
        }
        let key = draw(&**chance);
        let (made, master) = (path.clone(), MasterKey::new(&key));
        blocking(move || make(&made, &key)).await??;
        tracing::info!(path = %path.display(), key = %master.id, "made the master key: keep a copy of it apart from the data");
        Ok(master)
    }

    fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Made(path) => path,
            Self::Command(_) => Path::new(""),
        }
    }
}

/// What a file holds, and how it is called in errors. Only plain files: of anything else nobody knows when it ends.
fn read(path: &Path) -> io::Result<(String, Zeroizing<Vec<u8>>)> {
    let other = || io::Error::other("it is no plain file");
    if !fs::metadata(path)?.is_file() {
        return Err(other());
    }
    let file = File::open(path)?;
    let about = file.metadata()?;
    if about.mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others than its owner can read the master key's file: chmod 600");
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SOURCE_BYTES as usize));
    file.take(MAX_SOURCE_BYTES).read_to_end(&mut bytes)?;
    Ok((path.display().to_string(), bytes))
}

/// Makes the file. When this returns, a power cut takes it no more: nothing was sealed under it before.
fn make(path: &Path, key: &[u8; KEY]) -> Result<(), Error> {
    let new = path.with_extension("new");
    let written = || {
        // Left by a start that was cut: nothing was sealed under it, since it has no name that is trusted.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let digits = Zeroizing::new(format!("{}\n", hex(key)));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(digits.as_bytes())
    };
    written().map_err(fetch("write", &new))?;
    place(&new, path).map_err(|error| Error::Fetch {
        what: "keep the master key".to_owned(),
        reason: error.to_string(),
    })?;
    // The folder may be new, too, and its name not on the disk. What cannot be opened is nothing that we made.
    for above in path
        .ancestors()
        .skip(2)
        .filter(|above| !above.as_os_str().is_empty())
    {
        if folder::sync(above).is_err() {
            break;
        }
    }
    Ok(())
}

/// What a command prints.
async fn run(command: &str) -> Result<MasterKey, Error> {
    let failed = |reason: String| Error::Fetch {
        what: format!("get the master key from the command `{command}`"),
        reason,
    };
    let mut child = tokio::process::Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let group = child
        .id()
        .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
    let stdout = child.stdout.take();
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SOURCE_BYTES as usize));
    let answered = tokio::time::timeout(PATIENCE, async {
        if let Some(stdout) = stdout {
            stdout.take(MAX_SOURCE_BYTES).read_to_end(&mut bytes).await?;
        }
        child.wait().await
    });
    match answered.await {
        Ok(Ok(status)) if status.success() => MasterKey::parse(&format!("the output of `{command}`"), &bytes),
        Ok(Ok(status)) => Err(failed(format!("it ended with {status}"))),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => {
            // With what it started: that would go on for ever otherwise. It is still ours, since nobody has waited for it.
            if let Some(group) = group {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            Err(failed(format!("it took longer than {} s", PATIENCE.as_secs())))
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    // It cannot panic; a runtime that goes down breaks it off.
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::Store(aloft_store::Error::Closed))
}

fn fetch(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let what = format!("{what} {}", path.display());
    move |error| Error::Fetch {
        what,
        reason: error.to_string(),
    }
}
