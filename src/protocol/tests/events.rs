//! Every change leaves its event in the outbox, and only where somebody asked for it.

use storage::index::records::Record as _;

use super::*;
use crate::object::{Event, EventName};

/// A configuration with one queue for these events, which nobody validates.
async fn configure(server: &Server, bucket: &str, events: &[&str]) {
    let events = format!("<Event>{}</Event>", events.join("</Event><Event>"));
    let queue = "arn:aws:sqs:us-east-1:111111111111:queue";
    let xml = format!(
        "<NotificationConfiguration><QueueConfiguration><Id>all</Id><Queue>{queue}</Queue>{events}\
         </QueueConfiguration></NotificationConfiguration>"
    );
    let call = put(&format!("/{bucket}?notification")).body(xml).header("x-amz-skip-destination-validation", "true");
    server.send(call).await.succeeded(200);
}

const EVERYTHING: [&str; 4] = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put"];

async fn events(server: &Server) -> Vec<Event> {
    let page = server.store.outbox_page(0, 1_000).await.expect("read");
    page.iter().map(|stored| Event::decode(&stored.event).expect("an event")).collect()
}

async fn names(server: &Server) -> Vec<EventName> {
    events(server).await.iter().map(|event| event.name).collect()
}

fn delete(target: &str) -> Call {
    call(Method::DELETE, target)
}

#[tokio::test]
async fn a_bucket_without_a_configuration_leaves_no_events() {
    let server = Server::new().await;
    server.send(put("/bucket/k").body("x")).await.succeeded(200);
    server.send(delete("/bucket/k")).await.succeeded(204);
    // A setting of another kind raises the bucket's generation, and makes no difference.
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    server.send(put("/bucket?tagging").body(tags)).await.succeeded(204);
    server.send(put("/bucket/k").body("x")).await.succeeded(200);
    assert_eq!(names(&server).await, []);
}

#[tokio::test]
async fn every_change_leaves_its_event_in_the_order_of_commits() {
    let server = Server::new().await;
    configure(&server, "bucket", &EVERYTHING).await;
    server.send(put("/bucket/a%20b").body("hello")).await.succeeded(200);
    server.send(put("/bucket/copy").header("x-amz-copy-source", "/bucket/a%20b")).await.succeeded(200);
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    server.send(put("/bucket/copy?tagging").body(tags)).await.succeeded(200);
    server.send(delete("/bucket/copy?tagging")).await.succeeded(204);
    let created = server.send(call(Method::POST, "/bucket/parts?uploads")).await.succeeded(200);
    let id = created.element("UploadId").expect("an upload").to_owned();
    let part = server.send(put(&format!("/bucket/parts?partNumber=1&uploadId={id}")).body("part")).await;
    let etag = part.header("etag").expect("an entity tag");
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = call(Method::POST, &format!("/bucket/parts?uploadId={id}")).body(list);
    server.send(complete).await.succeeded(200);
    let many = "<Delete><Object><Key>copy</Key></Object><Object><Key>absent</Key></Object></Delete>";
    server.send(call(Method::POST, "/bucket?delete").body(many)).await.succeeded(200);
    server.send(delete("/bucket/parts")).await.succeeded(204);

    let mut found = names(&server).await;
    // Two deletions of one request commit in either order; both are events.
    let created: Vec<_> = found.drain(..5).collect();
    assert_eq!(
        created,
        [
            EventName::ObjectCreatedPut,
            EventName::ObjectCreatedCopy,
            EventName::ObjectTaggingPut,
            EventName::ObjectTaggingDelete,
            EventName::ObjectCreatedCompleteMultipartUpload,
        ]
    );
    assert_eq!(found, [EventName::ObjectRemovedDelete; 3]);
    let all = events(&server).await;
    let first = all.first().expect("an event");
    assert_eq!((first.key.as_str(), first.size, first.version), ("a b", Some(5), None));
    assert_eq!((first.bucket.as_str(), first.bucket_account.as_str()), ("bucket", OWNER_ACCOUNT));
    assert_eq!(first.origin.principal, format!("AWS:{OWNER_ACCOUNT}"));
    assert_eq!((first.origin.account.as_str(), first.origin.request_id.len()), (OWNER_ACCOUNT, 16));
    assert_eq!(first.configuration_for("queue"), Some("all"));
    assert_eq!(first.configuration_for("another"), None);
    let completed = all.get(4).and_then(|event| event.etag).expect("an entity tag");
    assert_eq!(completed.parts, Some(1));
}

