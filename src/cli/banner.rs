//! What a server says on stdout when it is ready: enough to use it at once. Generated credentials appear here,
//! once, and never in the log.

use crate::accounts::{RootKey, RootKeyOrigin};
use crate::config::Config;
use crate::server::{Addresses, Transport};
use std::fmt::Write;
use std::net::SocketAddr;

pub(super) fn text(config: &Config, addresses: &Addresses, root: &RootKey) -> String {
    let endpoint = endpoint(addresses.s3, addresses.s3_transport);
    let operations = self::endpoint(addresses.ops, Transport::Plain);
    let mut text = format!("Cairn {} is ready.\n\n", env!("CARGO_PKG_VERSION"));
    line(&mut text, "S3", &format!("{endpoint}  (listening on {}, region {})", addresses.s3, config.server.region));
    for domain in &config.server.domains {
        line(&mut text, "", &format!("buckets also as BUCKET.{domain}"));
    }
    for domain in &config.website.domains {
        line(&mut text, "Websites", &format!("BUCKET.{domain}, on the same address"));
    }
    if let Some(websites) = addresses.websites {
        line(&mut text, "Websites", &format!("every host on {websites}"));
    }
    line(&mut text, "Operations", &format!("{operations}/_health/ready  {operations}/metrics"));
    for directory in &config.storage.data {
        line(&mut text, "Data", &directory.display().to_string());
    }
    let (source, secret) = match &root.origin {
        RootKeyOrigin::Environment => ("given in the environment".to_owned(), "…".to_owned()),
        RootKeyOrigin::File(path) => {
            let file = shell_quoted(&path.display().to_string());
            let read = format!(r#""$(sed -n 's/^secret_access_key = "\(.*\)"$/\1/p' {file})""#);
            (format!("kept in {}", path.display()), read)
        }
        RootKeyOrigin::Generated(path) => {
            let source = format!("generated now, shown only this once, kept in {}", path.display());
            (source, root.key.secret.expose().to_owned())
        }
    };
    line(&mut text, "Root key", &format!("{}  ({source})", root.key.access_key_id));
    text.push_str("\nTry it:\n");
    let steps = [
        format!("export AWS_ACCESS_KEY_ID={}", root.key.access_key_id),
        format!("export AWS_SECRET_ACCESS_KEY={secret}"),
        format!("export AWS_DEFAULT_REGION={}", config.server.region),
        format!("aws --endpoint-url {endpoint} s3 mb s3://first-bucket"),
        format!("aws --endpoint-url {endpoint} s3 ls"),
    ];
    for step in steps {
        text.push_str("  ");
        text.push_str(&step);
        text.push('\n');
    }
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  {name:<11} {value}");
}

/// An endpoint that works on this machine: a client cannot connect to "every address".
fn endpoint(address: SocketAddr, transport: Transport) -> String {
    let scheme = match transport {
        Transport::Plain => "http",
        Transport::Tls => "https",
    };
    if address.ip().is_unspecified() || address.ip().is_loopback() {
        format!("{scheme}://localhost:{}", address.port())
    } else {
        format!("{scheme}://{address}")
    }
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{AccessKey, SecretKey};
    use crate::config::{Environment, Layers, RawConfig};
    use std::path::PathBuf;

    fn banner(origin: RootKeyOrigin) -> String {
        let environment = Environment::from_pairs([("CAIRN_STORAGE_DATA", "/a,/b")]).expect("utf-8");
        let layers = Layers::gather(RawConfig::default(), &environment, None).expect("layers");
        let config = Config::from_layers(&layers).expect("valid");
        let addresses = Addresses {
            s3: config.server.listen,
            s3_transport: Transport::Plain,
            websites: config.website.listen,
            ops: config.server.ops_listen,
        };
        let key = AccessKey::new("AKIAEXAMPLE".to_owned(), SecretKey::new("the-secret-itself")).expect("valid");
        text(&config, &addresses, &RootKey { key, origin })
    }

    #[test]
    fn a_generated_secret_is_shown_and_any_other_is_not() {
        let file = PathBuf::from("/a/root-credentials.toml");
        let generated = banner(RootKeyOrigin::Generated(file.clone()));
        assert!(generated.contains("export AWS_SECRET_ACCESS_KEY=the-secret-itself\n"), "{generated}");
        for origin in [RootKeyOrigin::Environment, RootKeyOrigin::File(file)] {
            let text = banner(origin);
            assert!(!text.contains("the-secret-itself"), "{text}");
        }
    }

    #[test]
    fn it_says_where_everything_is() {
        let text = banner(RootKeyOrigin::Environment);
        for part in
            ["http://localhost:9000", "us-east-1", "http://localhost:9001/metrics", " /a\n", " /b\n", "AKIAEXAMPLE"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
