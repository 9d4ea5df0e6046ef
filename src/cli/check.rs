//! `cairn config check`.

use super::Failure;
use crate::config::{Config, Layers};
use std::io::Write;
use std::path::Path;

/// Says what a server would do with this file alone.
pub(super) fn run(file: &Path) -> Result<(), Failure> {
    let config = Config::from_layers(&Layers::of_file(file)?)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}: valid", file.display())?;
    writeln!(out, "  S3          {} (region {})", config.server.listen, config.server.region)?;
    writeln!(out, "  TLS         {}", if config.tls.is_some() { "on" } else { "off" })?;
    writeln!(out, "  Operations  {}", config.server.ops_listen)?;
    for domain in &config.website.domains {
        writeln!(out, "  Websites    BUCKET.{domain}")?;
    }
    if let Some(address) = config.website.listen {
        writeln!(out, "  Websites    every host on {address}")?;
    }
    for (host, bucket) in &config.website.hosts {
        writeln!(out, "  Website     {host} is bucket {bucket}")?;
    }
    for directory in &config.storage.data {
        writeln!(out, "  Data        {}", directory.display())?;
    }
    for target in &config.event_targets {
        writeln!(out, "  Events      {} ({})", target.name, target.kind.as_str())?;
    }
    for tier in &config.tiers {
        let classes = tier.storage_classes.join(", ");
        writeln!(out, "  Tier        {} ({}): {classes}", tier.name, tier.place.kind())?;
    }
    for (account, key) in &config.accounts {
        writeln!(out, "  Account     {} {:?}, access key {}", account.id, account.display_name, key.access_key_id)?;
    }
    Ok(())
}