#[tokio::test]
async fn versions_are_named_and_the_null_version_is_not() {
    let server = Server::new().await;
    configure(&server, "bucket", &EVERYTHING).await;
    let set = |status: &str| {
        put("/bucket?versioning")
            .body(format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>"))
    };
    server.send(set("Enabled")).await.succeeded(200);
    let first = server.send(put("/bucket/k").body("1")).await.succeeded(200);
    let version = first.header("x-amz-version-id").expect("a version").to_owned();
    let marked = server.send(delete("/bucket/k")).await.succeeded(204);
    let marker = marked.header("x-amz-version-id").expect("a version").to_owned();
    server.send(delete(&format!("/bucket/k?versionId={version}"))).await.succeeded(204);
    server.send(set("Suspended")).await.succeeded(200);
    server.send(put("/bucket/k").body("2")).await.succeeded(200);
    server.send(delete(&format!("/bucket/k?versionId={marker}"))).await.succeeded(204);
    server.send(delete("/bucket/k?versionId=00000000000000010000000000000001")).await.succeeded(204);

    let told: Vec<_> = events(&server)
        .await
        .into_iter()
        .map(|event| (event.name, event.version.map(|version| version.to_string())))
        .collect();
    assert_eq!(
        told,
        [
            (EventName::ObjectCreatedPut, Some(version.clone())),
            (EventName::ObjectRemovedDeleteMarkerCreated, Some(marker.clone())),
            (EventName::ObjectRemovedDelete, Some(version)),
            (EventName::ObjectCreatedPut, None),
            (EventName::ObjectRemovedDelete, Some(marker)),
        ]
    );
}

#[tokio::test]
async fn only_a_list_that_changes_is_an_event() {
    let server = Server::new().await;
    server.send(delete("/bucket?ownershipControls")).await.succeeded(204);
    configure(&server, "bucket", &EVERYTHING).await;
    server.send(put("/bucket/k").body("x")).await.succeeded(200);
    for acl in ["private", "public-read", "public-read", "private"] {
        server.send(put("/bucket/k?acl").header("x-amz-acl", acl)).await.succeeded(200);
    }
    let lists = names(&server).await.into_iter().filter(|name| *name == EventName::ObjectAclPut).count();
    assert_eq!(lists, 2);
}

#[tokio::test]
async fn what_does_not_happen_is_no_event() {
    let server = Server::new().await;
    configure(&server, "bucket", &["s3:ObjectCreated:Copy", "s3:ObjectRemoved:DeleteMarkerCreated"]).await;
    server.send(put("/bucket/k").body("x")).await.succeeded(200);
    server.send(put("/bucket/k").body("x").header("if-none-match", "*")).await.refused(412, "PreconditionFailed");
    server.send(delete("/bucket/k")).await.succeeded(204);
    server.send(put("/bucket/c").header("x-amz-copy-source", "/bucket/absent")).await.refused(404, "NoSuchKey");
    assert_eq!(names(&server).await, []);
    // An empty configuration ends it.
    configure(&server, "bucket", &EVERYTHING).await;
    server.send(put("/bucket?notification").body("<NotificationConfiguration/>")).await.succeeded(200);
    server.send(put("/bucket/k").body("x")).await.succeeded(200);
    assert_eq!(names(&server).await, []);
}

#[tokio::test]
async fn destinations_that_are_not_there_are_named() {
    let server = Server::new().await;
    let xml = "<NotificationConfiguration><TopicConfiguration><Topic>arn:aws:sns:us-east-1:1:t</Topic>\
               <Event>s3:ObjectCreated:*</Event></TopicConfiguration><EventBridgeConfiguration/>\
               </NotificationConfiguration>";
    let answer = server.send(put("/bucket?notification").body(xml)).await;
    answer.refused(400, "InvalidArgument");
    assert_eq!(answer.element("ArgumentName1"), Some("arn:aws:sns:us-east-1:1:t"));
    assert_eq!(answer.element("ArgumentValue1"), Some("The destination topic does not exist"));
    assert_eq!(answer.element("ArgumentName2"), Some("EventBridgeConfiguration"));
    let odd = xml.replace("s3:ObjectCreated:*", "s3:ObjectEaten:*");
    let answer = server.send(put("/bucket?notification").body(odd)).await;
    answer.refused(400, "InvalidArgument");
    assert_eq!(answer.element("ArgumentValue"), Some("s3:ObjectEaten:*"));
    assert_eq!(server.send(get("/bucket?notification")).await.element("Topic"), None);
}

#[tokio::test]
async fn who_listens_hears_a_bucket_that_has_no_configuration() {
    let server = Server::new().await;
    server.send(put("/deaf")).await.succeeded(200);
    let target = "/bucket?events=s3:ObjectAccessed:*&events=s3:ObjectCreated:*&prefix=a&suffix=.txt";
    let (parts, mut body) = server.front.answer(get(target).signed(OWNER)).await.into_parts();
    assert_eq!(parts.status, 200);
    for key in ["/bucket/b.txt", "/bucket/a.png", "/deaf/a.txt", "/bucket/a.txt"] {
        server.send(put(key).body("x")).await.succeeded(200);
    }
    let mut heard = Vec::new();
    while !heard.contains(&b'\n') {
        let frame = body.frame().await.expect("it does not end").expect("it does not fail");
        heard.extend_from_slice(&frame.into_data().expect("bytes"));
    }
    let record: serde_json::Value = serde_json::from_slice(&heard).expect("one event");
    assert_eq!(record["Records"][0]["eventName"], "s3:ObjectCreated:Put");
    assert_eq!(record["Records"][0]["s3"]["object"]["key"], "a.txt");
    // The other bucket has left none; this one's are for nobody but those who listen.
    assert!(events(&server).await.iter().all(|event| event.bucket == "bucket" && event.addressees.is_empty()));
    drop(body);
}
