//! Identities on a store in memory.

use std::sync::Arc;

use storage::Store;
use storage::chunks::memory::MemoryChunks;
use storage::kv::memory::MemoryKv;
use storage::store::Limits;
use storage::types::Timestamp;

use super::records::{EntityKind, KeyStatus, SessionOf, SessionRecord};
use super::*;
use crate::accounts::{AccessKey as ConfiguredKey, Account, SecretKey};
use crate::rules::iam::Principal;

const ACCOUNT: &str = "111111111111";
const OTHER: &str = "222222222222";
const NOW: Timestamp = Timestamp(1_700_000_000_000);
const ALLOW_ALL: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"111111111111"}}]}"#;
const S3_FULL: &str = "arn:aws:iam::aws:policy/AmazonS3FullAccess";

fn store() -> Arc<Store> {
    let chunks = Arc::new(MemoryChunks::with_capacity(1 << 20));
    Store::new(Arc::new(MemoryKv::new()), chunks, Limits::default()).expect("threads")
}

fn over(store: Arc<Store>) -> Identities {
    let key = |id: &str| ConfiguredKey::new(id.to_owned(), SecretKey::new(format!("secret-of-{id}"))).expect("valid");
    let account = |id: &str| Account::new(Some(id), None, "", "").expect("valid");
    let configured = [(account(ACCOUNT), key("ROOTOFONE")), (account(OTHER), key("ROOTOFTWO"))];
    let accounts = Arc::new(Accounts::new(key("OPERATOR"), configured).expect("no duplicates"));
    Identities::new(store, accounts, Sealer::new(&[7; SERVER_KEY_BYTES]).expect("a key"))
}

fn identities() -> Identities {
    over(store())
}

fn new_user(name: &str) -> NewUser {
    NewUser { name: name.to_owned(), path: "/".to_owned(), tags: Vec::new(), boundary: None }
}

fn user_ref(name: &str) -> PrincipalRef {
    PrincipalRef { kind: EntityKind::User, name: name.to_owned() }
}

fn whole() -> PageRequest {
    PageRequest { after: None, limit: usize::MAX }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T>, code: Code) {
    assert_eq!(outcome.expect_err("refused").code(), Some(code));
}

#[tokio::test]
async fn a_user_is_found_in_any_case_and_only_in_its_account() {
    let identities = identities();
    let user = identities.create_user(ACCOUNT, new_user("Alice"), NOW).await.expect("created");
    assert_eq!(identities.user(ACCOUNT, "aLICE").await.expect("found"), user);
    refused(identities.create_user(ACCOUNT, new_user("ALICE"), NOW).await, Code::EntityAlreadyExists);
    refused(identities.user(OTHER, "Alice").await, Code::NoSuchEntity);
    identities.create_user(OTHER, new_user("alice"), NOW).await.expect("another account's");
    identities.delete_user(ACCOUNT, "alice").await.expect("deleted");
    refused(identities.user(ACCOUNT, "Alice").await, Code::NoSuchEntity);
    let again = identities.create_user(ACCOUNT, new_user("Alice"), NOW).await.expect("created");
    assert_ne!(again.id, user.id, "ids are never used again");
}

#[tokio::test]
async fn a_key_signs_until_it_is_deactivated_deleted_or_its_user_is_gone() {
    let identities = identities();
    identities.create_user(ACCOUNT, new_user("alice"), NOW).await.expect("created");
    let new = identities.create_access_key(ACCOUNT, Some("alice"), NOW).await.expect("a key");
    let id = new.key.id.as_str();
    let secret = async || identities.secret_key(id).await.expect("read").map(|secret| secret.expose().to_owned());
    assert_eq!(secret().await.as_deref(), Some(new.secret.expose()));
    assert_eq!(secret().await.as_deref(), Some(new.secret.expose()), "from the cache as from the store");
    identities.set_access_key_status(ACCOUNT, Some("alice"), id, KeyStatus::Inactive).await.expect("deactivated");
    assert_eq!(secret().await, None);
    identities.set_access_key_status(ACCOUNT, Some("alice"), id, KeyStatus::Active).await.expect("activated");
    assert!(secret().await.is_some());
    identities.delete_access_key(ACCOUNT, Some("alice"), id).await.expect("deleted");
    assert_eq!(secret().await, None);
    assert!(matches!(identities.caller(id, None, NOW).await, Err(Error::InvalidAccessKeyId)));
    refused(identities.delete_access_key(ACCOUNT, Some("alice"), id).await, Code::NoSuchEntity);
}

