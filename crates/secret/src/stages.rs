//! Where labels point: pure, over a secret without its values.

use std::collections::BTreeSet;
use std::time::Duration;

use aloft_base::Timestamp;

use crate::{CURRENT, Error, MAX_STAGES, MAX_VERSIONS, PREVIOUS, Secret, Version};

/// A version that is younger is not dropped, though no label points to it: Secrets Manager's promise.
const YOUNG: Duration = Duration::from_secs(24 * 3_600);

/// Adds a version with these labels; the first has `AWSCURRENT` besides, and so has one that none are given for. Answers the ids of
/// versions that were dropped to make room.
pub(crate) fn add(
    secret: &mut Secret,
    id: &str,
    stages: Option<&BTreeSet<String>>,
    now: Timestamp,
) -> Result<Vec<String>, Error> {
    let dropped = make_room(secret, now)?;
    let is_first = secret.versions.is_empty();
    secret.versions.push(Version {
        id: id.to_owned(),
        created: now,
        stages: BTreeSet::new(),
    });
    let current = [CURRENT.to_owned()];
    let given = stages.into_iter().flatten();
    let implied = current.iter().filter(|_| is_first || stages.is_none());
    // AWSCURRENT first: what it leaves behind as AWSPREVIOUS may be given elsewhere by name.
    let mut all: Vec<&String> = given.chain(implied).collect();
    all.sort_by_key(|stage| *stage != CURRENT);
    for stage in all {
        point(secret, stage, id);
    }
    check(secret)?;
    Ok(dropped)
}

/// Points a label to a version, or, with none, to nothing. Whoever moves one says from where.
pub(crate) fn shift(
    secret: &mut Secret,
    stage: &str,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<(), Error> {
    for id in [from, to].into_iter().flatten() {
        if secret.version(id).is_none() {
            return Err(Error::NoVersion(format!("VersionId: {id}")));
        }
    }
    let holder = secret.staged(stage).map(|version| version.id.clone());
    match (from, holder.as_deref()) {
        (Some(from), Some(holder)) if from == holder => {}
        (Some(from), _) => {
            return Err(Error::Invalid(format!(
                "The staging label {stage} is not attached to version {from}."
            )));
        }
        (None, Some(holder)) if Some(holder) != to => {
            return Err(Error::Invalid(format!(
                "The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to version {holder}, \
                 so you must explicitly reference that version in RemoveFromVersionId."
            )));
        }
        (None, _) => {}
    }
    match to {
        Some(to) => point(secret, stage, to),
        None if stage == CURRENT => {
            return Err(Error::Invalid(format!(
                "You can only move staging label {CURRENT} to a different secret version. It can't be completely removed."
            )));
        }
        None if from.is_none() => {
            return Err(Error::Invalid(
                "You must give MoveToVersionId, RemoveFromVersionId, or both.".to_owned(),
            ));
        }
        None => take(secret, stage),
    }
    check(secret)
}

fn point(secret: &mut Secret, stage: &str, id: &str) {
    let holder = secret.staged(stage).map(|version| version.id.clone());
    if holder.as_deref() == Some(id) {
        return;
    }
    take(secret, stage);
    if let Some(version) = secret.versions.iter_mut().find(|version| version.id == id) {
        version.stages.insert(stage.to_owned());
        if stage == CURRENT {
            version.stages.remove(PREVIOUS);
        }
    }
    if let Some(former) = holder.filter(|_| stage == CURRENT) {
        point(secret, PREVIOUS, &former);
    }
}

fn take(secret: &mut Secret, stage: &str) {
    for version in &mut secret.versions {
        version.stages.remove(stage);
    }
}

fn check(secret: &Secret) -> Result<(), Error> {
    match secret
        .versions
        .iter()
        .find(|version| version.stages.len() > MAX_STAGES)
    {
        Some(version) => Err(Error::TooMany(format!(
            "Version {} would have {} staging labels, and at most {MAX_STAGES} are allowed.",
            version.id,
            version.stages.len()
        ))),
        None => Ok(()),
    }
}

/// Drops the oldest deprecated versions until there is room for one more.
fn make_room(secret: &mut Secret, now: Timestamp) -> Result<Vec<String>, Error> {
    let mut dropped = Vec::new();
    while secret.versions.len() >= MAX_VERSIONS {
        let old = secret
            .versions
            .iter()
            .position(|version| version.stages.is_empty() && now.since(version.created) >= YOUNG);
        let Some(old) = old else {
            return Err(Error::TooMany(format!(
                "The secret {} has {MAX_VERSIONS} versions that have a staging label or are younger than a day, and at most \
                 {MAX_VERSIONS} are allowed.",
                secret.name
            )));
        };
        dropped.push(secret.versions.remove(old).id);
    }
    Ok(dropped)
}
