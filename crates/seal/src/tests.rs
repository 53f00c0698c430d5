//! Sealing over the store in memory, and master keys from everywhere.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use aloft_base::{Chance, SeededChance, SystemClock, Tenant, hex};
use aloft_store::layout::Id;
use aloft_store::{Batch, BatchId, Direction, Memory, Store};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::*;

fn bed() -> (Arc<Memory>, Arc<SeededChance>) {
    let store = Arc::new(Memory::new(Arc::new(SystemClock)));
    (store, Arc::new(SeededChance::new(1)))
}

fn context<'a>(tenant: &'a Tenant, name: &'a str) -> Context<'a> {
    Context {
        tenant,
        kind: "secret",
        name,
        version: "1",
    }
}

#[tokio::test]
async fn what_is_sealed_is_bound_to_its_context() {
    let (store, chance) = bed();
    let master = MasterKey::draw(&*chance);
    let seal = Seal::open(store.clone(), &master, chance.clone()).await.unwrap();
    let (tenant, other) = (Tenant::local(), "111111111111".parse::<Tenant>().unwrap());
    let own = context(&tenant, "db");
    let sealed = seal.seal(&own, b"hunter2").await.unwrap();
    assert_eq!(seal.unseal(&own, &sealed).await.unwrap().expose(), b"hunter2");
    let strange = [
        Context {
            tenant: &other,
            ..own
        },
        Context { kind: "key", ..own },
        Context { name: "d", ..own },
        Context { version: "2", ..own },
        // The same text, cut elsewhere.
        Context {
            name: "db1",
            version: "",
            ..own
        },
    ];
    for strange in strange {
        let found = seal.unseal(&strange, &sealed).await;
        assert!(
            matches!(found, Err(Error::Unreadable { .. })),
            "{strange:?} {found:?}"
        );
    }
    let large = vec![0; MAX_BYTES + 1];
    let refused = seal.seal(&own, &large).await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    // Another node over the same store, and its own first use of a key that is there.
    let again = Seal::open(store, &master, chance).await.unwrap();
    assert_eq!(again.unseal(&own, &sealed).await.unwrap().expose(), b"hunter2");
}

#[tokio::test]
async fn two_that_make_the_same_key_at_once_use_one() {
    let (store, chance) = bed();
    let master = MasterKey::draw(&*chance);
    let open = || Seal::open(store.clone(), &master, chance.clone());
    let (one, two) = futures(open(), open()).await;
    let (one, two) = (one.unwrap(), two.unwrap());
    let tenant = Tenant::local();
    let (a, b) = (context(&tenant, "a"), context(&tenant, "b"));
    let (by_one, by_two) = futures(one.seal(&a, b"1"), two.seal(&b, b"2")).await;
    assert_eq!(two.unseal(&a, &by_one.unwrap()).await.unwrap().expose(), b"1");
    assert_eq!(one.unseal(&b, &by_two.unwrap()).await.unwrap().expose(), b"2");
}

async fn futures<A, B>(one: impl Future<Output = A>, two: impl Future<Output = B>) -> (A, B) {
    tokio::join!(one, two)
}

#[tokio::test]
async fn another_master_key_is_told_by_its_id() {
    let (store, chance) = bed();
    let (first, second) = (MasterKey::draw(&*chance), MasterKey::draw(&*chance));
    let seal = Seal::open(store.clone(), &first, chance.clone()).await.unwrap();
    // Nothing is sealed yet: the store belongs to no master key, also when two nodes opened it before one sealed.
    let late = Seal::open(store.clone(), &second, chance.clone()).await.unwrap();
    let tenant = Tenant::local();
    seal.seal(&context(&tenant, "db"), b"x").await.unwrap();
    let refused = late.seal(&context(&tenant, "db"), b"x").await;
    assert!(matches!(refused, Err(Error::WrongMaster { .. })), "{refused:?}");
    let refused = Seal::open(store.clone(), &second, chance.clone())
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!(
            "the data was sealed under master key {}; this is master key {}: start with the one it was sealed under",
            first.id(),
            second.id()
        )
    );
}