#[tokio::test]
async fn a_caller_is_its_user_with_all_its_policies_as_they_are_now() {
    let identities = identities();
    identities.create_user(ACCOUNT, new_user("alice"), NOW).await.expect("created");
    let key = identities.create_access_key(ACCOUNT, Some("alice"), NOW).await.expect("a key").key.id;
    let names = async || {
        let caller = identities.caller(&key, None, NOW).await.expect("known");
        caller.policies.all().map(|named| named.name.clone()).collect::<Vec<_>>()
    };
    assert!(names().await.is_empty());
    identities.put_inline(ACCOUNT, &user_ref("alice"), "own", ALLOW_ALL).await.expect("put");
    identities.attach(ACCOUNT, &user_ref("alice"), S3_FULL).await.expect("attached");
    let group = NewGroup { name: "team".to_owned(), path: "/".to_owned() };
    identities.create_group(ACCOUNT, group, NOW).await.expect("created");
    let team = PrincipalRef { kind: EntityKind::Group, name: "team".to_owned() };
    identities.put_inline(ACCOUNT, &team, "shared", ALLOW_ALL).await.expect("put");
    identities.add_to_group(ACCOUNT, "team", "alice").await.expect("added");
    identities.set_boundary(ACCOUNT, &user_ref("alice"), Some(S3_FULL)).await.expect("bounded");
    assert_eq!(names().await, ["inline own", S3_FULL, "inline shared of group team", S3_FULL]);

    identities.update_user(ACCOUNT, "alice", Some("bob"), Some("/moved/")).await.expect("renamed");
    let caller = identities.caller(&key, None, NOW).await.expect("known");
    let Principal::User { arn, .. } = &caller.principal else { panic!("{:?}", caller.principal) };
    assert_eq!(arn, "arn:aws:iam::111111111111:user/moved/bob");
    assert_eq!(caller.fact("aws:username"), Some("bob"));
    identities.remove_from_group(ACCOUNT, "team", "bob").await.expect("removed");
    assert_eq!(names().await, ["inline own", S3_FULL, S3_FULL]);
}

#[tokio::test]
async fn root_can_have_another_key_and_void_the_configured_one() {
    let store = store();
    let identities = over(Arc::clone(&store));
    let new = identities.create_access_key(ACCOUNT, None, NOW).await.expect("a key");
    let caller = identities.caller(&new.key.id, None, NOW).await.expect("known");
    assert!(caller.is_root_of(ACCOUNT) && !caller.is_root_of(OTHER));
    let listed = identities.access_keys(ACCOUNT, None, &whole()).await.expect("listed");
    assert_eq!(listed.items.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), [new.key.id.as_str(), "ROOTOFONE"]);
    identities.delete_access_key(ACCOUNT, None, "ROOTOFONE").await.expect("deleted");
    assert!(identities.secret_key("ROOTOFONE").await.expect("read").is_none());
    // Durable: the next start has the same configuration.
    let restarted = over(store);
    assert!(restarted.secret_key("ROOTOFONE").await.expect("read").is_none());
    assert_eq!(
        restarted.secret_key(&new.key.id).await.expect("read").map(|secret| secret.expose().to_owned()).as_deref(),
        Some(new.secret.expose())
    );
    refused(restarted.delete_access_key(OTHER, None, &new.key.id).await, Code::NoSuchEntity);
    assert!(restarted.caller("OPERATOR", None, NOW).await.expect("known").is_root_of(ACCOUNT));
}

