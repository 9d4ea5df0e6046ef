use storage::Store;
use storage::chunks::memory::MemoryChunks;
use storage::kv::memory::MemoryKv;
use storage::store::Limits;

use super::*;
use crate::accounts::{AccessKey, Account, Accounts};
use crate::identity::{Caller, Error, NewRole, NewUser, PrincipalRef, Sealer, records::EntityKind};
use crate::outbound::oidc::OidcOptions;
use crate::rules::iam::{Context, Principal, Verdict};

const ACCOUNT: &str = "111111111111";
const NOW: Timestamp = Timestamp(1_700_000_000_000);
const HOUR_MS: i64 = 60 * 60 * 1_000;
const ALLOW_ALL: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

fn at(milliseconds: i64) -> Timestamp {
    Timestamp(NOW.0 + milliseconds)
}

fn sts(max_sessions: u32) -> Sts {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let chunks = Arc::new(MemoryChunks::with_capacity(1 << 20));
    let store = Store::new(Arc::new(MemoryKv::new()), chunks, Limits::default()).expect("threads");
    let key = |id: &str| AccessKey::new(id.to_owned(), SecretKey::new(format!("secret-of-{id}"))).expect("valid");
    let account = Account::new(Some(ACCOUNT), None, "", "").expect("valid");
    let accounts = Arc::new(Accounts::new(key("OPERATOR"), [(account, key("ROOTOFONE"))]).expect("no duplicates"));
    let identities = Identities::new(store, accounts, Sealer::new(&[7; 32]).expect("a key"));
    Sts::new(identities, OidcClient::new(&OidcOptions::default()).expect("a client"), max_sessions)
}

/// A user with all permissions.
async fn user(sts: &Sts, name: &str) -> Arc<Caller> {
    let identities = sts.identities();
    let new = NewUser { name: name.to_owned(), path: "/".to_owned(), tags: Vec::new(), boundary: None };
    identities.create_user(ACCOUNT, new, NOW).await.expect("created");
    let user = PrincipalRef { kind: EntityKind::User, name: name.to_owned() };
    identities.put_inline(ACCOUNT, &user, "all", ALLOW_ALL).await.expect("put");
    let key = identities.create_access_key(ACCOUNT, Some(name), NOW).await.expect("created");
    identities.caller(&key.key.id, None, NOW).await.expect("active")
}

async fn role(sts: &Sts, name: &str, trusted: &str) -> String {
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{{"AWS":"{trusted}"}}}}]}}"#
    );
    let new = NewRole {
        name: name.to_owned(),
        path: "/".to_owned(),
        trust,
        description: None,
        max_session_seconds: None,
        tags: Vec::new(),
        boundary: None,
    };
    sts.identities().create_role(ACCOUNT, new, NOW).await.expect("created");
    names::role_arn(ACCOUNT, "/", name)
}

async fn token(sts: &Sts, caller: &Caller, now: Timestamp) -> Result<Credentials, StsError> {
    sts.get_session_token(caller, Some(900), &Context::new(), now).await
}

#[tokio::test]
async fn credentials_work_with_their_token_until_they_expire() {
    let sts = sts(10);
    let user = user(&sts, "anna").await;
    let credentials = token(&sts, &user, NOW).await.expect("issued");
    assert_eq!(credentials.expires, at(900_000));
    let id = credentials.access_key_id.as_str();
    let shown = Some(credentials.session_token.expose());
    let identities = sts.identities();
    let secret = identities.secret_key(id).await.expect("read").expect("known");
    assert_eq!(secret.expose(), credentials.secret.expose());
    let caller = identities.caller(id, shown, at(899_999)).await.expect("valid");
    assert_eq!(caller.principal, user.principal);
    assert_eq!(caller.fact("aws:multifactorauthpresent"), Some("false"));
    let refused = |token: Option<&'static str>| async move { identities.caller(id, token, NOW).await.expect_err("no") };
    assert!(matches!(refused(None).await, Error::InvalidToken));
    assert!(matches!(refused(Some("invented")).await, Error::InvalidToken));
    assert!(matches!(identities.caller(id, shown, at(900_000)).await, Err(Error::ExpiredToken)));
}

