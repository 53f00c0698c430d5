//! Accounts and keys over the memory engine, as one node after another finds them.

use std::sync::{Arc, Mutex};

use aloft_base::{Chance, Clock, ErrorKind, ManualClock, Region, SeededChance, Size, Tenant, Timestamp};
use aloft_seal::{MasterKey, Seal};
use aloft_store::{Batch, BatchId, Memory, Store, layout};

use super::*;

struct Ground {
    store: Arc<Memory>,
    clock: Arc<ManualClock>,
    master: MasterKey,
}

impl Ground {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
        Self {
            store: Arc::new(Memory::new(clock.clone())),
            clock,
            master: MasterKey::draw(&SeededChance::new(1)),
        }
    }

    /// As a node that starts; each draws others.
    async fn open(&self, seed: u64) -> Tenants {
        self.open_with(Arc::new(SeededChance::new(seed))).await
    }

    async fn open_with(&self, chance: Arc<dyn Chance>) -> Tenants {
        let (store, clock): (Arc<dyn Store>, Arc<dyn Clock>) = (self.store.clone(), self.clock.clone());
        let seal = Seal::open(store.clone(), &self.master, chance.clone())
            .await
            .unwrap();
        Tenants::open(store, seal, clock, chance).await.unwrap()
    }
}

/// Draws these digits, then others.
struct Drawn {
    digits: Mutex<Vec<u64>>,
    others: SeededChance,
}

impl Chance for Drawn {
    fn fill(&self, buffer: &mut [u8]) {
        let digits = match buffer.len() {
            8 => self.digits.lock().unwrap().pop(),
            _ => None,
        };
        match digits {
            Some(digits) => buffer.copy_from_slice(&digits.to_le_bytes()),
            None => self.others.fill(buffer),
        }
    }
}

fn owner(account: &Account) -> Owner {
    Owner::Tenant(account.id.clone())
}

#[tokio::test]
async fn what_was_made_is_there_after_a_start() {
    let ground = Ground::new();
    let tenants = ground.open(2).await;
    let (acme, other) = (
        tenants.add("acme").await.unwrap(),
        tenants.add("b-2").await.unwrap(),
    );
    assert!(acme.id != other.id && acme.id != Tenant::local());
    let (key, secret) = tenants.create_key(owner(&acme)).await.unwrap();
    let (admin, _) = tenants.create_key(Owner::Administrator).await.unwrap();
    assert!(key.id.starts_with("AKIA") && key.id.len() == 20 && secret.expose().len() == 40);
    let change = Change {
        functions: Some(Some(3)),
        storage: Some(Some(Size::from_mib(5))),
        ..Change::default()
    };
    tenants.set_quotas("acme", change).await.unwrap();

    let anew = ground.open(3).await;
    let found = anew.named("acme").unwrap();
    assert_eq!(
        (found.quotas.functions, found.quotas.storage),
        (Some(3), Some(Size::from_mib(5)))
    );
    assert_eq!(anew.named(acme.id.as_str()), Some(found));
    assert_eq!(anew.list().len(), 2);
    let known = anew.key(&key.id).unwrap();
    assert_eq!(*known, key);
    assert_eq!(anew.secret(&known).await.unwrap().expose(), secret.expose());
    assert_eq!(anew.key(&admin.id).unwrap().owner, Owner::Administrator);
    assert_eq!(anew.keys(Some(&owner(&acme))).len(), 1);

    let change = Change {
        functions: Some(None),
        ..Change::default()
    };
    let changed = anew.set_quotas("acme", change).await.unwrap();
    assert_eq!(
        (changed.quotas.functions, changed.quotas.storage),
        (None, Some(Size::from_mib(5)))
    );
}

