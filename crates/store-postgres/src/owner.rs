//! Who owns the store: one process at a time, under an epoch that each takeover raises and each commit checks. The lease is
//! judged by the database's clock alone; it only decides when another may take over. What keeps a former owner from writing is
//! the epoch.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aloft_base::Timestamp;
use aloft_store::Error;
use aloft_store::work::{RESTARTS, Restart};

use crate::Config;
use crate::connection::{Connection, column, only};
use crate::fault::Fault;
use crate::lock::Class;
use crate::number::{COMMIT_BITS, back, ordered};
use crate::shared::Shared;
use crate::statement::Sql;

/// How often a start looks at another's lease while it waits for it to run out.
const LOOK: Duration = Duration::from_millis(100);

/// What a takeover gave.
pub(crate) struct Taken {
    pub(crate) epoch: u64,
    pub(crate) segment: i32,
    pub(crate) shift: i64,
    pub(crate) restarts: Vec<Restart>,
}

/// Takes the store, waiting for a lease that nobody renews; whoever is alive is named and left alone.
pub(crate) async fn take(
    connection: &Connection,
    config: &Config,
    class: Class,
    now: Timestamp,
    name: &str,
) -> Result<Taken, Fault> {
    let mut first = None;
    loop {
        let rows = connection.query(Sql::Lease, &[]).await?;
        let row = only(&rows).map_err(Fault::Final)?;
        let read = || {
            Ok((
                column::<String>(row, 0)?,
                column::<String>(row, 1)?,
                column::<i64>(row, 2)?,
            ))
        };
        let (holder, until, left) = read().map_err(Fault::Final)?;
        let left = Duration::from_millis(back(left).map_err(Fault::Final)?);
        if left.is_zero() {
            if let Some(taken) = try_take(connection, config, class, now).await? {
                return Ok(taken);
            }
            continue;
        }
        match &first {
            None => {
                tracing::info!(
                    database = name,
                    holder,
                    left_ms = left.as_millis() as u64,
                    "the store is held by another: waiting for its lease to run out"
                );
                first = Some(until);
            }
            Some(seen) if *seen != until => {
                return Err(Fault::Final(Error::Owned {
                    database: name.to_owned(),
                    holder,
                    left,
                }));
            }
            Some(_) => {}
        }
        tokio::time::sleep(left.min(LOOK)).await;
    }
}

async fn try_take(
    connection: &Connection,
    config: &Config,
    class: Class,
    now: Timestamp,
) -> Result<Option<Taken>, Fault> {
    let lease_ms = ordered(u64::try_from(config.lease.as_millis()).unwrap_or(u64::MAX));
    let (bits, keep) = (COMMIT_BITS as i32, RESTARTS as i32);
    let rows = connection
        .query(
            Sql::Take,
            &[
                &class.0,
                &holder(),
                &lease_ms,
                &ordered(now.as_millis()),
                &bits,
                &keep,
            ],
        )
        .await?;
    let read = || {
        let row = only(&rows)?;
        if !column::<bool>(row, 0)? {
            return Ok(None);
        }
        let restarts: Vec<i64> = column(row, 4)?;
        let restarts = restarts.chunks_exact(2).map(|pair| match pair {
            [at, commit] => Ok(Restart {
                at: Timestamp::from_millis(back(*at)?),
                commit: back(*commit)?,
            }),
            _ => Err(Error::corrupt("the lease", "its restarts are not pairs")),
        });
        Ok(Some(Taken {
            epoch: back(column(row, 1)?)?,
            segment: column(row, 2)?,
            shift: column(row, 3)?,
            restarts: restarts.collect::<Result<_, _>>()?,
        }))
    };
    read().map_err(Fault::Final)
}

/// How others are told of this process.
fn holder() -> String {
    let host = rustix::system::uname();
    format!(
        "process {} on host {}",
        std::process::id(),
        host.nodename().to_string_lossy()
    )
}

/// Keeps the lease until the store ends. While the database is away it goes on trying: a lease that ran out is still ours as
/// long as nobody took over.
pub(crate) async fn keep(shared: &Shared) -> Result<(), Error> {
    let third = shared.config.lease / 3;
    loop {
        tokio::select! {
            () = tokio::time::sleep(third) => {}
            () = shared.stop.asked() => return Ok(()),
        }
        if shared.paused.load(Ordering::Relaxed) {
            continue;
        }
        match check(shared).await {
            Ok(()) => {}
            Err(error @ Error::Superseded { .. }) => {
                tracing::error!(%error, "the store is owned by another");
                return Ok(());
            }
            Err(error) => tracing::warn!(%error, "the lease on the store could not be renewed; trying on"),
        }
    }
}

/// Asks the database whether this process still owns the store.
pub(crate) async fn check(shared: &Shared) -> Result<(), Error> {
    let lease_ms = ordered(u64::try_from(shared.config.lease.as_millis()).unwrap_or(u64::MAX));
    let rows = shared
        .upkeep
        .query(
            Sql::Renew,
            &[&ordered(shared.epoch), &lease_ms],
            shared.config.patience,
        )
        .await?;
    if column::<bool>(only(&rows)?, 0)? {
        return Ok(());
    }
    Err(shared.superseded().await)
}

/// Gives the lease back.
pub(crate) async fn release(shared: &Shared) -> Result<(), Error> {
    let rows = shared
        .upkeep
        .query(Sql::Release, &[&ordered(shared.epoch)], shared.config.patience)
        .await?;
    if column::<bool>(only(&rows)?, 0)? {
        return Ok(());
    }
    Err(Error::Superseded {
        database: shared.name().to_owned(),
        holder: "another process".to_owned(),
    })
}
