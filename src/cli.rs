//! The command line. `cairn --help` is the first page of the manual, so its texts are written for newcomers.

mod audit;
mod backup;
mod banner;
mod bucket;
mod check;
mod client;
mod compose;
mod doctor;
mod drives;
mod events;
mod health;
mod iam;
mod keys;
mod lifecycle;
mod scrub;
pub mod serve;

pub use compose::compose;

use clap::{Parser, Subcommand};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use std::path::PathBuf;

/// What ends a command: a text for the operator.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The command line, parsed.
#[derive(Debug, Parser)]
#[command(
    name = "cairn",
    version,
    about = "S3-compatible object storage: one binary, durable by default",
    long_about = "Cairn is an object store that speaks Amazon S3's protocol. One binary keeps objects on the disks \
                  of one machine; a write that was answered with 200 OK survives a crash and a power cut.",
    after_long_help = EXAMPLES,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  A server for trying things out; it prints its endpoint and its generated credentials:
      cairn serve --data ./data

  The same with credentials of your own, on two drives, with virtual-hosted buckets:
      export CAIRN_ROOT_ACCESS_KEY_ID=admin CAIRN_ROOT_SECRET_ACCESS_KEY_FILE=/run/secrets/cairn
      cairn serve --data /mnt/a --data /mnt/b --domain s3.example.com

  From a configuration file, checked beforehand:
      cairn config check /etc/cairn/config.toml
      cairn serve --config /etc/cairn/config.toml

Exit codes: 0 success, 1 failure (the reason is on stderr), 2 wrong usage.";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::ServeArgs>),
    /// Work with configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask a running server about permissions
    #[command(subcommand)]
    Iam(iam::IamCommand),
    /// Administer buckets of a running server
    #[command(subcommand)]
    Bucket(bucket::BucketCommand),
    /// Ask a running server whether it is ready: exit code 0 if it is, 1 if not
    Health(health::HealthArgs),
    Doctor(doctor::DoctorArgs),
    /// Take and list backups of the index
    #[command(subcommand)]
    Backup(backup::BackupCommand),
    Restore(backup::RestoreArgs),
    /// See how the drives are
    #[command(subcommand)]
    Drives(drives::DrivesCommand),
    /// See and steer the delivery of events
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// See what lifecycle rules did, will do, and why
    #[command(subcommand)]
    Lifecycle(lifecycle::LifecycleCommand),
    /// See what scrubbing found damaged, or begin a pass now
    #[command(subcommand)]
    Scrub(scrub::ScrubCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check a configuration file without starting anything
    Check {
        /// The TOML file
        file: PathBuf,
    },
}

/// Carries out what the command line asks for. `compose` builds what `cairn serve` serves.
///
/// # Errors
/// The text for the operator.
pub fn run<C, S, B>(cli: Cli, compose: C) -> Result<(), Failure>
where
    C: AsyncFnOnce(serve::Parts) -> Result<serve::Composed<S>, Failure>,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Failure>,
    B: Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Failure>,
{
    match cli.command {
        Command::Serve(args) => serve::run(*args, compose),
        Command::Config(ConfigCommand::Check { file }) => check::run(&file),
        Command::Iam(command) => iam::run(command),
        Command::Bucket(command) => bucket::run(command),
        Command::Health(args) => health::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Backup(command) => backup::run(command),
        Command::Restore(args) => backup::restore(args),
        Command::Drives(command) => drives::run(command),
        Command::Events(command) => events::run(command),
        Command::Lifecycle(command) => lifecycle::run(command),
        Command::Scrub(command) => scrub::run(command),
    }
}

#[cfg(test)]
mod tests;
