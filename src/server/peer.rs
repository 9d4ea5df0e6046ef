//! Who is at the other end of a connection.

use std::net::SocketAddr;

/// The other end of a connection; the S3 listener puts it into the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Address and port; an IPv4 client of an IPv6 socket appears as IPv4.
    pub address: SocketAddr,
    /// What the bytes travelled in.
    pub transport: Transport,
    /// The version of TLS that was agreed upon, `1.2` or `1.3`; `None` without TLS.
    pub tls_version: Option<&'static str>,
    /// The cipher suite that was agreed upon, as the standards name it; `None` without TLS.
    pub cipher_suite: Option<&'static str>,
    /// Which listener it came to.
    pub entrance: Entrance,
}

/// What a connection's bytes travel in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Plain,
    Tls,
}

/// The listeners of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// For S3, and for websites that a host names.
    S3,
    /// For websites alone.
    Websites,
}

impl Peer {
    /// The peer of an accepted socket.
    #[must_use]
    pub fn new(address: SocketAddr, transport: Transport, entrance: Entrance) -> Self {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        Self { address, transport, tls_version: None, cipher_suite: None, entrance }
    }

    /// Whether the connection is encrypted; customer-provided keys (SSE-C) are accepted on such connections only.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.transport == Transport::Tls
    }
}
