//! What operators see of the program: logs on stderr, metrics on the operations listener.

pub mod logs;
pub mod metrics;
mod process;
