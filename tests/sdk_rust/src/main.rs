//! What Terraform and other programs do through the AWS SDK for Rust: users, groups, policies, roles and sessions are
//! made, and may do what they are allowed. Each claim is an assertion; the first that does not hold ends the program.
//!
//! `sdk_rust ENDPOINT ACCESS_KEY_ID SECRET_ACCESS_KEY`, the credentials being those of an account's root.

use std::fmt::Debug;

use aws_credential_types::Credentials;
use aws_sdk_iam::types::{AccessKey, PolicyEvaluationDecisionType, Tag};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;

const BUCKET: &str = "sdk-for-rust";
const READ_ONLY: &str = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";

/// Clients of one caller.
struct Clients {
    iam: aws_sdk_iam::Client,
    s3: aws_sdk_s3::Client,
    sts: aws_sdk_sts::Client,
}

impl Clients {
    fn new(endpoint: &str, credentials: Credentials) -> Self {
        let http = aws_smithy_http_client::Builder::new().build_http();
        macro_rules! client {
            ($service:ident) => {
                $service::Client::from_conf(
                    $service::Config::builder()
                        .behavior_version_latest()
                        .http_client(http.clone())
                        .region($service::config::Region::new("us-east-1"))
                        .endpoint_url(endpoint)
                        .credentials_provider(credentials.clone())
                        .retry_config($service::config::retry::RetryConfig::disabled())
                        .build(),
                )
            };
        }
        let s3 = client!(aws_sdk_s3);
        let s3 = aws_sdk_s3::Client::from_conf(s3.config().to_builder().force_path_style(true).build());
        Self { iam: client!(aws_sdk_iam), s3, sts: client!(aws_sdk_sts) }
    }

    fn of_key(endpoint: &str, key: &AccessKey) -> Self {
        Self::new(endpoint, Credentials::new(key.access_key_id(), key.secret_access_key(), None, None, "user"))
    }

    async fn put(&self, key: &str) -> Result<(), String> {
        let body = ByteStream::from_static(b"content");
        let sent = self.s3.put_object().bucket(BUCKET).key(key).body(body).send().await;
        sent.map(drop).map_err(|error| code(&error))
    }

    async fn get(&self, key: &str) -> Result<Vec<u8>, String> {
        let answer = self.s3.get_object().bucket(BUCKET).key(key).send().await.map_err(|error| code(&error))?;
        Ok(answer.body.collect().await.expect("the whole body").to_vec())
    }
}

/// The error's code as the server said it.
fn code<E: ProvideErrorMetadata + Debug, R: Debug>(error: &SdkError<E, R>) -> String {
    error.as_service_error().and_then(|error| error.code()).unwrap_or_else(|| panic!("{error:?}")).to_owned()
}

fn policy(statement: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#)
}

fn allow(action: &str, resource: &str) -> String {
    policy(&format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}"#))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, id, secret] = arguments.as_slice() else { panic!("ENDPOINT ACCESS_KEY_ID SECRET_ACCESS_KEY") };
    let root = Clients::new(endpoint, Credentials::new(id, secret, None, None, "root"));
    root.s3.create_bucket().bucket(BUCKET).send().await.expect("a bucket");
    let key = users_and_policies(&root, endpoint).await;
    groups(&root, endpoint, &key).await;
    managed_policies(&root).await;
    roles(&root, endpoint, &key).await;
    the_end_of_a_user(&root, endpoint, &key).await;
    println!("the AWS SDK for Rust: every claim holds");
}

async fn users_and_policies(root: &Clients, endpoint: &str) -> AccessKey {
    let tag = Tag::builder().key("team").value("ä + b").build().expect("a tag");
    let made = root.iam.create_user().user_name("anna").path("/team/").tags(tag).send().await.expect("a user");
    let anna = made.user().expect("described");
    assert!(anna.user_id().starts_with("AIDA") && anna.arn().ends_with(":user/team/anna"), "{anna:?}");
    let again = root.iam.create_user().user_name("Anna").send().await.expect_err("taken");
    assert!(again.into_service_error().is_entity_already_exists_exception());
    let missing = root.iam.get_user().user_name("nobody").send().await.expect_err("none");
    assert!(missing.into_service_error().is_no_such_entity_exception());

    let key = root.iam.create_access_key().user_name("anna").send().await.expect("a key");
    let key = key.access_key().expect("described").clone();
    let anna = Clients::of_key(endpoint, &key);
    let who = anna.sts.get_caller_identity().send().await.expect("oneself");
    assert!(who.arn().expect("an ARN").ends_with(":user/team/anna"));
    assert_eq!(anna.put("home/anna/k").await.expect_err("no policy yet"), "AccessDenied");
    let home = allow("s3:PutObject", &format!("arn:aws:s3:::{BUCKET}/home/${{aws:username}}/*"));
    let put = root.iam.put_user_policy().user_name("anna").policy_name("home").policy_document(home);
    put.send().await.expect("a policy");
    anna.put("home/anna/k").await.expect("allowed");
    anna.put("home/bert/k").await.expect_err("not allowed");
    let simulated = root.iam.simulate_principal_policy().policy_source_arn(who.arn().expect("an ARN"));
    let simulated = simulated.action_names("s3:GetObject").resource_arns(format!("arn:aws:s3:::{BUCKET}/k"));
    let simulated = simulated.send().await.expect("simulated");
    let decision = simulated.evaluation_results().first().expect("one result").eval_decision();
    assert_eq!(*decision, PolicyEvaluationDecisionType::ImplicitDeny);
    key
}

