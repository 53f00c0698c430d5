//! The contract: what every engine does, and the PostgreSQL statement that does it there, in short (in full:
//! `store-postgres/src/sql` and `statement.rs`). An operation that has no statement is not in the contract.
//!
//! The statements assume these tables (the journal's segments form a fixed ring that is truncated segment by segment):
//!
//! ```sql
//! CREATE TABLE owner (epoch bigint, segment int);
//! CREATE TABLE partitions (id int PRIMARY KEY, epoch bigint);
//! CREATE TABLE rows (key bytea PRIMARY KEY, version bigint, value bytea);
//! CREATE TABLE trims (log bigint, shard int, xid bigint, index bigint, PRIMARY KEY (log, shard));
//! CREATE TABLE journal (segment int, xid bigint, commit bigint, batch uuid, at bigint, kind smallint /* mark, record, task, settle */,
//!     index int, scope bigint /* log or lane */, shard int, due bigint, place bigint, spot int, task uuid, attempts int,
//!     key bytea, value bytea) PARTITION BY LIST (segment);
//! ```

use std::time::Duration;

use aloft_base::Timestamp;
use async_trait::async_trait;

use crate::{
    Batch, Claim, Direction, Entry, Epoch, Error, Key, KeyRange, Lane, Lease, LogId, Outcome, Page,
    Partition, Position, Record, Shard, Token, Wake,
};

