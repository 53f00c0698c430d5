//! Numbers of the contract as the database's: it has no unsigned ones.

use aloft_store::work::Place;
use aloft_store::{Error, Position};
use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// How many low bits of a commit's number count within an epoch: 10¹² commits, 3 years at ten thousand a second. The rest
/// holds eight million epochs.
pub(crate) const COMMIT_BITS: u32 = 40;

/// Ids of logs and lanes: only compared for equality, so all 64 bits fit.
pub(crate) fn id(number: u64) -> i64 {
    number as i64
}

/// Numbers that are compared in order: nothing of ours comes near the end.
pub(crate) fn ordered(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that the database holds and that was never negative.
pub(crate) fn back(number: i64) -> Result<u64, Error> {
    u64::try_from(number)
        .map_err(|_| Error::corrupt("a number of the database", format!("{number} is negative")))
}

/// A position's two columns.
pub(crate) fn position(position: Position) -> (i64, i64) {
    let (major, minor) = position.parts();
    (ordered(major), ordered(minor))
}

/// A place's three columns.
pub(crate) fn place(place: Place) -> (i64, i64, i32) {
    (
        ordered(place.due.as_millis()),
        ordered(place.commit),
        i32::try_from(place.index).unwrap_or(i32::MAX),
    )
}

/// 128 bits as the type `uuid`, which is no more than that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uuid(pub(crate) u128);

impl ToSql for Uuid {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0.to_be_bytes());
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }

    to_sql_checked!();
}

impl FromSql<'_> for Uuid {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(u128::from_be_bytes(raw.try_into()?)))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::UUID
    }
}
