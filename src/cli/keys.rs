//! Root's and the accounts' keys, read again at SIGHUP from where they came at the start: a key is rotated without a
//! restart.

use std::path::PathBuf;
use std::sync::Arc;

use super::Failure;
use crate::accounts::{Accounts, RootKey};
use crate::config::{Config, Environment, Layers};
use crate::server::HangUps;

/// Where the keys came from.
pub(super) struct KeySources {
    pub environment: Environment,
    /// The first data directory, which may have root's key.
    pub data: PathBuf,
    /// The configuration file, which may have accounts.
    pub file: Option<PathBuf>,
}

impl KeySources {
    /// Puts the keys as they are now in the place of those that are in use.
    fn replace(&self, accounts: &Accounts) -> Result<(), Failure> {
        let root_key = RootKey::read_again(&self.environment, &self.data)?;
        let configured = match &self.file {
            Some(file) => Config::accounts_of(&Layers::of_file(file)?)?,
            None => Vec::new(),
        };
        let replaced = accounts.replace_keys(root_key, configured)?;
        for id in &replaced.strangers {
            tracing::warn!(account = id, "a new account is served after a restart");
        }
        if !(replaced.new.is_empty() && replaced.gone.is_empty()) {
            tracing::info!(new = ?replaced.new, gone = ?replaced.gone, "access keys of the configuration replaced");
        }
        Ok(())
    }

    /// Reads the keys again at each SIGHUP, for as long as the program runs. What cannot be read or used changes
    /// nothing.
    pub(super) async fn keep_fresh(self, accounts: Arc<Accounts>, mut hang_ups: HangUps) {
        let sources = Arc::new(self);
        loop {
            hang_ups.next().await;
            let (sources, accounts) = (Arc::clone(&sources), Arc::clone(&accounts));
            // On a thread for blocking work: a hanging network mount must not hang the listeners.
            match tokio::task::spawn_blocking(move || sources.replace(&accounts)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the access keys in use stay: others cannot be read"),
                Err(error) => tracing::error!(%error, "reading the access keys again broke off"),
            }
        }
    }
}
