//! Reading and listing, odd requests included.

use super::*;

async fn with_object(body: &str) -> Server {
    let server = Server::new().await;
    server.send(put("/bucket/k").body(body)).await.succeeded(200);
    server
}

#[tokio::test]
async fn ranges_are_served_and_odd_ones_ignored() {
    let server = with_object("0123456789").await;
    let table = [
        ("bytes=0-8", 206, "012345678"),
        ("bytes=1-", 206, "123456789"),
        ("bytes=-2", 206, "89"),
        ("bytes=0-100", 206, "0123456789"),
        ("bytes=1-0", 200, "0123456789"),
        ("bytes=-1-", 200, "0123456789"),
        ("bytes=0-1,3-4", 200, "0123456789"),
        ("lines=0-1", 200, "0123456789"),
        ("bytes=-", 200, "0123456789"),
    ];
    for (range, status, body) in table {
        let answer = server.send(get("/bucket/k").header("range", range)).await;
        assert_eq!((answer.status, answer.text.as_str()), (status, body), "{range}");
        let head = server.send(call(Method::HEAD, "/bucket/k").header("range", range)).await;
        let length = body.len().to_string();
        assert_eq!(
            (head.status, head.header("content-length"), head.text.as_str()),
            (status, Some(length.as_str()), ""),
            "{range}"
        );
        assert_eq!(head.header("content-range"), answer.header("content-range"), "{range}");
    }
    let answer = server.send(get("/bucket/k").header("range", "bytes=100-200")).await;
    answer.refused(416, "InvalidRange");
    assert_eq!(
        (answer.element("RangeRequested"), answer.element("ActualObjectSize")),
        (Some("bytes=100-200"), Some("10"))
    );
}

#[tokio::test]
async fn odd_conditions_are_read_as_http_says() {
    let server = with_object("data").await;
    let etag = "\"8d777f385d3dfec8815d20f7496026dc\"";
    let ask = |name: &'static str, value: &str| get("/bucket/k").header(name, value);
    server.send(ask("if-modified-since", "Invalid Date")).await.succeeded(200);
    server.send(ask("if-unmodified-since", "yesterday")).await.succeeded(200);
    server.send(ask("if-match", &format!("\"other\", {etag}"))).await.succeeded(200);
    server.send(ask("if-match", "\"other\", \"another\"")).await.refused(412, "PreconditionFailed");
    let unmodified = server.send(ask("if-none-match", &format!("\"other\", {etag}"))).await;
    assert_eq!((unmodified.status, unmodified.header("etag"), unmodified.text.as_str()), (304, Some(etag), ""));
    assert!(unmodified.header("last-modified").is_some(), "{unmodified:?}");
}

#[tokio::test]
async fn a_second_pass_is_no_way_around_the_owner() {
    let server = with_object("data").await;
    server.raw(get("/bucket/k").header("range", "bytes=1-0").unsigned()).await.refused(403, "AccessDenied");
    server.raw(get("/bucket/k").header("range", "bytes=1-0").signed(OTHER)).await.refused(403, "AccessDenied");
    server.raw(get("/bucket/k").header("range", "bytes=1-0").signed("NOBODY")).await.refused(403, "InvalidAccessKeyId");
    server.send(get("//")).await.succeeded(200);
}

#[tokio::test]
async fn a_head_never_has_a_body() {
    let server = with_object("data").await;
    for (target, status) in [("/bucket/k", 200), ("/bucket/missing", 404), ("/bucket", 200), ("/missing", 404)] {
        let answer = server.send(call(Method::HEAD, target)).await;
        assert_eq!((answer.status, answer.text.as_str()), (status, ""), "{target}");
    }
    assert_eq!(server.send(call(Method::HEAD, "/bucket")).await.header("x-amz-bucket-region"), Some("us-east-1"));
}

