//! Bounded bodies, and the HTTP/1.1 server and client glue.