#[tokio::test]
async fn what_is_revoked_or_removed_is_not_there_and_its_digits_are_not_given_again() {
    let ground = Ground::new();
    let tenants = ground.open(2).await;
    let acme = tenants.add("acme").await.unwrap();
    let (first, _) = tenants.create_key(owner(&acme)).await.unwrap();
    let (second, _) = tenants.create_key(owner(&acme)).await.unwrap();
    tenants.revoke(&first.id).await.unwrap();
    assert!(tenants.key(&first.id).is_none());
    assert_eq!(
        tenants.revoke(&first.id).await.unwrap_err().kind(),
        ErrorKind::Missing
    );
    let bound = layout::Name {
        namespace: &layout::Namespace::new(&acme.id, &Region::local()),
        kind: "table",
        name: "orders",
    };
    let chance = SeededChance::new(9);
    layout::ensure(&*ground.store, bound, &chance).await.unwrap();
    let refused = tenants.remove("acme", &Region::local()).await.unwrap_err();
    assert!(
        refused.to_string().contains("still has the table \"orders\""),
        "{refused}"
    );
    let found = layout::resolve(&*ground.store, bound).await.unwrap().unwrap();
    let now = ground.clock.now();
    let batch = Batch::new(BatchId::draw(&chance));
    let batch = layout::unbind(bound, found, 0, now, batch).unwrap();
    assert!(ground.store.commit(batch).await.unwrap().is_committed());
    tenants.remove("acme", &Region::local()).await.unwrap();
    for tenants in [&tenants, &ground.open(3).await] {
        assert!(tenants.named("acme").is_none() && tenants.key(&second.id).is_none());
        assert_eq!(tenants.take(&acme.id), Ok(()));
        let refused = tenants.create_key(owner(&acme)).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Missing);
    }
    // Digits that were given before are drawn, and are taken.
    let chance = Arc::new(Drawn {
        digits: Mutex::new(vec![acme.id.as_str().parse::<u64>().unwrap() - 100_000_000_000]),
        others: SeededChance::new(77),
    });
    let again = ground.open_with(chance.clone()).await.add("acme").await.unwrap();
    assert!(again.id != acme.id && chance.digits.lock().unwrap().is_empty());
}

#[tokio::test]
async fn names_are_checked_and_given_once() {
    let ground = Ground::new();
    let tenants = ground.open(2).await;
    tenants.add("acme").await.unwrap();
    assert_eq!(tenants.add("acme").await.unwrap_err().kind(), ErrorKind::Conflict);
    let long = "a".repeat(41);
    for bad in ["", "Acme", "1a", "a-", "-a", "a_b", "a b", "\u{fc}", &long] {
        assert_eq!(
            tenants.add(bad).await.unwrap_err().kind(),
            ErrorKind::Invalid,
            "{bad}"
        );
    }
    assert_eq!(tenants.list().len(), 1);
    let missing = tenants.set_quotas("nobody", Change::default()).await;
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::Missing);
}

#[tokio::test]
async fn an_account_has_a_bounded_number_of_keys() {
    let ground = Ground::new();
    let tenants = ground.open(2).await;
    let acme = tenants.add("acme").await.unwrap();
    for _ in 0..Tenants::MAX_KEYS {
        tenants.create_key(owner(&acme)).await.unwrap();
    }
    let refused = tenants.create_key(owner(&acme)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    assert!(
        refused
            .to_string()
            .starts_with("the tenant \"acme\" has 100 access keys"),
        "{refused}"
    );
    tenants.create_key(Owner::Administrator).await.unwrap();
}

/// Whoever can write to the store cannot make a key that is another's.
#[tokio::test]
async fn a_key_that_was_put_in_anothers_name_is_worth_nothing() {
    let ground = Ground::new();
    let tenants = ground.open(2).await;
    let (acme, other) = (
        tenants.add("acme").await.unwrap(),
        tenants.add("other").await.unwrap(),
    );
    let (key, _) = tenants.create_key(owner(&acme)).await.unwrap();
    let stolen = AccessKey {
        owner: owner(&other),
        ..key
    };
    assert!(tenants.secret(&stolen).await.is_err());
}

#[tokio::test]
async fn requests_beyond_a_quota_wait_and_others_do_not() {
    let ground = Ground::new();
    let tenants = ground.open(2).await;
    let (acme, other) = (
        tenants.add("acme").await.unwrap(),
        tenants.add("other").await.unwrap(),
    );
    let change = Change {
        requests: Some(Some(10)),
        ..Change::default()
    };
    tenants.set_quotas("acme", change).await.unwrap();
    for tenants in [&tenants, &ground.open(3).await] {
        let taken = (0..100).filter(|_| tenants.take(&acme.id).is_ok()).count();
        assert_eq!(taken, 11);
        assert_eq!(tenants.take(&acme.id), Err(std::time::Duration::from_millis(100)));
        assert_eq!(tenants.take(&other.id), Ok(()));
    }
}
