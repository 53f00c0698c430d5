//! What a power cut leaves. The shim's record is read and replayed up to a moment, and only what is certain then is written
//! out:
//!
//! - a file has the bytes and the length that it had when its last sync began that had ended by then;
//! - a directory has the names that it had when its last sync began that had ended by then, and each stands for the file it
//!   stood for; a file without a name in a synced directory does not exist;
//! - nothing else.
//!
//! That is all that POSIX promises, and less than most file systems keep. A disk may also have kept more, so the second form
//! ([`Cut::Ragged`]) adds, by chance, for each file some of the writes that followed its last sync, the last of them torn,
//! and for each directory a later listing.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use aloft_base::Chance;

/// One recorded operation. A file or directory is known by a number (`id`), and a sync by another.
pub enum Op {
    /// Bytes were written into a file, at an offset.
    Write {
        /// The file.
        id: u64,
        /// The offset.
        at: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A file's length was set.
    Truncate {
        /// The file.
        id: u64,
        /// The length.
        len: u64,
    },
    /// A sync began.
    SyncBegin {
        /// Its number.
        sync: u64,
    },
    /// A sync ended: what had been written when it began is on the disk.
    SyncEnd {
        /// The file or directory.
        id: u64,
        /// The sync's number.
        sync: u64,
    },
    /// What a directory held; when a sync of it began, if the number is not 0.
    Listing {
        /// The directory.
        id: u64,
        /// The sync's number.
        sync: u64,
        /// The names in it.
        names: Vec<Name>,
    },
    /// The child told something.
    Ack(String),
}

/// A name in a directory.
#[derive(Clone)]
pub struct Name {
    id: u64,
    is_folder: bool,
    name: String,
}

/// How much survives.
pub enum Cut<'a> {
    /// Only what was synced.
    Strict,
    /// What was synced, and by chance some of the rest.
    Ragged(&'a dyn Chance),
    /// Everything: for comparing the record with the real folder.
    Nothing,
}

/// Reads the shim's record.
pub fn read(record: &Path) -> Vec<Op> {
    let bytes = fs::read(record).unwrap();
    let mut rest = bytes.as_slice();
    let mut ops = Vec::new();
    while !rest.is_empty() {
        let [op, id, at, len] = numbers(&mut rest);
        let data = take(&mut rest, len);
        ops.push(match op {
            1 => Op::Write {
                id,
                at,
                bytes: data.to_vec(),
            },
            2 => Op::Truncate { id, len: at },
            3 => Op::SyncBegin { sync: at },
            4 => Op::SyncEnd { id, sync: at },
            5 => Op::Listing {
                id,
                sync: at,
                names: names(data),
            },
            6 => Op::Ack(String::from_utf8(data.to_vec()).unwrap()),
            other => panic!("operation {other} in the record"),
        });
    }
    ops
}

fn names(mut data: &[u8]) -> Vec<Name> {
    let mut names = Vec::new();
    while !data.is_empty() {
        let [id, is_folder, len] = numbers(&mut data);
        let name = String::from_utf8(take(&mut data, len).to_vec()).unwrap();
        let is_folder = is_folder == 1;
        names.push(Name { id, is_folder, name });
    }
    names
}

fn numbers<const N: usize>(from: &mut &[u8]) -> [u64; N] {
    std::array::from_fn(|_| u64::from_ne_bytes(take(from, 8).try_into().unwrap()))
}

fn take<'a>(from: &mut &'a [u8], len: u64) -> &'a [u8] {
    let (head, rest) = from.split_at(usize::try_from(len).unwrap());
    *from = rest;
    head
}

/// The acknowledgements among the first `moment` operations.
pub fn acks(ops: &[Op], moment: usize) -> String {
    let acks = ops[..moment].iter().filter_map(|op| match op {
        Op::Ack(text) => Some(text.as_str()),
        _ => None,
    });
    acks.collect()
}

/// All names with this ending that a directory ever held.
pub fn names_ending(ops: &[Op], ending: &str) -> BTreeSet<String> {
    let listed = ops.iter().filter_map(|op| match op {
        Op::Listing { names, .. } => Some(names),
        _ => None,
    });
    let names = listed.flatten().map(|name| name.name.clone());
    names.filter(|name| name.ends_with(ending)).collect()
}

