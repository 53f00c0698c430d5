//! Functions as WebAssembly components of the world `wasi:http/proxy` 0.2, run by wasmtime.
//!
//! A component is compiled once on each node, in a child of its own (it is a stranger's input to a large program), and what comes of it is
//! kept on this node's disk under a key that only this node has: it is machine code. One that cannot be compiled is remembered while the node
//! runs, so that calls to it fail at once. Each call gets a fresh instance, in
//! memory that is mapped copy-on-write from the component's, so calls cannot see each other. Guests run on threads of their own, but for
//! the beginning of those that are likely to be done at once, and yield every few milliseconds: one that computes without end holds up
//! neither the platform nor the others, and is ended at its timeout.
//!
//! A guest is asked like a server of its own ([`http`](crate::contract)): requests as they are, events as CloudEvents. It has its
//! environment, clocks, chance and its standard output and error, which are its log; it has no files and no sockets. Of
//! `wasi:http/outgoing-handler` it reaches the platform's services at `http://aloft.internal:4566`, and nothing else.
//!
//! Limits: components of 250 MiB (Lambda's bound of unpacked code), compiled within 5 minutes and 2 GiB of memory; 1,000 guests
//! at once on a node; memory as the function's `memory` says, at most the 4 GiB of 32-bit WebAssembly.

mod cache;
mod compile;
mod engine;
mod failures;
mod guest;
mod guests;
mod instance;
mod outgoing;
mod printed;
mod runtime;

pub use compile::compiler_if_asked;
pub use runtime::{Parts, WasmRuntime};
