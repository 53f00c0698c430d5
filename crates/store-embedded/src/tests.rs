//! The engine passes the contract's suite.
