//! Linux isolation for strangers' processes.