#[tokio::test]
async fn a_new_master_key_opens_what_the_old_one_sealed() {
    let (store, chance) = bed();
    let (old, new) = (MasterKey::draw(&*chance), MasterKey::draw(&*chance));
    assert!(
        !rewrap(&*store, &old, &new, &*chance).await.unwrap(),
        "nothing sealed yet"
    );
    let before = Seal::open(store.clone(), &old, chance.clone()).await.unwrap();
    let tenant = Tenant::local();
    let own = context(&tenant, "db");
    let sealed = before.seal(&own, b"hunter2").await.unwrap();
    assert!(rewrap(&*store, &old, &new, &*chance).await.unwrap());
    assert!(
        !rewrap(&*store, &old, &new, &*chance).await.unwrap(),
        "it is under the new one"
    );
    let refused = Seal::open(store.clone(), &old, chance.clone()).await;
    assert!(matches!(refused, Err(Error::WrongMaster { .. })), "{refused:?}");
    let strange = rewrap(&*store, &old, &MasterKey::draw(&*chance), &*chance).await;
    assert!(matches!(strange, Err(Error::WrongMaster { .. })), "{strange:?}");
    let after = Seal::open(store, &new, chance).await.unwrap();
    assert_eq!(after.unseal(&own, &sealed).await.unwrap().expose(), b"hunter2");
    // The node that runs under the old one goes on.
    let later = before.seal(&own, b"more").await.unwrap();
    assert_eq!(after.unseal(&own, &later).await.unwrap().expose(), b"more");
}

#[tokio::test]
async fn keys_that_were_changed_in_the_store_or_swapped_are_refused() {
    let (store, chance) = bed();
    let master = MasterKey::draw(&*chance);
    let seal = Seal::open(store.clone(), &master, chance.clone()).await.unwrap();
    let (tenant, other) = (Tenant::local(), "111111111111".parse::<Tenant>().unwrap());
    let mut sealed = Vec::new();
    for tenant in [&tenant, &other] {
        sealed.push(seal.seal(&context(tenant, "db"), b"x").await.unwrap());
    }
    let snapshot = store.snapshot().await.unwrap();
    let rows = snapshot
        .scan(&Id::platform(8).range(), Direction::Forward, 10)
        .await
        .unwrap()
        .entries;
    assert_eq!(rows.len(), 3, "a root key and two data keys");
    for row in &rows {
        assert!(!row.value.windows(4).any(|part| part == b"hunt"));
    }
    // The two data keys in each other's place.
    let swapped = Batch::new(BatchId::draw(&*chance))
        .put(rows[1].key.clone(), rows[2].value.clone())
        .put(rows[2].key.clone(), rows[1].value.clone());
    assert!(store.commit(swapped).await.unwrap().is_committed());
    let fresh = Seal::open(store.clone(), &master, chance.clone()).await.unwrap();
    let refused = fresh
        .unseal(&context(&tenant, "db"), &sealed[0])
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("the data key \"secret\" of 000000000000"),
        "{refused}"
    );
    // The root key with its last bit turned.
    let mut root = rows[0].value.to_vec();
    *root.last_mut().unwrap() ^= 1;
    let torn = Batch::new(BatchId::draw(&*chance)).put(rows[0].key.clone(), root);
    assert!(store.commit(torn).await.unwrap().is_committed());
    let refused = Seal::open(store, &master, chance).await.unwrap_err();
    assert!(matches!(refused, Error::Unreadable { .. }), "{refused}");
}

