use super::*;

const OWNER: &str = "owner";

fn on_bucket(canned: Canned) -> Acl {
    canned.acl(OWNER, OWNER)
}

#[test]
fn names_come_back() {
    for permission in Permission::ALL {
        assert_eq!(Permission::parse(permission.as_str()), Some(permission));
    }
    for group in Group::ALL {
        assert_eq!(Group::parse(group.uri()), Some(group));
    }
    for canned in Canned::ALL {
        assert_eq!(Canned::parse(canned.as_str()), Some(canned));
    }
    assert_eq!(Canned::parse("Private"), None);
    assert_eq!(Permission::parse("read"), None);
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl>
#[test]
fn predefined_lists_grant_what_s3_documents() {
    use Permission::{FullControl, Read, ReadAcp, Write};
    let (everyone, signed) = (Requester::Anonymous, Requester::Account("stranger"));
    // The list; who asks; what of Read and Write the list grants.
    for (canned, requester, read, write) in [
        (Canned::Private, everyone, false, false),
        (Canned::Private, signed, false, false),
        (Canned::PublicRead, everyone, true, false),
        (Canned::PublicReadWrite, everyone, true, true),
        (Canned::PublicReadWrite, signed, true, true),
        (Canned::AuthenticatedRead, everyone, false, false),
        (Canned::AuthenticatedRead, signed, true, false),
        (Canned::AwsExecRead, signed, false, false),
        (Canned::LogDeliveryWrite, signed, false, false),
    ] {
        let acl = on_bucket(canned);
        assert_eq!(acl.grants(requester, Read, PublicGrants::Count), read, "{canned:?} {requester:?}");
        assert_eq!(acl.grants(requester, Write, PublicGrants::Count), write, "{canned:?} {requester:?}");
        assert!(!acl.grants(requester, Read, PublicGrants::Ignored), "{canned:?} {requester:?}");
        assert!(acl.grants(Requester::Account(OWNER), FullControl, PublicGrants::Ignored));
    }
    let objects = Canned::BucketOwnerRead.acl("writer", OWNER);
    assert!(objects.grants(Requester::Account(OWNER), Read, PublicGrants::Ignored));
    assert!(!objects.grants(Requester::Account(OWNER), ReadAcp, PublicGrants::Count));
    let objects = Canned::BucketOwnerFullControl.acl("writer", OWNER);
    assert!(objects.grants(Requester::Account(OWNER), Permission::WriteAcp, PublicGrants::Count));
    assert_eq!(on_bucket(Canned::BucketOwnerFullControl), Acl::private(OWNER));
}

#[test]
fn only_the_two_groups_of_people_are_the_public() {
    for (canned, public) in [
        (Canned::Private, false),
        (Canned::PublicRead, true),
        (Canned::AuthenticatedRead, true),
        (Canned::LogDeliveryWrite, false),
    ] {
        assert_eq!(on_bucket(canned).is_public(), public, "{canned:?}");
    }
    assert!(Acl::private(OWNER).is_only_for(OWNER) && Acl::default().is_only_for(OWNER));
    assert!(!Acl::private(OWNER).is_only_for("stranger") && !on_bucket(Canned::LogDeliveryWrite).is_only_for(OWNER));
}

#[test]
fn full_control_is_every_permission_and_no_other_is() {
    for granted in Permission::ALL {
        let acl = Acl(vec![Grant::to_account("a", granted)]);
        for asked in Permission::ALL {
            let expected = granted == asked || granted == Permission::FullControl;
            assert_eq!(
                acl.grants(Requester::Account("a"), asked, PublicGrants::Count),
                expected,
                "{granted:?} {asked:?}"
            );
            assert!(!acl.grants(Requester::Account("b"), asked, PublicGrants::Count));
            assert!(!acl.grants(Requester::Anonymous, asked, PublicGrants::Count));
        }
    }
}

#[test]
fn where_lists_are_disabled_only_the_bucket_owners_control_is_taken() {
    let enforced = ObjectOwnership::BucketOwnerEnforced;
    let grants = |acl| Stated::Grants(acl);
    for (stated, taken) in [
        (Stated::Nothing, true),
        (Stated::Canned(Canned::BucketOwnerFullControl), true),
        (Stated::Canned(Canned::Private), false),
        (Stated::Canned(Canned::PublicRead), false),
        (grants(Acl::private(OWNER)), true),
        (grants(Acl::private("stranger")), false),
        (grants(Acl::default()), false),
    ] {
        assert_eq!(stated.suits(enforced, OWNER), taken, "{stated:?}");
        assert!(stated.suits(ObjectOwnership::ObjectWriter, OWNER));
    }
}

#[test]
fn what_is_private_anyway_is_not_kept() {
    assert_eq!(Stated::Nothing.acl(OWNER, OWNER), None);
    assert_eq!(Stated::Canned(Canned::Private).acl(OWNER, OWNER), None);
    assert_eq!(Stated::Canned(Canned::BucketOwnerFullControl).acl(OWNER, OWNER), None);
    assert_eq!(Stated::Grants(Acl::default()).acl(OWNER, OWNER), Some(Acl::default()));
    assert_eq!(Stated::Canned(Canned::BucketOwnerFullControl).gives_full_control(), GivesFullControl::Yes);
    assert_eq!(Stated::Grants(Acl::private(OWNER)).gives_full_control(), GivesFullControl::No);
}