/// Writes out, below `target`, what the folder holds after a power cut at `moment`.
pub fn rebuild(ops: &[Op], moment: usize, cut: &Cut<'_>, target: &Path) {
    let past = &ops[..moment];
    let mut begins: HashMap<u64, usize> = HashMap::new();
    // For each file and folder, up to which operation its changes are certain.
    let mut certain: HashMap<u64, usize> = HashMap::new();
    for (at, op) in past.iter().enumerate() {
        match op {
            Op::SyncBegin { sync } => {
                begins.insert(*sync, at);
            }
            Op::SyncEnd { id, sync } => {
                let end = certain.entry(*id).or_insert(0);
                // Syncs of one file may overlap: the later beginning counts.
                *end = (*end).max(begins[sync]);
            }
            _ => {}
        }
    }
    let mut kept: HashMap<u64, usize> = certain.clone();
    for id in past.iter().filter_map(Op::id) {
        let certain = certain.get(&id).copied().unwrap_or(0);
        kept.entry(id).or_insert(0);
        match cut {
            Cut::Strict => {}
            Cut::Ragged(chance) if kept[&id] == certain => {
                let more = chance.below((moment - certain) as u64 + 1) as usize;
                // Half of the files keep nothing more, so that what hangs together is torn apart often.
                kept.insert(id, certain + if chance.below(2) == 0 { more } else { 0 });
            }
            Cut::Ragged(_) => {}
            Cut::Nothing => {
                kept.insert(id, moment);
            }
        }
    }
    let mut listings: HashMap<u64, &Vec<Name>> = HashMap::new();
    for (at, op) in past.iter().enumerate() {
        if let Op::Listing { id, sync, names } = op {
            // The listing of a sync stands just behind its beginning.
            let recorded = if *sync > 0 { begins[sync] } else { at };
            if recorded <= kept[id]
                && (certain.contains_key(id) && recorded <= certain[id] || !matches!(cut, Cut::Strict))
            {
                listings.insert(*id, names);
            }
        }
    }
    fs::create_dir_all(target).unwrap();
    let mut files = HashMap::new();
    create(1, &listings, target, &mut files);
    for (at, op) in past.iter().enumerate() {
        if let Some(((file, _), id)) = op.id().and_then(|id| Some((files.get(&id)?, id)))
            && at < kept[&id]
        {
            let torn = matches!(cut, Cut::Ragged(_)) && at >= certain.get(&id).copied().unwrap_or(0);
            apply(op, file, torn.then_some(cut));
        }
    }
}

/// A file that was renamed from one folder to another may be left with both names: they are one file.
fn create(
    folder: u64,
    listings: &HashMap<u64, &Vec<Name>>,
    path: &Path,
    files: &mut HashMap<u64, (File, PathBuf)>,
) {
    for Name { id, is_folder, name } in listings.get(&folder).into_iter().flat_map(|names| names.iter()) {
        let path = path.join(name);
        if *is_folder {
            fs::create_dir(&path).unwrap();
            create(*id, listings, &path, files);
        } else if let Some((_, other)) = files.get(id) {
            fs::hard_link(other, &path).unwrap();
        } else {
            files.insert(*id, (File::create_new(&path).unwrap(), path));
        }
    }
}

fn apply(op: &Op, file: &File, torn: Option<&Cut<'_>>) {
    match op {
        Op::Write { at, bytes, .. } => {
            let len = match torn {
                Some(Cut::Ragged(chance)) if chance.below(8) == 0 => {
                    chance.below(bytes.len() as u64) as usize
                }
                _ => bytes.len(),
            };
            file.write_all_at(&bytes[..len], *at).unwrap();
        }
        Op::Truncate { len, .. } => file.set_len(*len).unwrap(),
        _ => {}
    }
}

impl Op {
    fn id(&self) -> Option<u64> {
        match self {
            Self::Write { id, .. }
            | Self::Truncate { id, .. }
            | Self::SyncEnd { id, .. }
            | Self::Listing { id, .. } => Some(*id),
            Self::SyncBegin { .. } | Self::Ack(_) => None,
        }
    }
}

/// Fails unless both folders hold the same files with the same bytes.
pub fn compare(one: &Path, other: &Path) {
    let list = |path: &Path| {
        let mut names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(list(one), list(other), "{}", other.display());
    for name in list(one) {
        let (a, b) = (one.join(&name), other.join(&name));
        if a.is_dir() {
            compare(&a, &b);
        } else {
            assert!(
                fs::read(&a).unwrap() == fs::read(&b).unwrap(),
                "{} differs from the record",
                b.display()
            );
        }
    }
}