#[tokio::test]
async fn secrets_are_sealed_in_the_store() {
    let store = store();
    let identities = over(Arc::clone(&store));
    identities.create_user(ACCOUNT, new_user("alice"), NOW).await.expect("created");
    let new = identities.create_access_key(ACCOUNT, Some("alice"), NOW).await.expect("a key");
    let rows = store.identities(Vec::new(), None, 1_000).await.expect("read");
    assert!(rows.len() >= 3);
    let secret = new.secret.expose().as_bytes();
    assert!(!rows.iter().any(|(_, value)| value.windows(secret.len()).any(|part| part == secret)));
    assert!(!format!("{new:?}").contains(new.secret.expose()));
}

#[tokio::test]
async fn nothing_is_deleted_that_something_depends_on() {
    let identities = identities();
    identities.create_user(ACCOUNT, new_user("alice"), NOW).await.expect("created");
    let alice = user_ref("alice");
    let policy = NewPolicy {
        name: "p".to_owned(),
        path: "/".to_owned(),
        document: ALLOW_ALL.to_owned(),
        description: None,
        tags: Vec::new(),
    };
    let arn = identities.create_policy(ACCOUNT, policy.clone(), NOW).await.expect("created").arn;
    refused(identities.create_policy(ACCOUNT, policy, NOW).await, Code::EntityAlreadyExists);
    identities.attach(ACCOUNT, &alice, &arn).await.expect("attached");
    refused(identities.delete_user(ACCOUNT, "alice").await, Code::DeleteConflict);
    refused(identities.delete_policy(ACCOUNT, &arn).await, Code::DeleteConflict);
    identities.detach(ACCOUNT, &alice, &arn).await.expect("detached");
    refused(identities.detach(ACCOUNT, &alice, &arn).await, Code::NoSuchEntity);
    identities.set_boundary(ACCOUNT, &alice, Some(&arn)).await.expect("bounded");
    refused(identities.delete_policy(ACCOUNT, &arn).await, Code::DeleteConflict);
    let version = identities.create_policy_version(ACCOUNT, &arn, ALLOW_ALL, true, NOW).await.expect("a version");
    assert_eq!(version.version.number, 2);
    refused(identities.delete_policy_version(ACCOUNT, &arn, 2, NOW).await, Code::DeleteConflict);
    identities.set_boundary(ACCOUNT, &alice, None).await.expect("unbounded");
    refused(identities.delete_policy(ACCOUNT, &arn).await, Code::DeleteConflict);
    identities.delete_policy_version(ACCOUNT, &arn, 1, NOW).await.expect("deleted");
    identities.delete_policy(ACCOUNT, &arn).await.expect("deleted");
    refused(identities.attach(ACCOUNT, &alice, &arn).await, Code::NoSuchEntity);
    let group = NewGroup { name: "team".to_owned(), path: "/".to_owned() };
    identities.create_group(ACCOUNT, group, NOW).await.expect("created");
    identities.add_to_group(ACCOUNT, "team", "alice").await.expect("added");
    refused(identities.delete_group(ACCOUNT, "team").await, Code::DeleteConflict);
    refused(identities.delete_user(ACCOUNT, "alice").await, Code::DeleteConflict);
    identities.remove_from_group(ACCOUNT, "team", "alice").await.expect("removed");
    identities.delete_group(ACCOUNT, "team").await.expect("deleted");
    identities.delete_user(ACCOUNT, "alice").await.expect("deleted");
    let summary = identities.summary(ACCOUNT).await.expect("read");
    let count = |name: &str| summary.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    assert_eq!((count("Users"), count("Groups"), count("Policies")), (Some(0), Some(0), Some(0)));
}