/// A store. Reads never show what is not durable yet, so nobody acts on what a power cut may take away.
///
/// Dropping the future of a read cancels it; a commit that was handed over runs to its end.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Everything at one consistent point: all that was acknowledged before this call, and of each batch all or nothing.
    ///
    /// ```sql
    /// BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; -- COMMIT when the snapshot is dropped or 30 s old
    /// ```
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error>;

    /// The newest committed and durable value of a key.
    ///
    /// ```sql
    /// SELECT value, version FROM rows WHERE key = $1;
    /// ```
    async fn get(&self, key: &Key) -> Result<Option<Entry>, Error>;

    /// The only write: all of the batch or nothing. The answer comes after it is durable.
    ///
    /// Checks come in this order: fences, expectations, tokens; the first that fails is the outcome. Batches take effect one
    /// after another: each sees the former ones. A batch id that was committed before, as far back as the engine remembers
    /// (at least 65,536 commits, or what its rows and records tell), answers with the first outcome and changes nothing; a
    /// refused batch changed nothing and is decided anew.
    ///
    /// One function call in READ COMMITTED. The locks assign no transaction id, so that of two commits with a key in common the
    /// later one has the higher id; it is assigned when all checks hold, and is version and position.
    ///
    /// ```sql
    /// SELECT pg_advisory_xact_lock_shared($class, 0);                  -- the gate; takeovers pass it alone
    /// SELECT pg_advisory_xact_lock($class, id) FROM unnest($locks) id; -- of every key and ordering key, ascending
    /// SELECT epoch, segment FROM owner;                                -- another epoch: superseded
    /// SELECT epoch FROM partitions WHERE id = $1;                      -- fence
    /// SELECT version FROM rows WHERE key = $1;                         -- expect
    /// SELECT pg_current_xact_id();                                     -- version and position of all that follows
    /// INSERT INTO rows VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE SET version = $2, value = $3; -- put
    /// DELETE FROM rows WHERE key = $1;                                 -- delete
    /// INSERT INTO journal VALUES (…);                                  -- append, enqueue, settle; at least a mark
    /// -- after a lost connection, once its session is gone: did it happen?
    /// SELECT xid FROM journal WHERE commit = $1;
    /// ```
    async fn commit(&self, batch: Batch) -> Result<Outcome, Error>;

    /// Records of a shard after a position, in order: at most `max_records`, and no more once `max_bytes` of values and keys
    /// are reached (but at least one if there is one). None means that there is nothing new: wait for [`Wake::log`].
    ///
    /// [`Position::START`] means "from the oldest there is"; any other position before what was trimmed is
    /// [`Error::Trimmed`].
    ///
    /// On an engine where commits finish out of order, a record that was committed may stay hidden until those that began before
    /// it have ended; then [`Wake::log`] tells.
    ///
    /// ```sql
    /// SELECT xid, index, key, value, batch, at FROM journal
    ///  WHERE kind = 1 AND scope = $log AND shard = $2 AND (xid, index) > ($3, $4) AND xid < pg_snapshot_xmin(pg_current_snapshot())
    ///  ORDER BY xid, index LIMIT $5; -- the reader stays behind the oldest open transaction, so it skips nothing
    /// ```
    async fn read_log(
        &self,
        log: LogId,
        shard: Shard,
        after: Position,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>, Error>;

    /// Forgets a shard's records up to and with `through`. They are gone for readers at once, and from the disk step by step.
    ///
    /// ```sql
    /// INSERT INTO trims VALUES ($1, $2, $3, $4) ON CONFLICT (log, shard) DO UPDATE SET xid = $3, index = $4
    ///     WHERE (trims.xid, trims.index) < ($3, $4); -- the rows go with their segment
    /// ```
    async fn trim_log(&self, log: LogId, shard: Shard, through: Position) -> Result<(), Error>;

    /// Claims up to `max` (and at most 1,000) due tasks of a lane, the longest due first. Each stays invisible to others for
    /// `visible_for`, at most 12 h; one that is neither settled nor released by then is due again with one more attempt.
    /// Nothing is written: only the lane's owner claims, from memory.
    ///
    /// ```sql
    /// SELECT due, place, spot FROM journal t WHERE kind = 2 AND scope = $lane AND (due, place, spot) > ($2, $3, $4)
    ///     AND NOT EXISTS (SELECT FROM journal s WHERE s.kind = 3 AND (s.scope, s.due, s.place, s.spot) = (t.scope, t.due, t.place, t.spot))
    ///     ORDER BY due, place, spot LIMIT 1024; -- fills the owner's window
    /// SELECT task, attempts, value FROM journal WHERE kind = 2 AND scope = $lane AND (due, place, spot) = ($2, $3, $4);
    /// ```
    async fn receive(&self, lane: Lane, max: usize, visible_for: Duration) -> Result<Vec<Claim>, Error>;

    /// When [`receive`](Self::receive) may find something that it did not find before, if nothing is enqueued or released:
    /// the next due time or lapse of a claim. `None`: never.
    ///
    /// The statement is that of [`receive`](Self::receive), when the window knows none.
    async fn next_due(&self, lane: Lane) -> Result<Option<Timestamp>, Error>;

    /// Keeps a claim for `visible_for` from now. No statement: claims live in the owner's memory.
    async fn extend(&self, token: &Token, visible_for: Duration) -> Result<Lease, Error>;

    /// Gives a claimed task back, due at once and without counting as an attempt. No statement: as [`extend`](Self::extend).
    async fn release(&self, token: Token) -> Result<Lease, Error>;

    /// Takes a partition over: the epoch that is answered fences everybody who held an earlier one.
    ///
    /// ```sql
    /// SELECT pg_advisory_xact_lock($class, 0); -- waits for commits under way
    /// INSERT INTO partitions VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET epoch = partitions.epoch + 1 RETURNING epoch;
    /// ```
    async fn take_over(&self, partition: Partition) -> Result<Epoch, Error>;

    /// Where to wait for news.
    fn wake(&self) -> &Wake;

    /// Waits until the store accepts nothing more before it is opened anew, because a write failed or another owner took it
    /// over, and says why. Who keeps it open should end then, and be started again: going on helps nobody.
    async fn broken(&self) -> Error;
}

/// The store at one point. It lives at most 30 s, then its reads fail with [`Error::SnapshotExpired`]: a longer read pages
/// by key and catches up from the log.
#[async_trait]
pub trait Snapshot: Send + Sync {
    /// The value of a key.
    ///
    /// ```sql
    /// SELECT value, version FROM rows WHERE key = $1;
    /// ```
    async fn get(&self, key: &Key) -> Result<Option<Entry>, Error>;

    /// The entries of a range, in the direction's order: at most `limit`, and no more once 4 MiB of keys and values are
    /// reached (but at least one). [`Page::more`] tells whether it ended early; go on with [`KeyRange::after`] or
    /// [`KeyRange::before`] the last key.
    ///
    /// ```sql
    /// SELECT key, value, version FROM rows WHERE key >= $1 AND key < $2 ORDER BY key ASC LIMIT $3; -- or DESC
    /// ```
    async fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Page, Error>;
}