#[tokio::test]
async fn what_the_writer_said_is_what_the_reader_gets() {
    let server = Server::new().await;
    let written = put("/bucket/k")
        .body("data")
        .header("cache-control", "no-cache")
        .header("content-disposition", "attachment")
        .header("content-encoding", "gzip, aws-chunked")
        .header("content-type", "text/plain")
        .header("expires", "Sun, 06 Nov 1994 08:49:37 GMT")
        .header("x-amz-meta-color", "blue")
        .header("x-amz-storage-class", "STANDARD_IA")
        .header("x-amz-tagging", "a=1&b=2")
        .header("x-amz-website-redirect-location", "/other");
    server.send(written).await.succeeded(200);
    let answer = server.send(get("/bucket/k?response-content-type=image/png")).await.succeeded(200);
    for (name, value) in [
        ("accept-ranges", "bytes"),
        ("cache-control", "no-cache"),
        ("content-disposition", "attachment"),
        ("content-encoding", "gzip"),
        ("content-type", "image/png"),
        ("expires", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("x-amz-meta-color", "blue"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-tagging-count", "2"),
        ("x-amz-website-redirect-location", "/other"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let head = server.send(call(Method::HEAD, "/bucket/k?response-content-type=image/png")).await;
    assert_eq!(head.header("content-type"), Some("image/png"));
    let attributes = get("/bucket/k?attributes").header("x-amz-object-attributes", "ETag,ObjectSize, StorageClass");
    let answer = server.send(attributes).await.succeeded(200);
    assert_eq!((answer.element("ObjectSize"), answer.element("StorageClass")), (Some("4"), Some("STANDARD_IA")));
}

#[tokio::test]
async fn keys_with_control_characters_can_be_listed() {
    let server = Server::new().await;
    server.send(put("/bucket/a%01b").body("data")).await.succeeded(200);
    for list in ["/bucket", "/bucket?list-type=2", "/bucket?versions"] {
        let answer = server.send(get(list)).await.succeeded(200);
        assert_eq!((answer.element("Key"), answer.element("EncodingType")), (Some("a%01b"), Some("url")), "{list}");
    }
    let created = server.send(call(Method::POST, "/bucket/a%01b?uploads")).await.succeeded(200);
    assert_eq!(created.element("Key"), Some("a\u{fffd}b"));
    server.send(get("/bucket?max-keys=%01")).await.refused(400, "InvalidArgument");
    server.send(get("/bucket/%01missing")).await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn listings_go_on_where_they_ended() {
    let server = Server::new().await;
    for key in ["a/1", "a/2", "b", "c d", "e/1"] {
        server.send(put(&format!("/bucket/{}", key.replace(' ', "%20"))).body("data")).await.succeeded(200);
    }
    let mut token = String::new();
    let mut pages = Vec::new();
    loop {
        let target = format!("/bucket?list-type=2&delimiter=%2F&max-keys=2&encoding-type=url{token}");
        let answer = server.send(get(&target)).await.succeeded(200);
        pages.push((answer.text.matches("<Key>").count(), answer.text.matches("<CommonPrefixes>").count()));
        match answer.element("NextContinuationToken") {
            Some(next) => token = format!("&continuation-token={}", utf8_percent_encode(next, QUERY)),
            None => break,
        }
    }
    assert_eq!(pages, [(1, 1), (1, 1)]);
    let first = server.send(get("/bucket?delimiter=%2F&max-keys=1")).await;
    assert_eq!((first.element("NextMarker"), first.element("IsTruncated")), (Some("a/"), Some("true")));
    let without = server.send(get("/bucket?max-keys=1")).await;
    assert_eq!((without.element("NextMarker"), without.element("Marker")), (None, Some("")), "{without:?}");
    assert_eq!(without.element("DisplayName"), Some("owner"));
    server.send(get("/bucket?list-type=2&continuation-token=")).await.refused(400, "InvalidArgument");
    server.send(get("/bucket?encoding-type=value")).await.refused(400, "InvalidArgument");
    server.send(get("/bucket?versions&version-id-marker=null")).await.refused(400, "InvalidArgument");
}
