//! One node: everything below, wired over one store, one clock, one source of chance and two ports.
//!
//! [`Node::start`] opens the store, loads the project, binds both ports and returns when requests are served;
//! [`Node::stop`] refuses new calls, lets deliveries and calls under way end, stops the instances, closes the ports.
//!
//! In development the project is followed: the kernel is told to watch its files, and every request first looks whether
//! something has changed, so that the request after an edit runs the new code, however soon it comes.
//!
//! This crate knows everybody and decides nothing.

mod accounts;
mod address;
mod config;
mod edge;
mod engine;
mod error;
mod load;
mod metrics;
mod node;
mod project;
mod ring;
mod run;
mod runtimes;
mod services;
mod sessions;
mod socket;
mod upkeep;
mod watch;

pub use address::Address;
pub use aloft_build::Limits as BuildLimits;
pub use aloft_egress::Allowed;
pub use config::{Config, DATA_FOLDER, MASTER_KEY};
pub use error::Error;
pub use node::Node;
