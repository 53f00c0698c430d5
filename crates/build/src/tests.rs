//! The way of an artifact: source, blob, row and reference, folder.

use std::fs;
use std::io::{Cursor, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, ZipArchive, ZipWriter};
use aloft_base::{Chance as _, Clock, ManualClock, Region, SeededChance, Stop, Tasks, Tenant, Timestamp};
use aloft_definition::Build;
use aloft_function::{Deployed, Interpreter, Program};
use aloft_observe::Feed;
use aloft_store::blobs::{BlobId, Blobs, CHUNK_BYTES, Collector, GRACE, is_referred};
use aloft_store::layout::Namespace;
use aloft_store::{Memory, Store};
use aloft_store_folder::Folder;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

use crate::artifact::Content;
use crate::{Builder, Built, Error, Limits, Parts, Source};

/// Nothing is compiled by it: that is no error of a build.
fn program() -> Program {
    Program::Python(Interpreter {
        runtime: "python3.99".into(),
        executable: "/bin/true".into(),
        needs: vec![],
    })
}

struct Kit {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Arc<Memory>,
    blobs: Folder,
    builder: Builder,
    deployed: Deployed,
}

impl Kit {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, chance) = (
            Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000))),
            Arc::new(SeededChance::new(1)),
        );
        let store = Arc::new(Memory::new(clock.clone()));
        let blobs = Folder::open(&folder.path().join("blobs"), clock.clone(), chance.clone()).unwrap();
        let tasks = Tasks::new(Stop::new());
        let parts = Parts {
            data: folder.path().to_owned(),
            cache: folder.path().join("cache"),
            search: Vec::new(),
            blobs: Arc::new(blobs.clone()),
            clock: clock.clone(),
            chance: chance.clone(),
            feed: Feed::start(&tasks),
            tasks,
            spawner: None,
            limits: Limits::default(),
            packages: None,
        };
        let builder = Builder::new(parts, &aloft_observe::Metrics::new());
        let kit = Self {
            folder,
            clock,
            deployed: Deployed::new(store.clone(), chance),
            store,
            blobs,
            builder,
        };
        kit.write("a.py", "1");
        kit
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.source().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    async fn build(&self) -> Result<Built, Error> {
        let source = Source {
            name: "f".to_owned(),
            folder: self.source(),
            requirements: None,
            handler: "a.handler".to_owned(),
            build: Build::Auto,
            node: None,
        };
        self.builder.build(&source, &program()).await
    }

    async fn deploy(&self, functions: &[(&str, BlobId)], is_all: bool) {
        let functions = functions
            .iter()
            .map(|(name, artifact)| (name.parse().unwrap(), *artifact))
            .collect();
        let deployed = self.deployed.set(&namespace(), &functions, is_all).await;
        deployed.unwrap();
    }

    async fn is_kept(&self, artifact: BlobId) -> bool {
        let snapshot = self.store.snapshot().await.unwrap();
        is_referred(&*snapshot, artifact).await.unwrap()
    }

    fn uploads(&self) -> u64 {
        self.blobs.counters().uploads().0
    }

    fn commits(&self) -> u64 {
        self.store
            .counters()
            .commits
            .load(std::sync::atomic::Ordering::SeqCst)
    }

    /// The one blob's file.
    fn file_of(&self, artifact: BlobId) -> PathBuf {
        let name = artifact.to_string();
        self.folder.path().join("blobs").join(&name[..3]).join(name)
    }
}

