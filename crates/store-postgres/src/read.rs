//! Reads of rows and logs: one round trip each.

use aloft_base::Timestamp;
use aloft_store::{BatchId, Entry, Epoch, Error, Key, LogId, Partition, Position, Record, Shard};
use bytes::Bytes;
use tokio_postgres::Row;

use crate::connection::{column, only};
use crate::number::{Uuid, back, id, ordered, position};
use crate::shared::Shared;
use crate::snapshot::entry;
use crate::statement::Sql;

/// More records than this are not read at once, whatever was asked for.
const MAX_RECORDS: usize = 32_768;

/// See [`aloft_store::Store::get`].
pub(crate) async fn get(shared: &Shared, key: &Key) -> Result<Option<Entry>, Error> {
    shared.check()?;
    let rows = shared
        .readers
        .query(Sql::Get, &[&key.as_ref()], shared.config.patience)
        .await?;
    rows.first().map(|row| entry(key.clone(), row, 0)).transpose()
}

/// See [`aloft_store::Store::read_log`].
pub(crate) async fn read_log(
    shared: &Shared,
    log: LogId,
    shard: Shard,
    after: Position,
    max_records: usize,
    max_bytes: usize,
) -> Result<Vec<Record>, Error> {
    shared.check()?;
    let (xid, index) = position(after);
    let most = max_records.min(MAX_RECORDS) as i64;
    let bytes = i64::try_from(max_bytes).unwrap_or(i64::MAX);
    let rows = shared
        .readers
        .query(
            Sql::ReadLog,
            &[
                &id(log.0),
                &i32::from(shard.0),
                &xid,
                &index,
                &shared.shift,
                &most,
                &bytes,
            ],
            shared.config.patience,
        )
        .await?;
    let first = only(&rows)?;
    if let Some(major) = column::<Option<i64>>(first, 0)? {
        let through = Position::new(back(major)?, back(column(first, 1)?)?);
        if after < through && after != Position::START {
            return Err(Error::Trimmed { log, shard, through });
        }
    }
    if column::<Option<i64>>(first, 2)?.is_none() {
        return Ok(Vec::new());
    }
    rows.iter().map(record).collect()
}

fn record(row: &Row) -> Result<Record, Error> {
    let index: i32 = column(row, 3)?;
    Ok(Record {
        position: Position::new(back(column(row, 2)?)?, back(index.into())?),
        key: Bytes::copy_from_slice(column(row, 4)?),
        value: Bytes::copy_from_slice(column(row, 5)?),
        batch: BatchId(column::<Uuid>(row, 6)?.0),
        at: Timestamp::from_millis(back(column(row, 7)?)?),
    })
}

/// See [`aloft_store::Store::trim_log`].
pub(crate) async fn trim_log(
    shared: &Shared,
    log: LogId,
    shard: Shard,
    through: Position,
) -> Result<(), Error> {
    shared.check()?;
    let (xid, index) = position(through);
    let rows = shared
        .readers
        .query(
            Sql::Trim,
            &[
                &shared.class.0,
                &ordered(shared.epoch),
                &id(log.0),
                &i32::from(shard.0),
                &xid,
                &index,
            ],
            shared.config.patience,
        )
        .await?;
    if column::<bool>(only(&rows)?, 0)? {
        return Ok(());
    }
    Err(shared.superseded().await)
}

/// See [`aloft_store::Store::take_over`]. Asked twice after a broken connection, the epoch may grow by two: it only has to grow.
pub(crate) async fn take_over(shared: &Shared, partition: Partition) -> Result<Epoch, Error> {
    shared.check()?;
    let rows = shared
        .upkeep
        .query(
            Sql::TakeOver,
            &[&shared.class.0, &ordered(shared.epoch), &i32::from(partition.0)],
            shared.config.patience,
        )
        .await?;
    match column::<Option<i64>>(only(&rows)?, 0)? {
        Some(epoch) => Ok(Epoch(back(epoch)?)),
        None => Err(shared.superseded().await),
    }
}
