use super::*;
use std::path::Path;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    Environment::from_pairs(pairs.iter().copied()).expect("utf-8")
}

fn load(flags: RawConfig, variables: &[(&str, &str)], file: Option<&str>) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("config.toml");
    if let Some(text) = file {
        std::fs::write(&path, text).expect("write the file");
    }
    let layers = Layers::gather(flags, &environment(variables), file.map(|_| Path::new(&path)))?;
    Config::from_layers(&layers)
}

fn flags(change: impl FnOnce(&mut RawConfig)) -> RawConfig {
    let mut flags = RawConfig::default();
    change(&mut flags);
    flags
}

const DATA: (&str, &str) = ("CAIRN_STORAGE_DATA", "/data");

#[test]
fn a_data_directory_is_all_that_must_be_said() {
    let config = load(RawConfig::default(), &[DATA], None).expect("defaults");
    assert_eq!(config.storage.data, [PathBuf::from("/data")]);
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:9000");
    assert_eq!(config.server.ops_listen.to_string(), "0.0.0.0:9001");
    assert_eq!(config.server.region, "us-east-1");
    assert_eq!(config.server.shutdown_grace_period, Duration::from_secs(30));
    assert_eq!(config.storage.block_cache_size, ByteSize::mib(512));
    assert_eq!(config.storage.chunk_size, ByteSize::mib(1));
    assert!(config.tls.is_none() && config.accounts.is_empty());

    let error = load(RawConfig::default(), &[], None).expect_err("no data directory").to_string();
    assert!(error.contains("--data") && error.contains("CAIRN_STORAGE_DATA"), "{error}");
}

#[test]
fn flags_beat_the_environment_which_beats_the_file_which_beats_the_default() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\nops_listen = \"127.0.0.1:2\"\nregion = \"file-1\"\n[storage]\ndata = [\"/file\"]\n";
    let variables = [
        ("CAIRN_SERVER_LISTEN", "127.0.0.1:3"),
        ("CAIRN_SERVER_OPS_LISTEN", "127.0.0.1:4"),
        ("CAIRN_SERVER_REGION", ""),
    ];
    let flags = flags(|flags| flags.server.listen = Some(Scalar("127.0.0.1:5".into())));
    let config = load(flags, &variables, Some(file)).expect("valid");
    assert_eq!(config.server.listen.port(), 5);
    assert_eq!(config.server.ops_listen.port(), 4);
    assert_eq!(config.server.region, "file-1", "an empty variable is not set");
    assert_eq!(config.server.max_connections, 4_096);
    assert_eq!(config.storage.data, [PathBuf::from("/file")]);
}

#[test]
fn a_list_replaces_the_weaker_list_whole() {
    let file = "[storage]\ndata = [\"/a\", \"/b\"]\n";
    let flags = flags(|flags| flags.storage.data = Some(List(vec!["/c".into()])));
    assert_eq!(load(flags, &[], Some(file)).expect("valid").storage.data, [PathBuf::from("/c")]);
    let config = load(RawConfig::default(), &[("CAIRN_STORAGE_DATA", "/d,/e")], Some(file)).expect("valid");
    assert_eq!(config.storage.data, [PathBuf::from("/d"), PathBuf::from("/e")]);
}

