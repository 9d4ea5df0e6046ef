//! `cairn health`: the probe of container images, which have no curl.

#![allow(clippy::doc_markdown, reason = "doc comments on flags are help texts for terminals")]

use super::Failure;
use crate::config::{Config, Environment, Layers, RawConfig, Scalar};
use clap::Args;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

/// Probes usually give up after a few seconds themselves.
const TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// The server's operations address, if it is not the configured one [key: server.ops_listen]
    #[arg(long, value_name = "ADDR")]
    ops_listen: Option<String>,
    /// The server's configuration file
    #[arg(long, value_name = "FILE", env = "CAIRN_CONFIG")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: HealthArgs) -> Result<(), Failure> {
    let mut flags = RawConfig::default();
    flags.server.ops_listen = args.ops_listen.map(Scalar);
    let layers = Layers::gather(flags, &Environment::of_process()?, args.config.as_deref())?;
    let address = reachable(Config::ops_listen(&layers)?);
    let status = ask(address).map_err(|error| format!("no answer from {address}: {error}"))?;
    if status == 200 { Ok(()) } else { Err(format!("{address} answers {status}: not ready").into()) }
}

/// Where to reach a server that listens on `address`: "every address" is no destination.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// One request, small enough to be written by hand, which spares this command a runtime and an HTTP client.
fn ask(address: SocketAddr) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // One write, one packet: formatting straight into the socket would send a packet for each piece.
    let request = format!("GET /_health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(4_096).read_to_string(&mut answer)?;
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    status.ok_or_else(|| std::io::Error::other("that is no HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn every_address_is_asked_at_loopback() {
        for (listening, asked) in
            [("0.0.0.0:9001", "127.0.0.1:9001"), ("[::]:9001", "[::1]:9001"), ("10.0.0.1:9001", "10.0.0.1:9001")]
        {
            let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
            assert_eq!(reachable(address(listening)), address(asked));
        }
    }

    #[test]
    fn the_status_is_read_from_the_answer() {
        let answer_with = |answer: &'static str| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
            let address = listener.local_addr().expect("bound");
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut request = [0; 1_024];
                let _ = stream.read(&mut request).expect("a request");
                stream.write_all(answer.as_bytes()).expect("a reader");
            });
            let status = ask(address);
            server.join().expect("no panic");
            status
        };
        assert_eq!(answer_with("HTTP/1.1 503 Service Unavailable\r\n\r\n").expect("HTTP"), 503);
        assert!(answer_with("220 mail.example.com ESMTP\r\n").is_err());
    }
}
