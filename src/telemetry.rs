//! What operators see of the program: logs on stderr, metrics on the operations listener, the audit trail.

pub mod audit;
pub mod logs;
pub mod metrics;
mod process;