#[test]
fn a_refusal_names_the_key_its_author_and_what_would_be_right() {
    for (name, value, expected) in [
        ("CAIRN_SERVER_LISTEN", "9000", "0.0.0.0:9000"),
        ("CAIRN_SERVER_MAX_CONNECTIONS", "0", "from 1 to"),
        ("CAIRN_SERVER_MAX_CONNECTIONS", "many", "whole number"),
        ("CAIRN_SERVER_REGION", "US East", "us-east-1"),
        ("CAIRN_SERVER_DOMAINS", "http://s3.example.com", "no scheme"),
        ("CAIRN_SERVER_DOMAINS", "127.0.0.1", "host name"),
        ("CAIRN_SERVER_DOMAINS", "a.example,a.example", "twice"),
        ("CAIRN_SERVER_SHUTDOWN_GRACE_PERIOD", "30", "30s"),
        ("CAIRN_SERVER_MAX_HEADER_SIZE", "1KiB", "from 8KiB to 256KiB"),
        ("CAIRN_STORAGE_CHUNK_SIZE", "100KiB", "from 256KiB to 8MiB"),
        ("CAIRN_STORAGE_CHUNK_SIZE", "300KiB", "multiple of 64KiB"),
        ("CAIRN_STORAGE_DATA", "/x,/x", "twice"),
        ("CAIRN_TLS_CERT_FILE", "/cert.pem", "tls.key_file"),
        ("CAIRN_TLS_KEY_FILE", "/key.pem", "tls.cert_file"),
        ("CAIRN_LOG_FORMAT", "xml", "json"),
        ("CAIRN_LOG_LEVEL", "cairn=loud", "filter"),
    ] {
        let error = load(RawConfig::default(), &[DATA, (name, value)], None).expect_err(name).to_string();
        assert!(error.contains(name) && error.contains(expected), "{name}={value}: {error}");
    }
    let error = load(RawConfig::default(), &[], Some("[server]\nlisten = \"x\"\n")).expect_err("address").to_string();
    assert!(error.starts_with("server.listen (in ") && error.contains("config.toml"), "{error}");
}

#[test]
fn short_forms_of_addresses_and_domains_are_understood() {
    let variables = [
        DATA,
        ("CAIRN_SERVER_LISTEN", ":9100"),
        ("CAIRN_SERVER_OPS_LISTEN", "localhost:9101"),
        ("CAIRN_SERVER_DOMAINS", ".S3.Example.com"),
    ];
    let config = load(RawConfig::default(), &variables, None).expect("valid");
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:9100");
    assert_eq!(config.server.ops_listen.to_string(), "127.0.0.1:9101");
    assert_eq!(config.server.domains, ["s3.example.com"]);
}

#[test]
fn accounts_come_from_the_file_and_their_faults_name_the_table() {
    let file = "[[account]]\nid = \"555555555555\"\naccess_key_id = \"TENANTKEY\"\nsecret_access_key = \"tenant-secret-0123456789\"\n";
    let config = load(RawConfig::default(), &[DATA], Some(file)).expect("valid");
    let (account, key) = &config.accounts[0];
    assert_eq!((account.id.as_str(), key.access_key_id.as_str()), ("555555555555", "TENANTKEY"));
    assert_eq!(account.canonical_id.len(), 64);
    assert!(!format!("{config:?}").contains("tenant-secret"), "secrets stay out of debug output");

    let twice = load(RawConfig::default(), &[DATA], Some(&format!("{file}{file}"))).expect_err("twice").to_string();
    assert!(twice.contains("two accounts have the account id"), "{twice}");
    let file = format!(
        "{file}[[account]]\nid = \"12\"\naccess_key_id = \"OTHER\"\nsecret_access_key = \"long enough secret\"\n"
    );
    let error = load(RawConfig::default(), &[DATA], Some(&file)).expect_err("short id").to_string();
    assert!(error.contains("number 2") && error.contains("12 digits"), "{error}");
    let error = load(RawConfig::default(), &[DATA], Some("[[account]]\nid = \"555555555555\"\n"))
        .expect_err("no key")
        .to_string();
    assert!(error.contains("access_key_id is missing"), "{error}");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let layers =
        Layers::gather(RawConfig::default(), &Environment::default(), Some(Path::new("/nonexistent/cairn.toml")));
    assert!(layers.expect_err("missing").to_string().contains("/nonexistent/cairn.toml"));
    let error = load(RawConfig::default(), &[DATA], Some("[server\n")).expect_err("not TOML").to_string();
    assert!(error.contains("config.toml") && error.contains("line 1"), "{error}");
}

#[test]
fn the_operations_address_needs_nothing_else() {
    let layers =
        Layers::gather(RawConfig::default(), &environment(&[("CAIRN_SERVER_OPS_LISTEN", ":7")]), None).expect("layers");
    assert_eq!(Config::ops_listen(&layers).expect("address").port(), 7);
}
