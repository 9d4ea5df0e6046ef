//! Request bodies: what was sent is what is stored, or nothing is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::Md5;

use super::*;

async fn stored_nothing(server: &Server) {
    server.send(get("/bucket/k")).await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn wrong_digests_store_nothing() {
    let server = Server::new().await;
    let wrong_md5 = BASE64.encode(Md5::digest(b"other"));
    server.send(put("/bucket/k").body("data").header("content-md5", &wrong_md5)).await.refused(400, "BadDigest");
    server.send(put("/bucket/k").body("data").header("content-md5", "nonsense")).await.refused(400, "InvalidDigest");
    server
        .send(put("/bucket/k").body("data").header("x-amz-checksum-crc32", "AAAAAA=="))
        .await
        .refused(400, "BadDigest");
    server.send(put("/bucket/k").body("data").header("x-amz-checksum-crc32", "!")).await.refused(400, "InvalidRequest");
    let other =
        put("/bucket/k").body("data").payload("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    server.send(other).await.refused(400, "XAmzContentSHA256Mismatch");
    stored_nothing(&server).await;
}

#[tokio::test]
async fn right_digests_are_answered_and_shown_on_demand() {
    let server = Server::new().await;
    let md5 = BASE64.encode(Md5::digest(b"data"));
    let crc32 = "rfPzYw=="; // of "data"
    let answer = server
        .send(put("/bucket/k").body("data").header("content-md5", &md5).header("x-amz-checksum-crc32", crc32))
        .await;
    assert_eq!((answer.status, answer.header("x-amz-checksum-crc32")), (200, Some(crc32)), "{answer:?}");
    assert_eq!(answer.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    assert_eq!(answer.header("etag"), Some("\"8d777f385d3dfec8815d20f7496026dc\""));
    assert_eq!(server.send(get("/bucket/k")).await.header("x-amz-checksum-crc32"), None);
    let asked = server.send(get("/bucket/k").header("x-amz-checksum-mode", "ENABLED")).await;
    assert_eq!(asked.header("x-amz-checksum-crc32"), Some(crc32));
    let part =
        server.send(get("/bucket/k").header("x-amz-checksum-mode", "ENABLED").header("range", "bytes=0-1")).await;
    assert_eq!((part.status, part.header("x-amz-checksum-crc32")), (206, None));
}

/// A body in unsigned chunks with a trailer, announced as `x-amz-checksum-crc32`.
fn with_trailer(trailer: &str) -> Call {
    put("/bucket/k")
        .header("content-encoding", "aws-chunked")
        .header("x-amz-decoded-content-length", "4")
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        .body(format!("4\r\ndata\r\n0\r\n{trailer}\r\n"))
}

#[tokio::test]
async fn trailers_are_verified_and_must_come() {
    let server = Server::new().await;
    server.send(with_trailer("x-amz-checksum-crc32:AAAAAA==\r\n")).await.refused(400, "BadDigest");
    server.send(with_trailer("")).await.refused(400, "MalformedTrailerError");
    stored_nothing(&server).await;
    server.send(with_trailer("x-amz-checksum-crc32:rfPzYw==\r\n")).await.succeeded(200);
    let answer = server.send(get("/bucket/k")).await;
    assert_eq!((answer.text.as_str(), answer.header("content-encoding")), ("data", None));
}

#[tokio::test]
async fn hostile_framing_stores_nothing() {
    let server = Server::new().await;
    for body in ["", "4\r\nda", "4\r\ndata\r\n", "zz\r\ndata\r\n0\r\n\r\n", "5\r\ndata!\r\n0\r\n\r\n", "ffffffffff\r\n"]
    {
        let mut broken = with_trailer("");
        broken.body = body.into();
        let answer = server.send(broken).await;
        assert_eq!(answer.status, 400, "{body:?}: {answer:?}");
    }
    stored_nothing(&server).await;
}

#[tokio::test]
async fn a_refused_deletion_of_many_deletes_none() {
    let server = Server::new().await;
    server.send(put("/bucket/k").body("data")).await.succeeded(200);
    let xml = "<Delete><Object><Key>k</Key></Object><Object><Key>unknown</Key></Object></Delete>";
    let deletion = |name: &str, value: &str| call(Method::POST, "/bucket?delete").body(xml).header(name, value);
    let wrong_md5 = BASE64.encode(Md5::digest(b"other"));
    server.send(deletion("content-md5", &wrong_md5)).await.refused(400, "BadDigest");
    server.send(deletion("x-amz-checksum-crc32", "AAAAAA==")).await.refused(400, "BadDigest");
    server.send(get("/bucket/k")).await.succeeded(200);
    let right = BASE64.encode(Md5::digest(xml));
    let answer = server.send(deletion("content-md5", &right)).await.succeeded(200);
    assert_eq!(answer.text.matches("<Deleted>").count(), 2, "{answer:?}");
    server.send(get("/bucket/k")).await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn malformed_xml_is_named() {
    let server = Server::new().await;
    server.send(call(Method::POST, "/bucket?delete").body("<Delete><Object>")).await.refused(400, "MalformedXML");
    server.send(call(Method::POST, "/bucket?delete").body("<Delete></Delete>")).await.refused(400, "MalformedXML");
    let versioning = |status: &str| {
        put("/bucket?versioning").body(format!("<VersioningConfiguration>{status}</VersioningConfiguration>"))
    };
    server.send(versioning("<Status>enabled</Status>")).await.refused(400, "MalformedXML");
    server.send(versioning("")).await.refused(400, "IllegalVersioningConfigurationException");
    server.send(versioning("<Status>Enabled</Status>")).await.succeeded(200);
    let written = server.send(put("/bucket/k").body("data")).await.succeeded(200);
    assert!(written.header("x-amz-version-id").is_some_and(|version| version.len() == 32), "{written:?}");
}

#[tokio::test]
async fn an_upload_in_parts_becomes_an_object() {
    let server = Server::new().await;
    let created =
        server.send(call(Method::POST, "/bucket/k?uploads").header("content-type", "text/plain")).await.succeeded(200);
    let upload = created.element("UploadId").expect("an id").to_owned();
    let part = server.send(put(&format!("/bucket/k?partNumber=1&uploadId={upload}")).body("data")).await.succeeded(200);
    let etag = part.header("etag").expect("an ETag").to_owned();
    let listed =
        server.send(get(&format!("/bucket/k?uploadId={upload}&part-number-marker=&max-parts="))).await.succeeded(200);
    assert_eq!((listed.element("PartNumber"), listed.element("PartNumberMarker")), (Some("1"), Some("0")));
    let complete = |etag: &str| {
        let xml = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        );
        call(Method::POST, &format!("/bucket/k?uploadId={upload}")).body(xml)
    };
    server.send(complete("\"00000000000000000000000000000000\"")).await.refused(400, "InvalidPart");
    let done = server.send(complete(&etag)).await.succeeded(200);
    assert!(done.element("ETag").is_some_and(|etag| etag.contains("-1")), "{done:?}");
    let answer = server.send(get("/bucket/k?partNumber=1")).await.succeeded(206);
    assert_eq!((answer.text.as_str(), answer.header("x-amz-mp-parts-count")), ("data", Some("1")));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
}

#[tokio::test]
async fn a_checksum_of_parts_is_shown_with_their_number_and_a_parts_with_the_part() {
    let server = Server::new().await;
    let creation = call(Method::POST, "/bucket/k?uploads").header("x-amz-checksum-algorithm", "SHA256");
    let created = server.send(creation).await.succeeded(200);
    assert_eq!(created.header("x-amz-checksum-type"), Some("COMPOSITE"));
    let upload = created.element("UploadId").expect("an id").to_owned();
    let sha256 = BASE64.encode(Sha256::digest(b"data"));
    let part =
        put(&format!("/bucket/k?partNumber=1&uploadId={upload}")).body("data").header("x-amz-checksum-sha256", &sha256);
    let etag = server.send(part).await.succeeded(200).header("etag").expect("an ETag").to_owned();
    let xml = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag><ChecksumSHA256>{sha256}</ChecksumSHA256></Part></CompleteMultipartUpload>"
    );
    server.send(call(Method::POST, &format!("/bucket/k?uploadId={upload}")).body(xml)).await.succeeded(200);
    let whole = BASE64.encode(Sha256::digest(Sha256::digest(b"data")));
    let shown = |target: &str| get(target).header("x-amz-checksum-mode", "ENABLED");
    let answer = server.send(shown("/bucket/k")).await;
    assert_eq!(answer.header("x-amz-checksum-sha256"), Some(format!("{whole}-1").as_str()), "{answer:?}");
    let answer = server.send(shown("/bucket/k?partNumber=1")).await;
    assert_eq!(answer.header("x-amz-checksum-sha256"), Some(sha256.as_str()), "{answer:?}");
}

#[tokio::test]
async fn a_write_to_a_suspended_bucket_names_no_version() {
    let server = Server::new().await;
    let xml = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    server.send(put("/bucket?versioning").body(xml)).await.succeeded(200);
    let written = server.send(put("/bucket/k").body("data").header("x-amz-tagging", "b=2&a=1")).await.succeeded(200);
    assert_eq!(written.header("x-amz-version-id"), None);
    assert_eq!(server.send(get("/bucket/k")).await.header("x-amz-version-id"), Some("null"));
    let tags = server.send(get("/bucket/k?tagging")).await.text;
    assert!(tags.find("<Key>a</Key>") < tags.find("<Key>b</Key>"), "a header's tags are kept in order: {tags}");
}
