//! Admission, pools and keep-alive; implements call::Invoke.
