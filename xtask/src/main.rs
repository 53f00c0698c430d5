//! What cargo cannot do: fetching what tests need, and running them all.

fn main() {}
