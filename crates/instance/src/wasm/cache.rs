//! Compiled components on this node's disk. They are machine code that runs in the platform's own process, so they are taken only with
//! this node's own seal, and never leave it.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aloft_base::{Chance, Mac, Timestamp, hex};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

/// Bytes of compiled code that are kept; what was used longest ago goes first.
const KEPT: u64 = 2 << 30;
/// The file of the node's key, and the ends of the others.
const KEY: &str = "key";
const CODE: &str = "cwasm";
const SEAL: &str = "seal";

/// The folder of compiled components.
pub(super) struct Cache {
    folder: PathBuf,
    key: Vec<u8>,
    /// What compiling depends on besides the component.
    compiler: u64,
}

impl Cache {
    /// Opens the folder, and draws the node's key if it has none. Only its owner can read it.
    pub(super) fn open(folder: &Path, engine: &Engine, chance: &dyn Chance) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let place = folder.join(KEY);
        let key = match fs::read(&place) {
            Ok(key) if key.len() == 32 => key,
            Ok(_) => new_key(&place, chance)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => new_key(&place, chance)?,
            Err(error) => return Err(error),
        };
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self {
            folder: folder.to_owned(),
            key,
            compiler: hasher.finish(),
        })
    }

    /// The name of what a component is compiled to.
    pub(super) fn name(&self, component: &[u8]) -> String {
        let hash = hex(&Sha256::digest(component));
        format!("{}-{:016x}", hash.get(..32).unwrap_or(&hash), self.compiler)
    }

    /// The file with what a component was compiled to, if it is there and bears this node's seal.
    pub(super) fn find(&self, name: &str, now: Timestamp) -> Option<PathBuf> {
        let place = self.place(name, CODE);
        let code = fs::File::open(&place).ok()?;
        let seal = fs::read(self.place(name, SEAL)).ok()?;
        let bytes = fs::read(&place).ok()?;
        if !self.seal(name, &bytes).is(&seal) {
            return None;
        }
        // When it was used last. Without it, it goes earlier than it should.
        let now = Duration::from_millis(now.as_millis());
        let _ = code.set_modified(SystemTime::UNIX_EPOCH + now);
        Some(place)
    }

    /// Keeps what a component was compiled to. What is cut off by a crash has no seal, or a wrong one.
    pub(super) fn keep(&self, name: &str, code: &[u8]) -> io::Result<PathBuf> {
        let place = self.place(name, CODE);
        let seal = self.seal(name, code).bytes();
        for (place, bytes) in [(&place, code), (&self.place(name, SEAL), seal.as_slice())] {
            // Never in place: a component may run from the former file.
            let draft = place.with_extension(format!("draft-{}", std::process::id()));
            let written = write(&draft, bytes).and_then(|()| fs::rename(&draft, place));
            if written.is_err() {
                let _ = fs::remove_file(&draft);
            }
            written?;
        }
        self.sweep(name);
        Ok(place)
    }

    fn seal(&self, name: &str, code: &[u8]) -> Mac {
        let key = Mac::of(&self.key, name.as_bytes()).bytes();
        Mac::of(&key, code)
    }

    fn place(&self, name: &str, end: &str) -> PathBuf {
        self.folder.join(format!("{name}.{end}"))
    }

    /// Removes what was used longest ago, until the rest fits. What runs from a removed file runs on.
    fn sweep(&self, but: &str) {
        let mut found: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let path = entry.path();
                let is_code = path.extension().is_some_and(|end| end == CODE);
                let known = entry.metadata().ok()?;
                let is_kept = path.file_stem().is_some_and(|stem| stem == but);
                (is_code && !is_kept).then_some((known.modified().ok()?, known.len(), path))
            })
            .collect();
        found.sort();
        let mut bytes: u64 = found.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in found {
            if bytes <= KEPT {
                break;
            }
            bytes -= size;
            let _ = fs::remove_file(path.with_extension(SEAL));
            let _ = fs::remove_file(path);
        }
    }
}

fn new_key(place: &Path, chance: &dyn Chance) -> io::Result<Vec<u8>> {
    let mut key = vec![0; 32];
    chance.fill(&mut key);
    write(place, &key)?;
    Ok(key)
}

fn write(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(place)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aloft_base::SeededChance;

    fn open(folder: &Path, seed: u64) -> Cache {
        let engine = super::super::engine::compiling().unwrap();
        Cache::open(folder, &engine, &SeededChance::new(seed)).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::from_millis(1_000)
    }

    #[test]
    fn only_what_bears_the_node_s_seal_is_found() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("wasm");
        let cache = open(&folder, 1);
        let (name, other) = (cache.name(b"component"), cache.name(b"another"));
        assert_eq!(cache.find(&name, now()), None);
        let kept = cache.keep(&name, b"code").unwrap();
        assert_eq!(cache.find(&name, now()), Some(kept.clone()));
        // The key is read again, and nobody else can read it.
        let again = open(&folder, 2);
        assert_eq!(again.find(&name, now()), Some(kept.clone()));
        let mode = |path: &Path| {
            use std::os::unix::fs::PermissionsExt as _;
            fs::metadata(path).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(
            (mode(&folder), mode(&folder.join(KEY)), mode(&kept)),
            (0o700, 0o600, 0o600)
        );
        // What was kept for one component is not taken for another.
        for end in [CODE, SEAL] {
            fs::copy(cache.place(&name, end), cache.place(&other, end)).unwrap();
        }
        assert_eq!(cache.find(&other, now()), None);
        // What was changed, cut or lost is not taken at all.
        for damage in [&b"edoc"[..], b"cod", b""] {
            fs::write(&kept, damage).unwrap();
            assert_eq!(cache.find(&name, now()), None);
        }
        cache.keep(&name, b"code").unwrap();
        fs::remove_file(cache.place(&name, SEAL)).unwrap();
        assert_eq!(cache.find(&name, now()), None);
        // Another node's work is none of ours.
        cache.keep(&name, b"code").unwrap();
        fs::remove_file(folder.join(KEY)).unwrap();
        assert_eq!(open(&folder, 3).find(&name, now()), None);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let place = tempfile::tempdir().unwrap();
        let cache = open(place.path(), 1);
        let names: Vec<String> = (0..3u8).map(|n| cache.name(&[n])).collect();
        for (age, name) in (1..).zip(&names) {
            cache.keep(name, b"code").unwrap();
            assert!(cache.find(name, Timestamp::from_millis(age * 1_000)).is_some());
        }
        // Files of holes: as large as they say, and no bytes on the disk.
        for name in &names {
            let file = fs::OpenOptions::new()
                .write(true)
                .open(cache.place(name, CODE))
                .unwrap();
            let modified = file.metadata().unwrap().modified().unwrap();
            file.set_len(KEPT / 2).unwrap();
            file.set_modified(modified).unwrap();
        }
        cache.keep(&cache.name(b"new"), b"code").unwrap();
        let left: Vec<bool> = names
            .iter()
            .map(|name| cache.place(name, CODE).exists())
            .collect();
        assert_eq!(left, [false, true, true]);
        assert!(cache.place(&cache.name(b"new"), CODE).exists());
    }
}
