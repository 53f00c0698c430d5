//! Rules end to end over the memory engine, with a scripted function and tokio's paused time: a test waits for conditions,
//! and time passes only while everything waits.

mod breaker;
mod deliver;
mod faults;
mod kit;
mod order;
mod replace;
mod status;
mod tables;
