//! Where a running node can be found: a file in its data folder that only its owner can read.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;

const FILE: &str = "address.json";

/// Where a running node can be found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Address {
    /// The application's URL.
    pub app: String,
    /// The services' and the platform's URL.
    pub api: String,
    /// What the platform's API asks for where it can be reached by others.
    pub token: String,
    /// The node's process.
    pub pid: u32,
}

impl Address {
    /// The address of the node that runs on this data, if one has said so.
    pub fn read(data: &Path) -> Result<Option<Self>, Error> {
        let path = data.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| Error::io("read", &path)(error.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    pub(crate) fn write(&self, data: &Path) -> Result<(), Error> {
        // Made anew, so that a former file's mode or another's link does not count.
        Self::remove(data)?;
        let path = data.join(FILE);
        let text = serde_json::to_vec(self).map_err(|error| Error::io("write", &path)(error.into()))?;
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(&text))
            .map_err(Error::io("write", &path))
    }

    pub(crate) fn remove(data: &Path) -> Result<(), Error> {
        let path = data.join(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}
