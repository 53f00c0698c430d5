//! Black-box tests: the real binary, real clients, real faults.