async fn groups(root: &Clients, endpoint: &str, key: &AccessKey) {
    let anna = Clients::of_key(endpoint, key);
    root.iam.create_group().group_name("readers").send().await.expect("a group");
    root.iam.add_user_to_group().group_name("readers").user_name("anna").send().await.expect("a member");
    root.iam.attach_group_policy().group_name("readers").policy_arn(READ_ONLY).send().await.expect("attached");
    assert_eq!(anna.get("home/anna/k").await.expect("by her group"), b"content");
    root.iam.remove_user_from_group().group_name("readers").user_name("anna").send().await.expect("no member");
    assert_eq!(anna.get("home/anna/k").await.expect_err("no longer"), "AccessDenied");
    let conflict = root.iam.delete_group().group_name("readers").send().await.expect_err("it has a policy");
    assert!(conflict.into_service_error().is_delete_conflict_exception());
    root.iam.detach_group_policy().group_name("readers").policy_arn(READ_ONLY).send().await.expect("detached");
    root.iam.delete_group().group_name("readers").send().await.expect("deleted");
}

async fn managed_policies(root: &Clients) {
    let made = root.iam.create_policy().policy_name("reads").policy_document(allow("s3:GetObject", "*"));
    let arn = made.send().await.expect("a policy").policy().expect("described").arn().expect("an ARN").to_owned();
    let version = root.iam.create_policy_version().policy_arn(&arn).policy_document(allow("s3:Get*", "*"));
    version.set_as_default(true).send().await.expect("a version");
    let versions = root.iam.list_policy_versions().policy_arn(&arn).send().await.expect("listed");
    let ids: Vec<_> = versions.versions().iter().filter_map(|version| version.version_id()).collect();
    assert_eq!(ids, ["v2", "v1"]);
    root.iam.attach_user_policy().user_name("anna").policy_arn(&arn).send().await.expect("attached");
    let mut pages = root.iam.list_attached_user_policies().user_name("anna").into_paginator().items().send();
    let attached = pages.next().await.expect("one").expect("listed");
    assert_eq!(attached.policy_arn(), Some(arn.as_str()));
    let malformed = root.iam.create_policy().policy_name("wrong").policy_document("{}").send().await;
    assert!(malformed.expect_err("refused").into_service_error().is_malformed_policy_document_exception());
    root.iam.detach_user_policy().user_name("anna").policy_arn(&arn).send().await.expect("detached");
    root.iam.delete_policy_version().policy_arn(&arn).version_id("v1").send().await.expect("deleted");
    root.iam.delete_policy().policy_arn(&arn).send().await.expect("deleted");
}

async fn roles(root: &Clients, endpoint: &str, key: &AccessKey) {
    let anna = Clients::of_key(endpoint, key);
    let arn = anna.sts.get_caller_identity().send().await.expect("oneself").arn().expect("an ARN").to_owned();
    let trust = policy(&format!(r#"{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{{"AWS":"{arn}"}}}}"#));
    let made = root.iam.create_role().role_name("reader").assume_role_policy_document(trust).send().await;
    let role = made.expect("a role").role().expect("described").arn().to_owned();
    let document = allow("s3:GetObject", &format!("arn:aws:s3:::{BUCKET}/*"));
    let put = root.iam.put_role_policy().role_name("reader").policy_name("reads").policy_document(document);
    put.send().await.expect("a policy");
    let assumed = anna.sts.assume_role().role_arn(&role).role_session_name("session").send().await.expect("assumed");
    let given = assumed.credentials().expect("credentials");
    let token = Some(given.session_token().to_owned());
    let credentials = Credentials::new(given.access_key_id(), given.secret_access_key(), token, None, "session");
    let session = Clients::new(endpoint, credentials);
    let who = session.sts.get_caller_identity().send().await.expect("oneself");
    assert!(who.arn().expect("an ARN").ends_with(":assumed-role/reader/session"));
    assert_eq!(session.get("home/anna/k").await.expect("the role may"), b"content");
    assert_eq!(session.put("home/anna/k").await.expect_err("the role may not"), "AccessDenied");
    let chained = session.sts.assume_role().role_arn(&role).role_session_name("again").send().await;
    assert_eq!(code(&chained.expect_err("it trusts anna alone")), "AccessDenied");
    root.iam.delete_role_policy().role_name("reader").policy_name("reads").send().await.expect("deleted");
    root.iam.delete_role().role_name("reader").send().await.expect("deleted");
    session.get("home/anna/k").await.expect_err("a session ends with its role");
}

async fn the_end_of_a_user(root: &Clients, endpoint: &str, key: &AccessKey) {
    let anna = Clients::of_key(endpoint, key);
    let conflict = root.iam.delete_user().user_name("anna").send().await.expect_err("she has a key");
    assert!(conflict.into_service_error().is_delete_conflict_exception());
    let delete = root.iam.delete_access_key().user_name("anna").access_key_id(key.access_key_id());
    delete.send().await.expect("deleted");
    assert_eq!(anna.put("home/anna/k").await.expect_err("at once"), "InvalidAccessKeyId");
    root.iam.delete_user_policy().user_name("anna").policy_name("home").send().await.expect("deleted");
    root.iam.delete_user().user_name("anna").send().await.expect("deleted");
    let users = root.iam.list_users().path_prefix("/team/").send().await.expect("listed");
    assert!(users.users().is_empty());
}
