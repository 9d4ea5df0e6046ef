use super::Cli;
use crate::config::keys;
use clap::{CommandFactory, Parser};

fn long_help(subcommand: Option<&str>) -> String {
    let mut command = Cli::command();
    match subcommand {
        None => command.render_long_help().to_string(),
        Some(name) => command.find_subcommand_mut(name).expect("a subcommand").render_long_help().to_string(),
    }
}

#[test]
fn clap_finds_no_fault() {
    Cli::command().debug_assert();
}

#[test]
fn the_flags_that_scripts_rely_on_exist() {
    let line = "cairn serve --data a --data b --listen 127.0.0.1:1 --ops-listen 127.0.0.1:2 --domain s3.a --domain s3.b --config c.toml";
    Cli::try_parse_from(line.split(' ')).expect("accepted");
    Cli::try_parse_from(["cairn", "config", "check", "c.toml"]).expect("accepted");
    Cli::try_parse_from(["cairn", "health"]).expect("accepted");
    let error = Cli::try_parse_from(["cairn", "serve", "--lisen", "x"]).expect_err("misspelt").to_string();
    assert!(error.contains("--listen"), "{error}");
    assert_eq!(Cli::try_parse_from(["cairn"]).expect_err("nothing to do").exit_code(), 2);
}

#[test]
fn help_teaches_by_examples() {
    assert!(long_help(None).contains("cairn serve --data ./data"));
    let serve = long_help(Some("serve"));
    for part in ["CAIRN_ROOT_SECRET_ACCESS_KEY", "SIGTERM", "CAIRN_SERVER_LISTEN", "deploy/config.toml"] {
        assert!(serve.contains(part), "{part} is not in\n{serve}");
    }
}

#[test]
fn keys_that_flags_name_exist() {
    let serve = long_help(Some("serve"));
    let named: Vec<&str> = serve.split("[key: ").skip(1).filter_map(|rest| rest.split(']').next()).collect();
    assert!(named.len() >= 9, "{named:?}");
    let known: Vec<String> = keys().iter().map(ToString::to_string).collect();
    for name in named {
        assert!(known.iter().any(|key| key == name), "{name}");
    }
}