#[tokio::test]
async fn quotas_hold_and_count_characters_without_white_space() {
    let identities = identities();
    identities.create_user(ACCOUNT, new_user("alice"), NOW).await.expect("created");
    let alice = user_ref("alice");
    for _ in 0..2 {
        identities.create_access_key(ACCOUNT, Some("alice"), NOW).await.expect("a key");
    }
    refused(identities.create_access_key(ACCOUNT, Some("alice"), NOW).await, Code::LimitExceeded);
    let spacious = ALLOW_ALL.replace(',', &format!(",{}", " ".repeat(3_000)));
    identities.put_inline(ACCOUNT, &alice, "spacious", &spacious).await.expect("white space does not count");
    assert!(identities.inline(ACCOUNT, &alice, "spacious").await.expect("read").len() < 2_048);
    let long = ALLOW_ALL.replace("\"Resource\":\"*\"", &format!("\"Resource\":\"arn:aws:s3:::{}\"", "x".repeat(2_000)));
    refused(identities.put_inline(ACCOUNT, &alice, "long", &long).await, Code::LimitExceeded);
    refused(identities.put_inline(ACCOUNT, &alice, "broken", "{").await, Code::MalformedPolicyDocument);
    for number in 0..10 {
        let new = NewPolicy {
            name: format!("p{number}"),
            path: "/".to_owned(),
            document: ALLOW_ALL.to_owned(),
            description: None,
            tags: Vec::new(),
        };
        let arn = identities.create_policy(ACCOUNT, new, NOW).await.expect("created").arn;
        identities.attach(ACCOUNT, &alice, &arn).await.expect("attached");
    }
    refused(identities.attach(ACCOUNT, &alice, S3_FULL).await, Code::LimitExceeded);
}

