use serde_json::{Value, json};
use storage::index::records::ETag;
use storage::types::{BucketId, Timestamp, VersionId};

use crate::rules::notification::message::{Format, body, sequencer, test_event};
use crate::rules::notification::{Addressee, Event, EventName, Origin, Storage};

/// The event of Amazon's example.
fn event(name: EventName) -> Event {
    Event {
        name,
        time: Timestamp(0),
        bucket: "amzn-s3-demo-bucket".to_owned(),
        bucket_id: BucketId(1),
        bucket_account: "111122223333".to_owned(),
        region: "us-west-2".to_owned(),
        key: "HappyFace.jpg".to_owned(),
        size: Some(1_024),
        etag: Some(ETag { md5: [0xd4; 16], parts: None }),
        version: Some(VersionId { order: 1, salt: 2 }),
        origin: Origin {
            principal: "AWS:AIDAJDPLRKLG7UEXAMPLE".to_owned(),
            account: "123456789012".to_owned(),
            source_ip: "127.0.0.1".to_owned(),
            request_id: "C3D13FE58DE4C810".to_owned(),
            host_id: "FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG4V5Wp6S7S/JRWeUWerMUE5JgHvANOjpD".to_owned(),
        },
        storage: None,
        addressees: vec![Addressee { target: "t".to_owned(), configuration: "testConfigRule".to_owned() }],
    }
}

fn text(format: Format, event: &Event) -> String {
    String::from_utf8(body(format, event, 0x55AE, "testConfigRule")).expect("JSON is text")
}

fn parsed(format: Format, event: &Event) -> Value {
    serde_json::from_str(&text(format, event)).expect("JSON")
}

