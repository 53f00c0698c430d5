//! The binary: parse, build, announce, run, drain.

fn main() {}
