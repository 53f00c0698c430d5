//! Work: tasks are known and claimed in the owner's memory ([`aloft_store::work`]); the database is asked for more of a lane
//! when its window runs low, and for the bodies of what was claimed.

use std::time::Duration;

use aloft_base::Timestamp;
use aloft_store::work::{Picked, Place, WINDOW};
use aloft_store::{Claim, Error, Lane, Lease, MAX_RECEIVE, MAX_VISIBLE, Task, TaskId, Token, Topic};
use bytes::Bytes;

use crate::connection::column;
use crate::number::{Uuid, back, id, place};
use crate::shared::Shared;
use crate::statement::Sql;

/// See [`aloft_store::Store::receive`].
pub(crate) async fn receive(
    shared: &Shared,
    lane: Lane,
    max: usize,
    visible_for: Duration,
) -> Result<Vec<Claim>, Error> {
    if visible_for > MAX_VISIBLE {
        return Err(Error::VisibleTooLong(visible_for));
    }
    shared.check()?;
    let max = max.min(MAX_RECEIVE);
    let mut claimed = Claimed {
        shared,
        picked: Vec::new(),
    };
    while claimed.picked.len() < max {
        let now = shared.now();
        let (more, known) = {
            let mut work = shared.work();
            work.learn(lane, Place::FIRST);
            let more = work.pick(lane, max - claimed.picked.len(), visible_for, now);
            (more, work.must_read(lane, now).is_none())
        };
        let none = more.is_empty();
        claimed.picked.extend(more);
        if claimed.picked.len() >= max || (known && none) {
            break;
        }
        if !known {
            fill(shared, lane).await?;
        }
    }
    claimed.read(lane).await
}

/// See [`aloft_store::Store::next_due`].
pub(crate) async fn next_due(shared: &Shared, lane: Lane) -> Result<Option<Timestamp>, Error> {
    shared.check()?;
    shared.work().learn(lane, Place::FIRST);
    while fill(shared, lane).await? {}
    let now = shared.now();
    Ok(shared.work().next_due(lane, now))
}

/// See [`aloft_store::Store::extend`].
pub(crate) fn extend(shared: &Shared, token: &Token, visible_for: Duration) -> Result<Lease, Error> {
    if visible_for > MAX_VISIBLE {
        return Err(Error::VisibleTooLong(visible_for));
    }
    shared.check()?;
    let now = shared.now();
    let held = shared.work().extend(token, visible_for, now);
    Ok(if held { Lease::Held } else { Lease::Lost })
}

/// See [`aloft_store::Store::release`].
pub(crate) fn release(shared: &Shared, token: &Token) -> Result<Lease, Error> {
    shared.check()?;
    let now = shared.now();
    if !shared.work().release(token, now) {
        return Ok(Lease::Lost);
    }
    shared.tell(Topic::Lane(token.lane()));
    Ok(Lease::Held)
}

/// Takes the memory's note of a fill back when the read fails or its future is dropped.
struct Filling<'a> {
    shared: &'a Shared,
    lane: Lane,
    done: bool,
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.shared.work().cancel_fill(self.lane);
        }
    }
}

/// Reads more of a lane if what is known of it is not enough; answers whether it read something.
async fn fill(shared: &Shared, lane: Lane) -> Result<bool, Error> {
    let _one = match shared.fill_lock(lane) {
        Some(lock) => Some(lock.lock().await),
        None => None,
    };
    let now = shared.now();
    let Some(scanned) = shared.work().begin_fill(lane, now) else {
        return Ok(false);
    };
    let mut filling = Filling {
        shared,
        lane,
        done: false,
    };
    let (due, commit, spot) = place(scanned);
    let window = WINDOW as i64;
    let rows = shared
        .readers
        .query(
            Sql::Fill,
            &[&id(lane.0), &due, &commit, &spot, &window],
            shared.config.patience,
        )
        .await?;
    let mut places = Vec::with_capacity(rows.len());
    for row in &rows {
        let spot: i32 = column(row, 2)?;
        places.push(Place {
            due: Timestamp::from_millis(back(column(row, 0)?)?),
            commit: back(column(row, 1)?)?,
            index: back(spot.into())?,
        });
    }
    filling.done = true;
    shared.work().fill(lane, &places, places.len() < WINDOW);
    Ok(true)
}

/// Tasks that were picked and are not answered yet: given back when that fails.
struct Claimed<'a> {
    shared: &'a Shared,
    picked: Vec<Picked>,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        let now = self.shared.now();
        let mut work = self.shared.work();
        for picked in &self.picked {
            work.release(&picked.token, now);
        }
    }
}

impl Claimed<'_> {
    /// What is to be done, with one query for all.
    async fn read(mut self, lane: Lane) -> Result<Vec<Claim>, Error> {
        if self.picked.is_empty() {
            return Ok(Vec::new());
        }
        let shared = self.shared;
        let places: Vec<(i64, i64, i32)> = self.picked.iter().map(|picked| place(picked.place)).collect();
        let dues: Vec<i64> = places.iter().map(|place| place.0).collect();
        let commits: Vec<i64> = places.iter().map(|place| place.1).collect();
        let spots: Vec<i32> = places.iter().map(|place| place.2).collect();
        let rows = shared
            .readers
            .query(
                Sql::Bodies,
                &[&id(lane.0), &dues, &commits, &spots],
                shared.config.patience,
            )
            .await?;
        if rows.len() != self.picked.len() {
            // Another owner may have settled them and dropped their segment.
            crate::owner::check(shared).await?;
            let missing = format!("{} of {} are there", rows.len(), self.picked.len());
            return Err(Error::corrupt(
                format!("tasks of lane {lane} that are known"),
                missing,
            ));
        }
        let mut claims = Vec::with_capacity(rows.len());
        for (row, picked) in rows.iter().zip(&self.picked) {
            if back(column(row, 4)?)? != shared.epoch {
                return Err(shared.superseded().await);
            }
            let attempts: i32 = column(row, 2)?;
            let charged = shared.work().charged(picked.place);
            claims.push(Claim {
                token: picked.token.clone(),
                task: Task {
                    id: TaskId(column::<Uuid>(row, 1)?.0),
                    lane,
                    due: picked.place.due,
                    attempts: u32::try_from(attempts)
                        .unwrap_or(0)
                        .saturating_add(picked.lapses)
                        .saturating_add(charged),
                    body: Bytes::copy_from_slice(column(row, 3)?),
                },
            });
        }
        self.picked.clear();
        Ok(claims)
    }
}