#[tokio::test]
async fn many_changes_at_once_all_count() {
    let identities = identities();
    let creating = (0..24).map(|number| {
        let identities = identities.clone();
        tokio::spawn(async move { identities.create_user(ACCOUNT, new_user(&format!("u{number}")), NOW).await })
    });
    for created in creating.collect::<Vec<_>>() {
        created.await.expect("no panic").expect("created");
    }
    let summary = identities.summary(ACCOUNT).await.expect("read");
    assert!(summary.0.contains(&("Users", 24)));
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = PageRequest { after: after.take(), limit: 7 };
        let page = identities.users(ACCOUNT, "/", &page).await.expect("listed");
        names.extend(page.items.into_iter().map(|user| user.name));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut expected: Vec<_> = (0..24).map(|number| format!("u{number}")).collect();
    expected.sort();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_roles_sessions_last_between_one_hour_and_twelve() {
    let identities = identities();
    let new = |seconds| NewRole {
        name: "r".to_owned(),
        path: "/".to_owned(),
        trust: TRUST.to_owned(),
        description: None,
        max_session_seconds: seconds,
        tags: Vec::new(),
        boundary: None,
    };
    for seconds in [0, 3_599, 43_201] {
        refused(identities.create_role(ACCOUNT, new(Some(seconds)), NOW).await, Code::ValidationError);
    }
    let role = identities.create_role(ACCOUNT, new(None), NOW).await.expect("created");
    assert_eq!(role.max_session_seconds, 3_600);
    let update = |seconds| RoleUpdate { max_session_seconds: Some(seconds), ..RoleUpdate::default() };
    refused(identities.update_role(ACCOUNT, "r", update(60)).await, Code::ValidationError);
    let role = identities.update_role(ACCOUNT, "R", update(43_200)).await.expect("updated");
    assert_eq!(role.max_session_seconds, 43_200);
    let trust = RoleUpdate { trust: Some(ALLOW_ALL.to_owned()), ..RoleUpdate::default() };
    refused(identities.update_role(ACCOUNT, "r", trust).await, Code::MalformedPolicyDocument);
}

#[tokio::test]
async fn a_session_needs_its_token_and_dies_with_its_role() {
    use sha2::{Digest, Sha256};

    let identities = identities();
    let new = NewRole {
        name: "reader".to_owned(),
        path: "/".to_owned(),
        trust: TRUST.to_owned(),
        description: None,
        max_session_seconds: None,
        tags: vec![("team".to_owned(), "of the role".to_owned())],
        boundary: None,
    };
    let role = identities.create_role(ACCOUNT, new, NOW).await.expect("created");
    let row = rows::session("ASIATEST");
    let record = SessionRecord {
        account: ACCOUNT.to_owned(),
        of: SessionOf::Role { role_id: role.id.clone(), session_name: "s".to_owned() },
        secret: identities.sealer().seal("temporary", &row).expect("sealed"),
        token_sha256: Sha256::digest(b"token").into(),
        issued: NOW,
        expires: Timestamp(NOW.0 + 1_000),
        policy: Some(ALLOW_ALL.to_owned()),
        policy_arns: Vec::new(),
        tags: vec![("Team".to_owned(), "of the session".to_owned())],
        transitive_tags: Vec::new(),
        source_identity: None,
        facts: Vec::new(),
    };
    let mut transaction = identities.begin();
    transaction.put(row, &record).expect("small");
    assert!(transaction.commit_addition().await.expect("committed"));

    let caller = identities.caller("ASIATEST", Some("token"), NOW).await.expect("known");
    let Principal::AssumedRole { session_arn, .. } = &caller.principal else { panic!("{:?}", caller.principal) };
    assert_eq!(session_arn, "arn:aws:sts::111111111111:assumed-role/reader/s");
    assert_eq!(caller.fact("aws:principaltag/team"), Some("of the session"));
    assert_eq!(caller.fact("aws:tokenissuetime"), Some("2023-11-14T22:13:20Z"));
    assert_eq!(caller.policies.session.as_ref().map(Vec::len), Some(1));
    assert!(matches!(identities.caller("ASIATEST", None, NOW).await, Err(Error::InvalidToken)));
    assert!(matches!(identities.caller("ASIATEST", Some("tokem"), NOW).await, Err(Error::InvalidToken)));
    assert!(matches!(identities.caller("ROOTOFONE", Some("token"), NOW).await, Err(Error::InvalidToken)));
    let late = Timestamp(NOW.0 + 1_000);
    assert!(matches!(identities.caller("ASIATEST", Some("token"), late).await, Err(Error::ExpiredToken)));
    identities.delete_role(ACCOUNT, "reader").await.expect("deleted");
    assert!(matches!(identities.caller("ASIATEST", Some("token"), NOW).await, Err(Error::InvalidAccessKeyId)));
}

#[tokio::test]
async fn the_use_of_a_key_is_noted() {
    let identities = identities();
    identities.create_user(ACCOUNT, new_user("alice"), NOW).await.expect("created");
    let id = identities.create_access_key(ACCOUNT, Some("alice"), NOW).await.expect("a key").key.id;
    identities.caller(&id, None, NOW).await.expect("known");
    identities.note_use(&id, NOW, || Some(("eu-west-1".into(), "s3".into()))).await;
    identities.note_use(&id, Timestamp(NOW.0 + 1), || Some(("us-east-1".into(), "iam".into()))).await;
    let (user, used) = identities.access_key_last_used(ACCOUNT, &id).await.expect("read").expect("known");
    let used = used.expect("noted");
    assert_eq!((user.as_deref(), used.service.as_str(), used.used), (Some("alice"), "s3", NOW));
    assert!(identities.access_key_last_used(OTHER, &id).await.expect("read").is_none());
}

#[tokio::test]
async fn aliases_are_one_accounts() {
    let identities = identities();
    identities.create_alias(ACCOUNT, "first").await.expect("created");
    refused(identities.create_alias(OTHER, "first").await, Code::EntityAlreadyExists);
    identities.create_alias(ACCOUNT, "second").await.expect("replaced");
    identities.create_alias(OTHER, "first").await.expect("free again");
    refused(identities.delete_alias(ACCOUNT, "first").await, Code::NoSuchEntity);
    identities.delete_alias(ACCOUNT, "second").await.expect("deleted");
    assert_eq!(identities.alias(ACCOUNT).await.expect("read"), None);
    refused(identities.create_alias(ACCOUNT, "Not-Lower").await, Code::ValidationError);
}
