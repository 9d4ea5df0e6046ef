//! Who may do what, and what is refused before it can do harm.

use super::*;

#[tokio::test]
async fn anonymous_requests_are_refused() {
    let server = Server::new().await;
    server.raw(get("/bucket").unsigned()).await.refused(403, "AccessDenied");
    server.raw(put("/bucket/k").body("data").unsigned()).await.refused(403, "AccessDenied");
    server.raw(get("/bucket/k?response-content-type=text/html").unsigned()).await.refused(400, "InvalidRequest");
    server.raw(get("//").unsigned()).await.refused(403, "AccessDenied");
}

#[tokio::test]
async fn signatures_must_be_right_and_cover_the_host() {
    let server = Server::new().await;
    server.raw(get("/bucket").signed("NOBODY")).await.refused(403, "InvalidAccessKeyId");
    let mut altered = get("/bucket").signed(OWNER);
    *altered.uri_mut() = "/other-bucket".parse().expect("a target");
    server.raw(altered).await.refused(403, "SignatureDoesNotMatch");
    let mut hostless = get("/bucket");
    hostless.signs_host = false;
    server.send(hostless).await.refused(403, "AccessDenied");
    server.send(get("/bucket").header("x-amz-security-token", "token")).await.refused(400, "InvalidToken");
}

#[tokio::test]
async fn a_bucket_is_its_owners() {
    let server = Server::new().await;
    server.send(put("/bucket/k").body("data")).await.succeeded(200);
    for stranger in [
        get("/bucket"),
        get("/bucket/k"),
        put("/bucket/k"),
        call(Method::DELETE, "/bucket/k"),
        call(Method::DELETE, "/bucket"),
    ] {
        server.raw(stranger.signed(OTHER)).await.refused(403, "AccessDenied");
    }
    // A copy reads its source, which must be the caller's too.
    server.raw(put("/others-bucket").signed(OTHER)).await.succeeded(200);
    let copy = put("/others-bucket/k").header("x-amz-copy-source", "/bucket/k");
    server.raw(copy.signed(OTHER)).await.refused(403, "AccessDenied");
    server.raw(get("/bucket/k").signed("ROOTKEY")).await.succeeded(200);
    let listed = server.raw(get("/").signed(OTHER)).await.succeeded(200);
    assert!(listed.text.contains("others-bucket") && !listed.text.contains("<Name>bucket<"), "{listed:?}");
}

