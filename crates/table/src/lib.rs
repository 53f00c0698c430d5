//! Tables of items, as DynamoDB has them: keys, expressions, conditions, and a log of changes.
//!
//! - [`Tables`] creates, finds, lists and deletes tables in a store; [`Tables::ensure`] is for what a definition declares.
//! - [`Table`] reads and writes rows: `get put update delete query scan`.
//! - [`Condition`], [`Update`], [`Projection`] and [`KeyCondition`] are expressions, parsed with [`Placeholders`]. They are
//!   pure and need no table.
//! - [`decode_change`] reads a record of a table's log, which [`Table::log`] names.
//!
//! # Promises
//! A write's row and its change record are one commit, acknowledged when durable. A condition is decided on the row that the
//! commit replaces. A write that changes nothing makes no record. Reads are of the newest committed state, a page of a query
//! or scan of one moment. 64 writers of one row on one node all succeed, in turn.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! # use std::sync::Arc;
//! use aloft_base::{Region, SystemChance, SystemClock, Tenant};
//! use aloft_item::Item;
//! use aloft_store::{Memory, layout::Namespace};
//! use aloft_table::{KeyAttribute, KeyKind, Schema, Tables};
//!
//! let clock = Arc::new(SystemClock);
//! let tables = Tables::open(Arc::new(Memory::new(clock.clone())), clock, Arc::new(SystemChance)).await?;
//! let namespace = Namespace { tenant: Tenant::local(), region: Region::local() };
//! let schema = Schema { hash: KeyAttribute { name: "id".into(), kind: KeyKind::S }, range: None };
//! let orders = tables.ensure(&namespace, &"orders".parse().unwrap(), &schema).await?;
//!
//! let row = Item::from([("id", "a".into()), ("status", "new".into())]);
//! orders.put(row.clone(), None).await?;
//! assert_eq!(orders.get(&Item::from([("id", "a".into())])).await?, Some(row));
//! # Ok::<(), aloft_table::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Limits
//! Items 400 KiB, partition keys 2,048 bytes, sort keys 1,024 bytes; a page is 1 MiB; an expression 4 KiB, 300 operators,
//! 100 levels. A write that others beat 64 times is [`Error::Contended`].
//!
//! # What it never does
//! It knows no HTTP and no permission. It keeps no row in memory. It has no secondary index, transaction or expiry yet.

mod census;
mod coding;
mod error;
mod expression;
#[cfg(test)]
mod newer;
mod place;
mod query;
mod record;
mod schema;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod write;

pub use census::Size;
pub use error::Error;
pub use expression::{Condition, KeyCondition, Placeholders, Projection, Update};
pub use query::{Found, Query, Read, Scan, Select};
pub use record::{LOG_SHARDS, decode_change};
pub use schema::{Billing, Description, KeyAttribute, KeyKind, Schema};
pub use table::{Table, read_units, write_units};
pub use tables::Tables;
pub use write::Written;