#[tokio::test]
async fn a_key_file_is_made_once_and_never_again_over_sealed_data() {
    let (store, chance) = bed();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    // What a start left that was cut before the file had its name.
    fs::write(path.with_extension("new"), "torn").unwrap();
    let source = Source::Made(path.clone());
    let seal = Seal::open_with(store.clone(), &source, chance.clone())
        .await
        .unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!path.with_extension("new").exists());
    let tenant = Tenant::local();
    seal.seal(&context(&tenant, "db"), b"x").await.unwrap();
    let again = Seal::open_with(store.clone(), &source, chance.clone())
        .await
        .unwrap();
    assert_eq!(seal.master(), again.master());
    // The file was made and the store never written: the next start uses it.
    let (empty, _) = bed();
    let third = Seal::open_with(empty, &source, chance.clone()).await.unwrap();
    assert_eq!(seal.master(), third.master());
    let kept = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let refused = Seal::open_with(store.clone(), &source, chance.clone())
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, Error::NoMaster { sealed, .. } if sealed == seal.master()),
        "{refused}"
    );
    assert!(!path.exists(), "nothing is made over sealed data");
    // A file that is not whole is told, and stays as it is.
    fs::write(&path, &kept[..20]).unwrap();
    let refused = Seal::open_with(store, &source, chance).await.unwrap_err();
    assert!(matches!(refused, Error::NotAMaster { .. }), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), &kept[..20]);
}

#[tokio::test]
async fn a_master_key_has_three_forms() {
    let mut key = [0; 32];
    SeededChance::new(9).fill(&mut key);
    let id = MasterKey::new(&key).id().clone();
    assert_eq!(id.as_str().len(), 16);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let good = [
        key.to_vec(),
        hex(&key).into_bytes(),
        format!("{}\n", hex(&key).to_uppercase()).into_bytes(),
        format!("{}\n", STANDARD.encode(key)).into_bytes(),
        URL_SAFE.encode(key).into_bytes(),
    ];
    for form in good {
        fs::write(&path, &form).unwrap();
        assert_eq!(
            *Source::File(path.clone()).read().await.unwrap().id(),
            id,
            "{form:?}"
        );
    }
    let mut longer = key.to_vec();
    longer.push(0xff);
    let bad = [
        Vec::new(),
        b"correct horse battery staple 123".to_vec(),
        hex(&key[..16]).into_bytes(),
        longer,
        [b'g'; 64].to_vec(),
        vec![b'a'; 1 << 20],
    ];
    for form in bad {
        fs::write(&path, &form).unwrap();
        let refused = Source::File(path.clone()).read().await.unwrap_err();
        assert!(matches!(refused, Error::NotAMaster { .. }), "{refused}");
    }
    let missing = Source::File(folder.path().join("none")).read().await.unwrap_err();
    assert!(
        missing.to_string().contains("cannot read the master key's file"),
        "{missing}"
    );
    for endless in [Path::new("/dev/zero"), folder.path()] {
        let refused = Source::File(endless.to_owned()).read().await.unwrap_err();
        assert!(refused.to_string().contains("it is no plain file"), "{refused}");
    }
}

#[tokio::test]
async fn a_command_prints_the_master_key() {
    let key = hex(&[7; 32]);
    let master = Source::Command(format!("echo {key}")).read().await.unwrap();
    assert_eq!(*master.id(), *MasterKey::new(&[7; 32]).id());
    for (command, told) in [
        ("exit 3", "it ended with exit status: 3"),
        ("echo short", "it has 5 characters"),
        // More than is looked at; it ends by the closed pipe.
        ("yes 2>/dev/null", "it ended with"),
    ] {
        let refused = Source::Command(command.to_owned()).read().await.unwrap_err();
        assert!(refused.to_string().contains(told), "{command}: {refused}");
        assert!(refused.to_string().contains(command), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_hangs_is_given_up() {
    let refused = Source::Command("sleep 1000".to_owned()).read().await.unwrap_err();
    assert!(
        refused.to_string().contains("it took longer than 30 s"),
        "{refused}"
    );
}

#[test]
fn nothing_of_a_key_or_secret_is_shown() {
    let master = MasterKey::new(&[7; 32]);
    assert_eq!(
        format!("{master:?}"),
        format!("MasterKey(KeyId({:?}))", master.id().as_str())
    );
    assert_eq!(format!("{:?}", Secret::new(b"hunter2".to_vec())), "Secret");
}
