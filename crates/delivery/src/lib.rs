//! The one policy of durable delivery, and the trait Target.