/// A policy for everybody, on everything in the bucket.
fn policy(effect: &str, action: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Principal":"*","Action":"{action}","Resource":"arn:aws:s3:::bucket/*"}}}}"#
    )
}

#[tokio::test]
async fn a_policy_lets_others_in_and_keeps_the_owner_out() {
    let server = Server::new().await;
    server.send(put("/bucket/k").body("data")).await.succeeded(200);
    server.send(put("/bucket?policy").body(policy("Allow", "s3:GetObject"))).await.succeeded(204);
    assert_eq!(server.raw(get("/bucket/k").unsigned()).await.text, "data");
    server.raw(get("/bucket/missing").unsigned()).await.refused(403, "AccessDenied");
    server.raw(put("/bucket/k").body("x").signed(OTHER)).await.refused(403, "AccessDenied");
    server.send(put("/bucket?policy").body(policy("Deny", "s3:GetObject"))).await.succeeded(204);
    server.send(get("/bucket/k")).await.refused(403, "AccessDenied");
    server.send(call(Method::DELETE, "/bucket?policy")).await.succeeded(204);
    server.send(get("/bucket/k")).await.succeeded(200);
}

#[tokio::test]
async fn lists_count_where_ownership_lets_them() {
    let server = Server::new().await;
    let public = |target: &str| put(target).body("data").header("x-amz-acl", "public-read");
    server.send(public("/bucket/k")).await.refused(400, "AccessControlListNotSupported");
    server.send(put("/lists").header("x-amz-object-ownership", "ObjectWriter")).await.succeeded(200);
    server.send(public("/lists/k")).await.succeeded(200);
    server.send(put("/lists/private").body("data")).await.succeeded(200);
    assert_eq!(server.raw(get("/lists/k").unsigned()).await.text, "data");
    server.raw(get("/lists/private").unsigned()).await.refused(403, "AccessDenied");
    let block =
        "<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>";
    server.send(put("/lists?publicAccessBlock").body(block)).await.succeeded(200);
    server.raw(get("/lists/k").unsigned()).await.refused(403, "AccessDenied");
}

#[tokio::test]
async fn a_version_that_is_named_twice_is_no_way_around_its_action() {
    let server = Server::new().await;
    server.send(put("/bucket/k").body("data")).await.succeeded(200);
    server.send(put("/bucket?policy").body(policy("Allow", "s3:GetObjectVersion"))).await.succeeded(204);
    assert_eq!(server.raw(get("/bucket/k?versionId=null").unsigned()).await.text, "data");
    for target in ["/bucket/k", "/bucket/k?versionId=null&versionId=null", "/bucket/k?versionId="] {
        assert_ne!(server.raw(get(target).unsigned()).await.text, "data", "{target}");
    }
}

#[tokio::test]
async fn the_expected_owner_is_compared() {
    let server = Server::new().await;
    let expecting = |owner: &str| get("/bucket").header("x-amz-expected-bucket-owner", owner);
    server.send(expecting(OWNER_ACCOUNT)).await.succeeded(200);
    server.send(expecting(OTHER_ACCOUNT)).await.refused(403, "AccessDenied");
    server.send(expecting("me")).await.refused(400, "InvalidBucketOwnerAWSAccountID");
}

#[tokio::test]
async fn an_unknown_sub_resource_changes_nothing() {
    let server = Server::new().await;
    server.send(call(Method::DELETE, "/bucket?typo")).await.refused(501, "NotImplemented");
    server.send(put("/new-bucket?typo")).await.refused(501, "NotImplemented");
    server.send(put("/bucket/k?typo").body("data")).await.refused(501, "NotImplemented");
    server.send(get("/bucket")).await.succeeded(200);
    server.send(get("/new-bucket")).await.refused(404, "NoSuchBucket");
    server.send(get("/bucket/k")).await.refused(404, "NoSuchKey");
    server.send(put("/bucket/k?x-purpose=test").body("data")).await.succeeded(200);
}

#[tokio::test]
async fn what_is_not_there_is_refused_and_never_ignored() {
    let server = Server::new().await;
    let encrypted = put("/bucket/k").body("data").header("x-amz-server-side-encryption", "AES256");
    server.send(encrypted).await.refused(501, "NotImplemented");
    let metrics = "<MetricsConfiguration><Id>a</Id></MetricsConfiguration>";
    server.send(put("/bucket?metrics&id=a").body(metrics)).await.refused(501, "NotImplemented");
    server.send(get("/bucket?policy")).await.refused(404, "NoSuchBucketPolicy");
    server.send(put("/bucket?acl").header("x-amz-acl", "private")).await.refused(400, "AccessControlListNotSupported");
    let acl = server.send(get("/bucket?acl")).await.succeeded(200);
    assert_eq!((acl.element("Permission"), acl.element("DisplayName")), (Some("FULL_CONTROL"), Some("owner")));
    // Who may not ask is told nothing about what is implemented.
    server.raw(put("/bucket?logging").signed(OTHER)).await.refused(403, "AccessDenied");
}

#[tokio::test]
async fn hosts_of_the_domains_name_buckets_and_no_others_do() {
    let server = Server::new().await;
    server.send(put("/k").body("data").host("bucket.s3.example.test:9000")).await.succeeded(200);
    assert_eq!(server.send(get("/bucket/k").host("storage")).await.text, "data");
    server.send(get("/_health/live").host("bucket.s3.example.test")).await.refused(404, "NoSuchKey");
    assert_eq!(server.raw(get("/_health/live").unsigned()).await.text, "alive\n");
}

#[tokio::test]
async fn preflights_are_answered_as_without_cors() {
    let server = Server::new().await;
    let preflight = call(Method::OPTIONS, "/bucket/k")
        .header("origin", "https://a.test")
        .header("access-control-request-method", "PUT");
    let answer = server.raw(preflight.unsigned()).await;
    answer.refused(403, "AccessForbidden");
    assert_eq!((answer.element("Method"), answer.element("ResourceType")), (Some("PUT"), Some("BUCKET")));
    server.raw(call(Method::OPTIONS, "/bucket/k").unsigned()).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn every_answer_has_its_ids_and_is_counted_by_operation() {
    let server = Server::new().await;
    let answer = server.send(get("/bucket/missing")).await;
    answer.refused(404, "NoSuchKey");
    let id = answer.header("x-amz-request-id").expect("an id");
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()), "{id}");
    assert_eq!(answer.element("RequestId"), Some(id));
    assert_eq!(answer.element("HostId"), answer.header("x-amz-id-2"));
    assert_eq!(answer.element("Key"), Some("missing"));
    let metrics = server.metrics.render().expect("rendered");
    assert!(metrics.contains("cairn_http_requests_total{code=\"404\",operation=\"GetObject\"} 1"), "{metrics}");
}
