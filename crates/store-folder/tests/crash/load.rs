//! The child, which uploads blobs and tells the name of each that is finished until it is killed or has done enough; and the auditor,
//! which opens what a crash left.
//!
//! The content of a blob follows from its number, which stands at its beginning, so that the auditor can tell whether it is whole. Every
//! third is named by chance, the others by their content, and every tenth has the content of an earlier one.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use aloft_base::{Chance, SeededChance, SystemChance, SystemClock};
use aloft_store::Error;
use aloft_store::blobs::{BlobId, Blobs, CHUNK_BYTES, Naming};
use aloft_store_folder::Folder;
use bytes::Bytes;

/// Uploads until `enough` are done; ends with 3 after a failure, which it tells.
pub(crate) fn run(folder: &Path, enough: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    if let Err(error) = runtime.block_on(upload(folder, enough)) {
        tell(&format!("!{error}\n"));
        std::process::exit(3);
    }
}

async fn upload(folder: &Path, enough: u64) -> Result<(), Error> {
    let blobs = Folder::open(folder, Arc::new(SystemClock), Arc::new(SystemChance))?;
    for number in 0..enough {
        let number = if number % 10 == 9 { number / 2 } else { number };
        let mut upload = blobs.begin().await?;
        for piece in content(number).chunks(60_000) {
            upload.write(Bytes::copy_from_slice(piece)).await?;
        }
        let naming = if number % 3 == 0 {
            Naming::Random
        } else {
            Naming::Content
        };
        let stored = upload.finish(naming).await?;
        tell(&format!("{} {number}\n", stored.id));
    }
    Ok(())
}

/// In one system call, so that a kill cuts no line of two.
fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).unwrap();
}

/// The content of a blob: mostly small, some of several chunks.
fn content(number: u64) -> Vec<u8> {
    let chance = SeededChance::new(number + 1);
    let length = match number % 7 {
        3 => CHUNK_BYTES + chance.below(3_000) as usize,
        _ => chance.below(3_000) as usize,
    };
    let mut bytes = vec![0; length];
    chance.fill(&mut bytes);
    [&number.to_be_bytes()[..], &bytes].concat()
}

/// Opens the folder and checks it against what was told; answers what is wrong.
pub(crate) async fn audit(folder: &Path, told: &str) -> Result<(), String> {
    let wrong = |error: Error| error.to_string();
    let blobs = Folder::open(folder, Arc::new(SystemClock), Arc::new(SystemChance)).map_err(wrong)?;
    for line in told.lines().filter(|line| !line.starts_with('!')) {
        let (id, number) = line.split_once(' ').unwrap();
        let bytes = read(&blobs, id.parse().unwrap())
            .await
            .map_err(|error| format!("{line} was acknowledged: {error}"))?;
        if bytes != content(number.parse().unwrap()) {
            return Err(format!("{line} holds other bytes"));
        }
    }
    // Whatever has a name is whole, whether or not anybody was told.
    for listed in blobs.list(None, usize::MAX).await.map_err(wrong)? {
        let bytes = read(&blobs, listed.id).await.map_err(wrong)?;
        let number = bytes.first_chunk().map(|number| u64::from_be_bytes(*number));
        if number.map(content) != Some(bytes) {
            return Err(format!("{} was named and is not whole", listed.id));
        }
    }
    let left = std::fs::read_dir(folder.join("new")).map_err(|error| error.to_string())?;
    match left.count() {
        0 => Ok(()),
        left => Err(format!("{left} uploads were left")),
    }
}

async fn read(blobs: &Folder, id: BlobId) -> Result<Vec<u8>, Error> {
    let blob = blobs.open(id).await?;
    let mut all = Vec::new();
    loop {
        let bytes = blob.read(all.len() as u64, usize::MAX).await?;
        if bytes.is_empty() {
            return Ok(all);
        }
        all.extend(bytes);
    }
}
