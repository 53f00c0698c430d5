//! Retention: what is trimmed is bounded by the slowest reader that pins it, and long logs cost what is read of them.

use super::{Subject, batch, commit};
use crate::{Error, LogId, Position, Record, Shard};

const LOG: LogId = LogId(5);
const SHARD: Shard = Shard(0);

/// A log that is trimmed up to its slowest reader while it grows gives every reader every record; one that is not waited for is
/// told up to where it lost, and goes on from there.
pub async fn a_reader_that_pins_its_log_loses_nothing(subject: &mut dyn Subject) {
    const ROUNDS: u64 = 12;
    let store = subject.store();
    let (mut fast, mut slow, mut lost) = (Position::START, Position::START, Position::START);
    let (mut fast_seen, mut slow_seen, mut first) = (0, 0, None);
    for round in 0..ROUNDS {
        let append = (0..10).fold(batch(), |batch, n| {
            batch.append(LOG, SHARD, "k", (10 * round + n).to_string())
        });
        commit(&store, append).await;
        subject.catch_up().await;
        let next = store.read_log(LOG, SHARD, fast, 100, 1 << 20).await.unwrap();
        follow(&next, &mut fast_seen);
        fast = next.last().expect("it has grown").position;
        // The slow one reads less than is written.
        let next = store.read_log(LOG, SHARD, slow, 7, 1 << 20).await.unwrap();
        follow(&next, &mut slow_seen);
        slow = next.last().expect("it is behind").position;
        if round == 0 {
            lost = next[0].position;
            first = Some(next[0].value.clone());
        }
        store.trim_log(LOG, SHARD, slow.min(fast)).await.unwrap();
    }
    assert_eq!((fast_seen, slow_seen), (10 * ROUNDS, 7 * ROUNDS));
    assert_eq!(first.unwrap(), "0");
    let told = store.read_log(LOG, SHARD, lost, 1, 1 << 20).await;
    let Err(Error::Trimmed { through, .. }) = told else {
        panic!("it stands before what was trimmed: {told:?}");
    };
    assert_eq!(through, slow);
    let rest = store.read_log(LOG, SHARD, through, 1_000, 1 << 20).await.unwrap();
    let mut seen = slow_seen;
    follow(&rest, &mut seen);
    assert_eq!(seen, 10 * ROUNDS, "nothing behind the pin is gone");
}

fn follow(records: &[Record], next: &mut u64) {
    for record in records {
        assert_eq!(record.value, next.to_string());
        *next += 1;
    }
}

/// A million records are kept, read in order from the start, from the middle and from the end, and trimmed.
pub async fn a_log_of_a_million_records_is_read_and_trimmed(subject: &mut dyn Subject) {
    const MILLION: u64 = 1_000_000;
    const BATCH: u64 = 10_000;
    let store = subject.store();
    let mut middle = Position::START;
    for start in (0..MILLION).step_by(BATCH as usize) {
        let append = (start..start + BATCH).fold(batch(), |batch, n| {
            batch.append(
                LOG,
                SHARD,
                (n % 7).to_be_bytes().to_vec(),
                n.to_be_bytes().to_vec(),
            )
        });
        let position = commit(&store, append).await.position;
        if start + BATCH == MILLION / 2 {
            middle = position;
        }
    }
    subject.catch_up().await;
    let number = |record: &Record| u64::from_be_bytes(record.value.as_ref().try_into().unwrap());
    let (mut after, mut next) = (Position::START, 0);
    while next < MILLION {
        let records = store.read_log(LOG, SHARD, after, 10_000, 8 << 20).await.unwrap();
        assert!(!records.is_empty(), "{next} of {MILLION} came");
        for record in &records {
            assert_eq!(number(record), next);
            next += 1;
        }
        after = records.last().unwrap().position;
    }
    assert_eq!(store.read_log(LOG, SHARD, after, 10, 1_000).await.unwrap(), []);
    let from_middle = store.read_log(LOG, SHARD, middle, 1, 1_000).await.unwrap();
    assert_eq!(number(&from_middle[0]), MILLION / 2);
    store.trim_log(LOG, SHARD, middle).await.unwrap();
    let first = store
        .read_log(LOG, SHARD, Position::START, 1, 1_000)
        .await
        .unwrap();
    assert_eq!(number(&first[0]), MILLION / 2);
    store.trim_log(LOG, SHARD, Position::END).await.unwrap();
    assert_eq!(
        store
            .read_log(LOG, SHARD, Position::START, 10, 1_000)
            .await
            .unwrap(),
        []
    );
}
