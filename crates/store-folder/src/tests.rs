//! The folder passes the blobs' suite, and what only it can be asked: what a put costs, what a bad disk does, one process at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aloft_base::{ManualClock, SeededChance, Timestamp};
use aloft_store::Error;
use aloft_store::blobs::{BlobId, Blobs, CHUNK_BYTES, Naming, Stored};
use aloft_store::suite::blobs::Subject;
use async_trait::async_trait;
use tempfile::TempDir;

use crate::{Folder, PlaceError, place};

struct InFolder {
    clock: Arc<ManualClock>,
    folder: TempDir,
    blobs: Option<Folder>,
}

impl InFolder {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
        let folder = tempfile::tempdir().unwrap();
        let mut new = Self {
            clock,
            folder,
            blobs: None,
        };
        new.open();
        new
    }

    fn open(&mut self) {
        let chance = Arc::new(SeededChance::new(1));
        self.blobs = Some(Folder::open(&self.root(), self.clock.clone(), chance).unwrap());
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("blobs")
    }

    fn files(&self) -> Vec<PathBuf> {
        files(&self.root())
    }

    async fn put(&self, bytes: &[u8], naming: Naming) -> Result<Stored, Error> {
        let mut upload = self.blobs().begin().await?;
        upload.write(bytes.to_vec().into()).await?;
        upload.finish(naming).await
    }
}

/// The files below a folder but the lock.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("lock") {
            found.push(path);
        }
    }
    found
}

#[async_trait]
impl Subject for InFolder {
    fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }

    fn blobs(&self) -> Arc<dyn Blobs> {
        Arc::new(self.blobs.clone().unwrap())
    }

    async fn restart(&mut self) {
        self.blobs = None;
        // As of a process that was killed in the middle of an upload.
        fs::write(self.root().join("new/0123"), "half").unwrap();
        self.open();
        assert!(!self.root().join("new/0123").exists());
    }
}

mod suite {
    use super::*;

    aloft_store::blobs_suite!(InFolder::new());
}

#[tokio::test]
async fn a_blob_costs_two_syncs_whatever_its_size() {
    let subject = InFolder::new();
    let blobs = subject.blobs.clone().unwrap();
    let syncs = || blobs.counters().syncs_made();
    for (bytes, cost) in [(10, 3), (10, 2), (5 * CHUNK_BYTES, 3), (5 * CHUNK_BYTES, 2)] {
        let before = syncs();
        subject.put(&vec![3; bytes], Naming::Content).await.unwrap();
        assert_eq!(
            syncs() - before,
            cost,
            "{bytes} bytes; a third when the folder is new"
        );
    }
    let (uploads, bytes) = blobs.counters().uploads();
    assert_eq!((uploads, bytes), (4, 20 + 10 * CHUNK_BYTES as u64));
    assert_eq!(subject.files().len(), 2, "and nothing else is left");
}

/// Each byte of a blob's file that changes, and each byte that is missing, is found when it is read.
#[tokio::test]
async fn what_the_disk_changed_is_found() {
    let subject = InFolder::new();
    let bytes = vec![3; CHUNK_BYTES + 100];
    let id = subject.put(&bytes, Naming::Content).await.unwrap().id;
    let [file] = &*subject.files() else { panic!() };
    let whole = fs::read(file).unwrap();
    let spoilt = async |spoilt: &[u8]| {
        fs::write(file, spoilt).unwrap();
        let blob = match subject.blobs().open(id).await {
            Ok(blob) => blob,
            Err(error) => return Err(error),
        };
        blob.read(0, 1).await?;
        blob.read(CHUNK_BYTES as u64, 1).await
    };
    assert!(spoilt(&whole).await.is_ok());
    for at in [
        0,
        1_000,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        whole.len() - 80,
        whole.len() - 1,
    ] {
        let mut other = whole.clone();
        other[at] ^= 4;
        let found = spoilt(&other).await;
        assert!(
            matches!(&found, Err(Error::Corrupt { what, .. }) if what.contains(&id.to_string())),
            "{at}: {found:?}"
        );
    }
    for length in [0, 10, 100, whole.len() / 2, whole.len() - 1] {
        assert!(
            matches!(spoilt(&whole[..length]).await, Err(Error::Corrupt { .. })),
            "{length}"
        );
    }
    // A whole blob under another's name.
    let other = subject.put(b"other", Naming::Content).await.unwrap().id;
    let place = subject
        .files()
        .into_iter()
        .find(|path| path.ends_with(other.to_string()))
        .unwrap();
    let found = spoilt(&fs::read(place).unwrap()).await;
    assert!(matches!(found, Err(Error::Corrupt { reason, .. }) if reason.contains("another content")));
    // To upload it again mends it.
    subject.put(&bytes, Naming::Content).await.unwrap();
    assert!(fs::read(file).unwrap() == whole);
}