fn record(event: &Event) -> Value {
    parsed(Format::S3, event)["Records"][0].clone()
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>, "Example – Amazon S3
/// ObjectCreated:Put event", with this server's version id, entity tag and sequencer. The order of fields is Amazon's.
#[test]
fn the_documented_put() {
    let expected = r#"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-west-2","eventTime":"1970-01-01T00:00:00.000Z","eventName":"ObjectCreated:Put","userIdentity":{"principalId":"AWS:AIDAJDPLRKLG7UEXAMPLE"},"requestParameters":{"sourceIPAddress":"127.0.0.1"},"responseElements":{"x-amz-request-id":"C3D13FE58DE4C810","x-amz-id-2":"FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG4V5Wp6S7S/JRWeUWerMUE5JgHvANOjpD"},"s3":{"s3SchemaVersion":"1.0","configurationId":"testConfigRule","bucket":{"name":"amzn-s3-demo-bucket","ownerIdentity":{"principalId":"111122223333"},"arn":"arn:aws:s3:::amzn-s3-demo-bucket"},"object":{"key":"HappyFace.jpg","size":1024,"eTag":"d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4","versionId":"00000000000000010000000000000002","sequencer":"00000000000055AE"}}}]}"#;
    assert_eq!(text(Format::S3, &event(EventName::ObjectCreatedPut)), expected);
    let listened = expected.replace("ObjectCreated:Put", "s3:ObjectCreated:Put");
    assert_eq!(text(Format::Listened, &event(EventName::ObjectCreatedPut)), listened);
}

/// Which fields an object has, by event, as they were recorded of Amazon S3.
#[test]
fn each_event_has_its_fields() {
    let bare = |name| Event { size: None, etag: None, ..event(name) };
    let fields = |event: &Event| -> Vec<String> {
        record(event)["s3"]["object"].as_object().expect("an object").keys().cloned().collect()
    };
    let mut removed = fields(&bare(EventName::ObjectRemovedDelete));
    removed.sort();
    assert_eq!(removed, ["key", "sequencer", "versionId"]);
    let marked = record(&bare(EventName::ObjectRemovedDeleteMarkerCreated));
    assert_eq!(marked["s3"]["object"]["eTag"], "d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(marked["s3"]["object"].get("size"), None);
    for name in [EventName::ObjectTaggingPut, EventName::ObjectTaggingDelete, EventName::ObjectAclPut] {
        let event = Event { size: None, version: None, ..event(name) };
        let mut names = fields(&event);
        names.sort();
        assert_eq!(names, ["eTag", "key"], "{name}");
        assert_eq!(record(&event)["eventVersion"], "2.3");
    }
    let unversioned = Event { version: None, ..event(EventName::ObjectCreatedPut) };
    assert!(!fields(&unversioned).contains(&"versionId".to_owned()));
}

#[test]
fn each_event_has_the_version_of_its_structure() {
    for (name, version) in [
        (EventName::ObjectCreatedCompleteMultipartUpload, "2.1"),
        (EventName::ObjectRemovedDeleteMarkerCreated, "2.1"),
        (EventName::ObjectRestorePost, "2.1"),
        (EventName::ObjectRestoreCompleted, "2.1"),
        (EventName::ObjectRestoreDelete, "2.3"),
        (EventName::LifecycleExpirationDelete, "2.3"),
        (EventName::LifecycleTransition, "2.3"),
        (EventName::ReplicationOperationNotTracked, "2.2"),
    ] {
        assert_eq!(record(&event(name))["eventVersion"], version, "{name}");
    }
}

#[test]
fn keys_are_encoded_as_forms_are() {
    for (key, encoded) in [
        ("red flower.jpg", "red+flower.jpg"),
        ("a@b", "a%40b"),
        ("testupload/dir1/testfile.txt", "testupload/dir1/testfile.txt"),
        ("a+b", "a%2Bb"),
        ("é~(1)", "%C3%A9%7E%281%29"),
        ("-_.*", "-_.*"),
        ("\u{1}", "%01"),
    ] {
        let event = Event { key: key.to_owned(), ..event(EventName::ObjectCreatedPut) };
        assert_eq!(record(&event)["s3"]["object"]["key"], encoded, "{key}");
    }
}

#[test]
fn restores_and_transitions_tell_of_storage_classes() {
    let restored = Event {
        storage: Some(Storage::Restored(Timestamp(1_000), "GLACIER".to_owned())),
        ..event(EventName::ObjectRestoreCompleted)
    };
    let expected = json!({
        "restoreEventData": {
            "lifecycleRestorationExpiryTime": "1970-01-01T00:00:01.000Z",
            "lifecycleRestoreStorageClass": "GLACIER",
        }
    });
    assert_eq!(record(&restored)["glacierEventData"], expected);
    let moved =
        Event { storage: Some(Storage::Transitioned("GLACIER".to_owned())), ..event(EventName::LifecycleTransition) };
    let expected = json!({ "transitionEventData": { "destinationStorageClass": "GLACIER" } });
    assert_eq!(record(&moved)["lifecycleEventData"], expected);
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>, "Object created".
#[test]
fn the_documented_event_of_eventbridge() {
    let created = parsed(Format::EventBridge, &event(EventName::ObjectCreatedPut));
    let expected = json!({
        "version": "0",
        "id": "c3d13fe5-8de4-8810-8000-0000000055ae",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "111122223333",
        "time": "1970-01-01T00:00:00Z",
        "region": "us-west-2",
        "resources": ["arn:aws:s3:::amzn-s3-demo-bucket"],
        "detail": {
            "version": "0",
            "bucket": { "name": "amzn-s3-demo-bucket" },
            "object": {
                "key": "HappyFace.jpg",
                "size": 1024,
                "etag": "d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4",
                "version-id": "00000000000000010000000000000002",
                "sequencer": "00000000000055ae"
            },
            "request-id": "C3D13FE58DE4C810",
            "requester": "123456789012",
            "source-ip-address": "127.0.0.1",
            "reason": "PutObject"
        }
    });
    assert_eq!(created, expected);
}

#[test]
fn eventbridge_names_events_in_its_own_words() {
    for (name, kind, reason, deletion) in [
        (EventName::ObjectCreatedPost, "Object Created", Some("POST Object"), None),
        (EventName::ObjectCreatedCopy, "Object Created", Some("CopyObject"), None),
        (EventName::ObjectCreatedCompleteMultipartUpload, "Object Created", Some("CompleteMultipartUpload"), None),
        (EventName::ObjectRemovedDelete, "Object Deleted", Some("DeleteObject"), Some("Permanently Deleted")),
        (
            EventName::ObjectRemovedDeleteMarkerCreated,
            "Object Deleted",
            Some("DeleteObject"),
            Some("Delete Marker Created"),
        ),
        (
            EventName::LifecycleExpirationDelete,
            "Object Deleted",
            Some("Lifecycle Expiration"),
            Some("Permanently Deleted"),
        ),
        (EventName::ObjectTaggingPut, "Object Tags Added", None, None),
        (EventName::ObjectTaggingDelete, "Object Tags Deleted", None, None),
        (EventName::ObjectAclPut, "Object ACL Updated", None, None),
        (EventName::ObjectRestorePost, "Object Restore Initiated", None, None),
        (EventName::ObjectRestoreCompleted, "Object Restore Completed", None, None),
        (EventName::ObjectRestoreDelete, "Object Restore Expired", None, None),
        (EventName::LifecycleTransition, "Object Storage Class Changed", None, None),
        (EventName::IntelligentTiering, "Object Access Tier Changed", None, None),
    ] {
        let event = parsed(Format::EventBridge, &event(name));
        assert_eq!(event["detail-type"], kind, "{name}");
        assert_eq!(event["detail"].get("reason").and_then(Value::as_str), reason, "{name}");
        assert_eq!(event["detail"].get("deletion-type").and_then(Value::as_str), deletion, "{name}");
    }
    let mut expired = event(EventName::LifecycleExpirationDelete);
    expired.origin = Origin::server("17E5".to_owned());
    let detail = parsed(Format::EventBridge, &expired)["detail"].clone();
    assert_eq!(detail["requester"], "s3.amazonaws.com");
    assert_eq!(detail.get("source-ip-address"), None);
}

/// <https://github.com/cloudevents/spec/blob/main/cloudevents/adapters/aws-s3.md>
#[test]
fn cloudevents_surround_the_record() {
    let event = Event { key: "a b".to_owned(), ..event(EventName::ObjectCreatedPut) };
    let cloud = parsed(Format::CloudEvents, &event);
    assert_eq!(cloud["specversion"], "1.0");
    assert_eq!(cloud["type"], "com.amazonaws.s3.ObjectCreated:Put");
    assert_eq!(cloud["source"], "aws:s3.us-west-2.amzn-s3-demo-bucket");
    assert_eq!(cloud["id"], "C3D13FE58DE4C810.00000000000055AE");
    assert_eq!(cloud["subject"], "a b");
    assert_eq!(cloud["time"], "1970-01-01T00:00:00.000Z");
    assert_eq!(cloud["datacontenttype"], "application/json");
    assert_eq!(cloud["data"], record(&event));
    assert_eq!(Format::CloudEvents.content_type(), "application/cloudevents+json");
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>, "test message".
#[test]
fn the_documented_test_message() {
    let sent = test_event("amzn-s3-demo-bucket", Timestamp(1_413_215_822_089), "5582815E1AEA5ADF", "8cLe");
    let expected = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"amzn-s3-demo-bucket","RequestId":"5582815E1AEA5ADF","HostId":"8cLe"}"#;
    assert_eq!(String::from_utf8_lossy(&sent), expected);
}

#[test]
fn sequencers_compare_as_texts() {
    let numbers = [0, 1, 9, 10, 255, 256, u64::from(u32::MAX), u64::MAX];
    assert!(numbers.map(sequencer).is_sorted());
}