fn namespace() -> Namespace {
    Namespace {
        tenant: Tenant::local(),
        region: Region::local(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_is_unpacked_as_it_was_and_made_once() {
    let kit = Kit::new();
    let long = format!("{}/b.py", "deep/".repeat(25));
    kit.write(&long, "2");
    kit.write("run", "#!/bin/sh");
    fs::set_permissions(kit.source().join("run"), fs::Permissions::from_mode(0o700)).unwrap();
    let built = kit.build().await.unwrap();
    let read = |name: &str| fs::read_to_string(built.code.task.join(name)).unwrap();
    assert_eq!(
        (read("a.py"), read(&long), read("run")),
        ("1".into(), "2".into(), "#!/bin/sh".into())
    );
    let mode = |name: &str| {
        fs::metadata(built.code.task.join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("a.py"), mode("run"), mode("deep")), (0o644, 0o755, 0o755));
    let again = kit.build().await.unwrap();
    assert_eq!((again.hash, again.code.task), (built.hash, built.code.task));
    assert_eq!(kit.uploads(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_gone_is_unpacked_anew_from_the_blob() {
    let kit = Kit::new();
    let built = kit.build().await.unwrap();
    fs::remove_dir_all(&built.code.task).unwrap();
    let again = kit.build().await.unwrap();
    assert!(again.code.task.join("a.py").is_file());
    assert_eq!(kit.uploads(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_gone_or_damaged_is_made_anew() {
    let kit = Kit::new();
    let built = kit.build().await.unwrap();
    fs::remove_file(kit.file_of(built.artifact)).unwrap();
    kit.build().await.unwrap();
    assert_eq!(kit.uploads(), 2);

    let mut bytes = fs::read(kit.file_of(built.artifact)).unwrap();
    bytes[600] ^= 1;
    fs::write(kit.file_of(built.artifact), bytes).unwrap();
    fs::remove_dir_all(&built.code.task).unwrap();
    kit.build().await.unwrap();
    assert_eq!(kit.uploads(), 3);
    assert_eq!(fs::read_to_string(built.code.task.join("a.py")).unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_changed_meanwhile_is_refused() {
    let kit = Kit::new();
    let content = Content::read(&kit.source()).unwrap();
    kit.write("a.py", "2");
    let (blobs, runtime) = (kit.blobs.clone(), Handle::current());
    let uploaded = tokio::task::spawn_blocking(move || content.upload(&blobs, &runtime));
    assert!(matches!(uploaded.await.unwrap(), Err(Error::Changed { .. })));
}

/// What runs is kept; what was replaced, and what was built and never ran, goes after the grace.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_deployed_is_kept_and_nothing_else() {
    let kit = Kit::new();
    let first = kit.build().await.unwrap().artifact;
    kit.deploy(&[("one", first), ("two", first)], true).await;
    kit.write("a.py", "2");
    let second = kit.build().await.unwrap().artifact;
    kit.write("a.py", "3");
    let third = kit.build().await.unwrap().artifact;
    assert_eq!(
        (
            kit.is_kept(first).await,
            kit.is_kept(second).await,
            kit.is_kept(third).await
        ),
        (true, false, false)
    );
    // While one function cannot be built, the other's new code runs, and both artifacts are needed.
    kit.deploy(&[("one", second)], false).await;
    assert!(kit.is_kept(first).await && kit.is_kept(second).await);
    kit.deploy(&[("one", second)], true).await;

    let clock: Arc<dyn Clock> = kit.clock.clone();
    let mut collector = Collector::new(kit.store.clone(), Arc::new(kit.blobs.clone()), clock);
    for _ in 0..2 {
        kit.clock.advance(GRACE + Duration::from_secs(1));
        while collector.step(100).await.unwrap().more {}
    }
    assert!(kit.blobs.renew(second).await.unwrap());
    assert!(!kit.blobs.renew(first).await.unwrap() && !kit.blobs.renew(third).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_changes_nothing_commits_nothing_and_one_that_changes_all_commits_once() {
    let kit = Kit::new();
    let first = kit.build().await.unwrap().artifact;
    kit.deploy(&[("one", first), ("two", first)], true).await;
    assert_eq!(kit.commits(), 1);
    kit.deploy(&[("one", first), ("two", first)], true).await;
    assert_eq!(kit.commits(), 1);
    kit.write("a.py", "2");
    let second = kit.build().await.unwrap().artifact;
    kit.deploy(&[("one", second), ("two", second)], true).await;
    assert_eq!(kit.commits(), 2);
    assert!(!kit.is_kept(first).await);
}

/// Of several chunks of the store, which are read here and there.
fn large_zip() -> Bytes {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let chance = SeededChance::new(7);
    for name in ["z.bin", "app.py", "lib/a.bin"] {
        let mut content = vec![0; 3 * CHUNK_BYTES / 2];
        chance.fill(&mut content);
        writer.start_file(name, stored).unwrap();
        writer.write_all(&content).unwrap();
    }
    writer.finish().unwrap().into_inner().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_is_stored_as_it_is_and_unpacked_once() {
    let kit = Kit::new();
    let bytes = large_zip();
    let zip = kit.builder.take_in(bytes.clone()).await.unwrap();
    let hash = Sha256::digest(&bytes);
    assert_eq!(zip.artifact, BlobId::Content(hash.into()), "Lambda's CodeSha256");
    assert_eq!(zip.bytes, bytes.len() as u64);
    assert_eq!(zip.looked.entries, 4);
    let task = kit.builder.unpacked(zip.artifact, &program()).await.unwrap();
    let mut archive = ZipArchive::new(Cursor::new(&bytes)).unwrap();
    for name in ["z.bin", "app.py", "lib/a.bin"] {
        let mut content = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut content).unwrap();
        assert!(fs::read(task.join(name)).unwrap() == content, "{name}");
    }
    let mode = fs::metadata(task.join("app.py")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    // The second time nothing is read.
    fs::remove_file(kit.file_of(zip.artifact)).unwrap();
    assert_eq!(
        kit.builder.unpacked(zip.artifact, &program()).await.unwrap(),
        task
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_that_is_refused_or_damaged_leaves_nothing() {
    let kit = Kit::new();
    let refused = kit.builder.take_in(Bytes::from_static(b"no zip")).await;
    assert!(matches!(refused, Err(Error::Zip(_))), "{refused:?}");
    assert_eq!(kit.uploads(), 0);
    let zip = kit.builder.take_in(large_zip()).await.unwrap();
    let mut bytes = fs::read(kit.file_of(zip.artifact)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(kit.file_of(zip.artifact), bytes).unwrap();
    let unpacked = kit.builder.unpacked(zip.artifact, &program()).await;
    let is_damage = matches!(&unpacked, Err(Error::Store(aloft_store::Error::Corrupt { .. })));
    assert!(is_damage, "{unpacked:?}");
    let left = fs::read_dir(kit.folder.path().join("artifacts")).unwrap();
    assert_eq!(left.count(), 0);
}
