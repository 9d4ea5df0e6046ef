//! Background work: when it runs and at what pace. What is done is decided below.

pub mod access_logs;
pub mod backup;
pub mod compaction;
pub mod events;
pub mod garbage;
pub mod lifecycle;
pub mod scrub;
pub mod sessions;
pub mod tiering;
