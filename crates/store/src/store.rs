//! The contract: what every engine does, and the PostgreSQL statement that will do it there. An operation that has no
//! statement is not in the contract.
//!
//! The statements assume these tables (`work_0` to `work_7` form a fixed ring of segments that are truncated whole):
//!
//! ```sql
//! CREATE TABLE rows (key bytea PRIMARY KEY, version bigint NOT NULL, batch uuid NOT NULL, value bytea NOT NULL);
//! CREATE TABLE log (log bigint, shard int, xid xid8 NOT NULL DEFAULT pg_current_xact_id(), version bigint, index bigint,
//!     key bytea, value bytea, batch uuid, at timestamptz, PRIMARY KEY (log, shard, version, index));
//! CREATE TABLE trims (log bigint, shard int, version bigint, index bigint, PRIMARY KEY (log, shard));
//! CREATE TABLE partitions (id int PRIMARY KEY, epoch bigint NOT NULL, taken_at timestamptz NOT NULL);
//! CREATE TABLE work_0 (lane bigint, due timestamptz, version bigint, index bigint, task uuid, attempts int, body bytea,
//!     batch uuid, settles bigint[] /* (version, index) of what this fact ends; null for an enqueue */);
//! CREATE SEQUENCE versions;
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
    /// One function call in READ COMMITTED. Every batch locks in key order, so two never wait for each other in a ring; versions are
    /// checked under the lock, which with explicit keys is serializable; the sequence is read after the locks, so that of
    /// two commits on one key the later has the higher version.
    ///
    /// ```sql
    /// SELECT 1 FROM partitions WHERE id = $1 AND epoch = $2 FOR SHARE;              -- fence; no row: fenced
    /// SELECT key, version, batch FROM rows WHERE key = ANY($1) ORDER BY key FOR UPDATE; -- expect; settles by (version, index)
    /// SELECT nextval('versions');                                                  -- the version of all that follows
    /// INSERT INTO rows VALUES ($1, $2, $3, $4)                                     -- put
    ///     ON CONFLICT (key) DO UPDATE SET value = $4, version = $2, batch = $3;    -- (expect absent: DO NOTHING, 0 rows: conflict)
    /// DELETE FROM rows WHERE key = $1;                                             -- delete
    /// INSERT INTO log (log, shard, version, index, key, value, batch, at) VALUES ($1, $2, $3, $4, $5, $6, $7, now()); -- append
    /// INSERT INTO work_0 (lane, due, version, index, task, attempts, body, batch) VALUES ($1, $2, $3, $4, $5, $6, $7, $8); -- enqueue
    /// INSERT INTO work_0 (lane, version, index, batch, settles) VALUES ($1, $2, $3, $4, ARRAY[$5, $6]); -- settle, fenced
    /// -- after a lost connection: did it happen?
    /// SELECT 1 FROM rows WHERE key = $1 AND batch = $2 UNION ALL SELECT 1 FROM log WHERE … AND batch = $2 UNION ALL SELECT 1 FROM work_0 WHERE batch = $2;
    /// ```
    async fn commit(&self, batch: Batch) -> Result<Outcome, Error>;

    /// Records of a shard after a position, in order: at most `max_records`, and no more once `max_bytes` of values and keys
    /// are reached (but at least one if there is one). None means that there is nothing new: wait for [`Wake::log`].
    ///
    /// [`Position::START`] means "from the oldest there is"; any other position before what was trimmed is
    /// [`Error::Trimmed`].
    ///
    /// ```sql
    /// SELECT version, index, key, value, batch, at FROM log
    ///  WHERE log = $1 AND shard = $2 AND (version, index) > ($3, $4) AND xid < pg_snapshot_xmin(pg_current_snapshot())
    ///  ORDER BY version, index LIMIT $5; -- the reader stays behind the oldest open transaction, so it skips nothing
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
    /// INSERT INTO trims VALUES ($1, $2, $3, $4) ON CONFLICT (log, shard) DO UPDATE SET version = $3, index = $4
    ///     WHERE (trims.version, trims.index) < ($3, $4);
    /// DELETE FROM log WHERE ctid IN (SELECT ctid FROM log WHERE log = $1 AND shard = $2 AND (version, index) <= ($3, $4)
    ///     LIMIT 10000); -- repeated until nothing is left
    /// ```
    async fn trim_log(&self, log: LogId, shard: Shard, through: Position) -> Result<(), Error>;

    /// Claims up to `max` (and at most 1,000) due tasks of a lane, the longest due first. Each stays invisible to others for
    /// `visible_for`, at most 12 h; one that is neither settled nor released by then is due again with one more attempt.
    /// Nothing is written: only the lane's owner claims, from memory.
    ///
    /// ```sql
    /// SELECT due, version, index, task, attempts, body FROM work_0 WHERE lane = $1 AND (due, version, index) > ($2, $3, $4)
    ///     AND settles IS NULL ORDER BY due, version, index LIMIT 1024; -- fills the owner's window
    /// ```
    async fn receive(&self, lane: Lane, max: usize, visible_for: Duration) -> Result<Vec<Claim>, Error>;

    /// When [`receive`](Self::receive) may find something that it did not find before, if nothing is enqueued or released:
    /// the next due time or lapse of a claim. `None`: never.
    ///
    /// ```sql
    /// SELECT min(due) FROM work_0 WHERE lane = $1 AND due > $2 AND settles IS NULL; -- only when the window knows none
    /// ```
    async fn next_due(&self, lane: Lane) -> Result<Option<Timestamp>, Error>;

    /// Keeps a claim for `visible_for` from now. No statement: claims live in the owner's memory.
    async fn extend(&self, token: &Token, visible_for: Duration) -> Result<Lease, Error>;

    /// Gives a claimed task back, due at once and without counting as an attempt. No statement: as [`extend`](Self::extend).
    async fn release(&self, token: Token) -> Result<Lease, Error>;

    /// Takes a partition over: the epoch that is answered fences everybody who held an earlier one.
    ///
    /// ```sql
    /// UPDATE partitions SET epoch = epoch + 1, taken_at = now() WHERE id = $1 RETURNING epoch; -- waits for FOR SHARE of commits
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