/// Whether a name is on the disk whose sync failed is known to nobody.
#[tokio::test]
async fn after_a_failed_sync_of_a_name_nothing_is_taken_and_all_is_read() {
    let mut subject = InFolder::new();
    let id = subject.put(b"before", Naming::Random).await.unwrap().id;
    let blobs = subject.blobs.clone().unwrap();
    let mut begun = blobs.begin().await.unwrap();
    begun.write("under way".into()).await.unwrap();
    let failed = PlaceError::of("sync", &subject.root())(std::io::Error::other("as the test says"));
    assert!(matches!(blobs.0.break_off(&failed), Error::Poisoned(_)));
    let refused = [
        begun.finish(Naming::Random).await.err(),
        blobs.begin().await.err(),
        blobs.renew(id).await.err(),
    ];
    for refused in refused {
        assert!(
            matches!(&refused, Some(Error::Poisoned(why)) if why.contains("as the test says")),
            "{refused:?}"
        );
    }
    assert_eq!(
        blobs.open(id).await.unwrap().read(0, 100).await.unwrap(),
        "before"
    );
    drop(blobs);
    subject.blobs = None;
    subject.open();
    assert_eq!(
        subject.blobs().list(None, 10).await.unwrap().len(),
        1,
        "and nothing else got a name"
    );
    subject.put(b"after", Naming::Random).await.unwrap();
}

#[tokio::test]
async fn a_second_opener_is_refused_with_the_holder() {
    let subject = InFolder::new();
    let chance = Arc::new(SeededChance::new(1));
    let refused = Folder::open(&subject.root(), subject.clock.clone(), chance)
        .err()
        .unwrap();
    let holder = std::process::id().to_string();
    assert!(
        matches!(&refused, Error::InUse { holder: named, .. } if *named == holder),
        "{refused}"
    );
    subject.put(b"x", Naming::Random).await.unwrap();
}

#[tokio::test]
async fn foreign_files_are_left_alone_and_not_listed() {
    let subject = InFolder::new();
    let id = subject.put(b"x", Naming::Content).await.unwrap().id;
    let [file] = &*subject.files() else { panic!() };
    let note = file.with_file_name("note.txt");
    fs::write(&note, "mine").unwrap();
    let listed = subject.blobs().list(None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|blob| blob.id).collect::<Vec<BlobId>>(), [id]);
    assert!(note.exists());
}

#[test]
fn a_tree_is_placed_once_and_the_first_stays() {
    let folder = tempfile::tempdir().unwrap();
    let tree = |name: &str, text: &str| {
        let new = folder.path().join(name);
        fs::create_dir_all(new.join("sub")).unwrap();
        fs::write(new.join("sub/a"), text).unwrap();
        new
    };
    let at = folder.path().join("place");
    assert!(place(&tree("one.new", "1"), &at).unwrap());
    let second = tree("two.new", "2");
    assert!(!place(&second, &at).unwrap());
    assert_eq!(fs::read_to_string(at.join("sub/a")).unwrap(), "1");
    assert!(second.exists(), "it is the caller's to remove");
    let error = place(&folder.path().join("absent"), &folder.path().join("other")).unwrap_err();
    assert!(error.to_string().contains("absent"), "{error}");
}
