//! Rules: cursors over logs that match events and call targets.
