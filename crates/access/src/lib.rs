//! Who may do what: one pure decision, asked once at each edge.
//!
//! [`decide`] takes a [`Caller`](aloft_call::Caller), an [`Action`] and a [`Resource`], and says yes or why not. Whoever holds
//! an account's keys may do everything in that account. A function may use the tables that its definition names, as far as it
//! names them (`"read"`, or `"write"` for reading and writing), and never creates, lists or deletes any. What a function prints is kept
//! without a permission; only one that was granted everything puts events into log groups and reads them. Somebody unknown may do
//! nothing. Accounts are apart from each other before anything is asked here: a name is only ever looked up in the caller's own.
//!
//! A [`Denial`] is written for the person who can change it: it names the function, the table and the line to write.
//!
//! This crate keeps no state and reads no files. It does not know whether a table exists, so that a refusal never tells.
//!
//! ```
//! use std::sync::Arc;
//! use aloft_access::{Action, Resource, decide};
//! use aloft_base::{Region, Tenant};
//! use aloft_call::{Caller, Grants, Principal};
//!
//! let table = "orders".parse().unwrap();
//! let function = Principal::Function { name: "create".parse().unwrap(), grants: Arc::new(Grants::default()) };
//! let caller = Caller { tenant: Tenant::local(), region: Region::local(), principal: function };
//! let denial = decide(&caller, Action::Write, Resource::Table(&table)).unwrap_err();
//! assert_eq!(
//!     denial.to_string(),
//!     r#"function "create" may not write table "orders": add  access = { orders = "write" }  to [functions.create] in aloft.toml"#
//! );
//! ```

mod decide;

pub use decide::{Action, Decision, Denial, Resource, decide};