#[tokio::test]
async fn the_sweep_removes_what_expired_a_while_ago_and_counts_the_rest() {
    let sts = sts(10);
    let user = user(&sts, "anna").await;
    let mut all = Vec::new();
    for hours in [0, 2, 4] {
        all.push(token(&sts, &user, at(hours * HOUR_MS)).await.expect("issued"));
    }
    assert_eq!(sts.sessions(), 3);
    // 15 minutes of validity and an hour of grace.
    let (mut after, mut kept, mut removed) = (None, 0, 0);
    loop {
        let swept = sts.sweep(after, at(2 * HOUR_MS), 1).await.expect("swept");
        (kept, removed, after) = (kept + swept.kept, removed + swept.removed, swept.next);
        if after.is_none() {
            break;
        }
    }
    assert_eq!((kept, removed), (2, 1));
    let known = sts.session(&all[0].access_key_id).await.expect("read");
    assert!(known.is_none());
    assert!(sts.session(&all[1].access_key_id).await.expect("read").is_some());
    let again = sts.sweep(None, at(2 * HOUR_MS), 100).await.expect("swept");
    assert_eq!(again, Swept { kept: 2, removed: 0, next: None });
}

#[tokio::test]
async fn there_are_as_many_sessions_as_there_may_be() {
    let sts = sts(2);
    let user = user(&sts, "anna").await;
    token(&sts, &user, NOW).await.expect("issued");
    token(&sts, &user, NOW).await.expect("issued");
    let error = token(&sts, &user, NOW).await.expect_err("too many");
    assert_eq!(error.code(), Some(StsCode::LimitExceeded));
    sts.note_sessions(1);
    token(&sts, &user, NOW).await.expect("there is a place again");
}

#[tokio::test]
async fn a_role_needs_its_trust_policy_whatever_its_caller_may() {
    let sts = sts(10);
    let (anna, bert) = (user(&sts, "anna").await, user(&sts, "bert").await);
    let annas = role(&sts, "annas", &anna.principal.arn().expect("a user")).await;
    let everyones = role(&sts, "everyones", ACCOUNT).await;
    let assume = |caller: Arc<Caller>, role_arn: String, seconds: Option<u32>| {
        let asked =
            super::super::AssumeRole { role_arn, session_name: "session".to_owned(), seconds, ..Default::default() };
        let sts = sts.clone();
        async move { sts.assume_role(&caller, asked, Context::new(), NOW).await }
    };
    assume(Arc::clone(&anna), annas.clone(), None).await.expect("trusted by name");
    assume(Arc::clone(&bert), everyones.clone(), None).await.expect("trusted by its account");
    let code = |error: StsError| error.code().expect("a refusal");
    let denied = assume(Arc::clone(&bert), annas, None).await.expect_err("not trusted");
    assert_eq!(code(denied), StsCode::AccessDenied);
    let longer = assume(Arc::clone(&bert), everyones.clone(), Some(3_601)).await.expect_err("an hour by default");
    assert_eq!(code(longer), StsCode::ValidationError);
    let root = sts.identities().caller("ROOTOFONE", None, NOW).await.expect("configured");
    assert_eq!(code(assume(root, everyones, None).await.expect_err("root")), StsCode::AccessDenied);
}

#[tokio::test]
async fn a_denial_can_be_decoded_by_who_may() {
    let sts = sts(10);
    let user = user(&sts, "anna").await;
    let verdict = Verdict::Denied { by: "inline no#1".to_owned() };
    let denial =
        super::super::Denial { caller: &user, action: "s3:GetObject", resource: "arn:aws:s3:::b/k", verdict: &verdict };
    let encoded = sts.identities().encode(&denial).expect("sealed");
    assert!(!encoded.contains("anna"));
    let decoded = sts.decode_authorization_message(&user, &encoded, &Context::new()).expect("decoded");
    let message: serde_json::Value = serde_json::from_str(&decoded).expect("JSON");
    assert_eq!(message["context"]["action"], "s3:GetObject");
    assert_eq!(message["explicitDeny"], true);
    let broken = sts.decode_authorization_message(&user, &encoded[1..], &Context::new()).expect_err("not ours");
    assert_eq!(broken.code(), Some(StsCode::InvalidAuthorizationMessage));
    let mut stranger = Caller::account_root(Arc::clone(&user.account), None);
    stranger.account = Arc::new(crate::accounts::Account { id: "999999999999".to_owned(), ..(*user.account).clone() });
    stranger.principal = Principal::AccountRoot { account: "999999999999".to_owned() };
    let elsewhere =
        sts.decode_authorization_message(&stranger, &encoded, &Context::new()).expect_err("another account");
    assert_eq!(elsewhere.code(), Some(StsCode::InvalidAuthorizationMessage));
}
