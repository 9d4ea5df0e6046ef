//! Listens for what goes wrong in RocksDB's background.

use std::sync::Arc;

use parking_lot::Mutex;
use rocksdb::event_listener::{
    BackgroundErrorRecoveryInfo, DBBackgroundErrorReason, EventListener, MutableStatus, StatusSeverity,
};

/// Notes errors after which RocksDB does not resume by itself. Their text alone does not tell: a full disk is
/// recovered from, but not when it fails the recovery's own flush.
#[derive(Clone, Default)]
pub(super) struct Watch {
    fatal: Arc<Mutex<Option<String>>>,
}

impl Watch {
    /// The first error that only reopening heals.
    pub(super) fn fatal(&self) -> Option<String> {
        self.fatal.lock().clone()
    }

    fn note(&self, severity: StatusSeverity, result: &Result<(), rocksdb::Error>) {
        let Err(error) = result else { return };
        tracing::warn!(%error, ?severity, "error in the index's background work");
        let final_one = matches!(
            severity,
            StatusSeverity::KFatalError | StatusSeverity::KUnrecoverableError | StatusSeverity::KMaxSeverity
        );
        if final_one {
            self.fatal.lock().get_or_insert_with(|| error.to_string());
        }
    }
}

impl EventListener for Watch {
    fn on_background_error(&self, _: DBBackgroundErrorReason, status: MutableStatus) {
        self.note(status.severity(), status.result());
    }

    fn on_error_recovery_end(&self, recovery: &BackgroundErrorRecoveryInfo) {
        self.note(recovery.new_bg_error().severity(), recovery.new_bg_error().result());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fatal_errors_are_fatal() {
        let watch = Watch::default();
        watch.note(StatusSeverity::KFatalError, &Ok(()));
        watch.note(StatusSeverity::KHardError, &Err(met()));
        assert_eq!(watch.fatal(), None);
        watch.note(StatusSeverity::KFatalError, &Err(met()));
        assert_eq!(watch.fatal(), Some(met().to_string()));
    }

    /// RocksDB's errors cannot be made, only met.
    fn met() -> rocksdb::Error {
        rocksdb::DB::open_default("/dev/null/nothing").expect_err("cannot be opened")
    }
}
