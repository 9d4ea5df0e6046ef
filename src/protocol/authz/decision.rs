//! The decision: what is asked, what decides about it, and the answer of the policies' evaluator.

use std::sync::Arc;

use http::{HeaderMap, Uri};
use storage::index::records::{BucketRecord, ObjectRecord, VersionRecord};
use storage::types::Timestamp;

use super::conditions::{self, Wanted};
use crate::accounts::Accounts;
use crate::identity::{Caller, Denial, ResourceSide};
use crate::object::{self, Addressed, BucketAccess, Objects, VersionLabel};
use crate::protocol::actions::{Action, On};
use crate::protocol::context::RequestContext;
use crate::protocol::error::{ENCODED_MESSAGE, Failure, Result};
use crate::rules::Code;
use crate::rules::acl::{Acl, Permission, PublicGrants, Requester};
use crate::rules::iam::{self, Named, Principal, Verdict};
use crate::rules::public_access::PublicAccessBlock;
use crate::telemetry::audit::Decision;

/// The name of a bucket's policy in explanations.
const BUCKET_POLICY: &str = "the bucket policy";
/// What decides where nothing needs to be asked.
const ACCOUNT_ROOT: &str = "the account's root";

/// Actions that nothing takes from the root of the bucket's own account, so that nobody locks everybody out.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html>
const POLICY_ACTIONS: [&str; 3] = ["s3:DeleteBucketPolicy", "s3:GetBucketPolicy", "s3:PutBucketPolicy"];

/// What an operation is done to.
#[derive(Clone, Copy, Debug)]
pub(in crate::protocol) enum Resource<'a> {
    /// The caller's account: listing its buckets.
    Account,
    /// A bucket that is to be made, by name.
    NewBucket(&'a str),
    /// A bucket.
    Bucket(&'a BucketRecord),
    /// A key in a bucket, whether there is an object or not, and the version that the request names.
    Object { bucket: &'a BucketRecord, key: &'a str, version: Option<&'a str> },
}

impl<'a> Resource<'a> {
    fn bucket(self) -> Option<&'a BucketRecord> {
        match self {
            Self::Account | Self::NewBucket(_) => None,
            Self::Bucket(bucket) | Self::Object { bucket, .. } => Some(bucket),
        }
    }

    fn names_version(self) -> bool {
        matches!(self, Self::Object { version: Some(_), .. })
    }

    /// As policies name it. Listing buckets is asked of all of them.
    fn arn(self) -> String {
        match self {
            Self::Account => "arn:aws:s3:::*".to_owned(),
            Self::NewBucket(name) => ["arn:aws:s3:::", name].concat(),
            Self::Bucket(bucket) => ["arn:aws:s3:::", &bucket.name].concat(),
            Self::Object { bucket, key, .. } => ["arn:aws:s3:::", &bucket.name, "/", key].concat(),
        }
    }
}

/// What a request's body says that policies may ask about.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::protocol) struct Said<'a> {
    /// The tags that it gives.
    pub tags: &'a [(String, String)],
    /// The region that it wants a bucket in.
    pub location: Option<&'a str>,
    /// The mode of a retention.
    pub lock_mode: Option<&'a str>,
    /// The end of a retention, in milliseconds since 1970.
    pub retain_until: Option<i64>,
    /// The status of a legal hold.
    pub legal_hold: Option<&'a str>,
}

/// One request, as the authorisation sees it.
pub(in crate::protocol) struct Asking<'a> {
    pub context: &'a RequestContext,
    pub headers: &'a HeaderMap,
    pub uri: &'a Uri,
    pub said: Said<'a>,
    pub now: Timestamp,
}

impl<'a> Asking<'a> {
    pub(in crate::protocol) fn new(context: &'a RequestContext, headers: &'a HeaderMap, uri: &'a Uri) -> Self {
        Self { context, headers, uri, said: Said::default(), now: Timestamp::now() }
    }

    fn caller(&self) -> Result<&'a Arc<Caller>> {
        self.context.caller().ok_or_else(|| Failure::new("AccessDenied"))
    }
}

/// Whose users the administrator's API is for, as far as their policies allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Administers {
    /// The operator's: the server's root account.
    Operator,
    /// The operator's, and those of the account that owns the bucket.
    OwnerToo,
}

/// An object of which something is asked.
type Found = Option<(VersionRecord, ObjectRecord)>;

/// Decides. Cheap to clone.
#[derive(Clone)]
pub(in crate::protocol) struct Decider {
    pub objects: Objects,
    pub accounts: Arc<Accounts>,
}

/// Who owns what is asked for, and what of that counts for the caller.
struct Ground<'a> {
    /// The owner's 12-digit id. An owner that this server does not know has its canonical id here, which is nobody's.
    owner: &'a str,
    /// Whether an access control list grants it.
    granted: bool,
    /// Whether the bucket's policy can allow it; it can always deny.
    policy_allows: bool,
}

impl Decider {
    /// Whether the caller may do all of `actions` that the request needs.
    ///
    /// # Errors
    /// `AccessDenied`; what is said of an object that does not exist, to a caller who may know that.
    pub(in crate::protocol) async fn authorize(
        &self,
        asking: &Asking<'_>,
        actions: &[Action],
        resource: Resource<'_>,
    ) -> Result<()> {
        for action in actions.iter().filter(|action| action.needed(asking.headers)) {
            self.authorize_one(asking, action, resource).await?;
        }
        Ok(())
    }

    async fn authorize_one(&self, asking: &Asking<'_>, action: &Action, resource: Resource<'_>) -> Result<()> {
        let caller = asking.caller()?;
        let name = action.name(resource.names_version());
        let Some(bucket) = resource.bucket() else {
            return authorize_in_own_account(asking, name, resource);
        };
        let owner = self.account_id(&bucket.owner);
        let is_root = caller.is_root_of(owner) && caller.policies.session.is_none();
        if is_root && POLICY_ACTIONS.contains(&name) {
            return conclude(asking, name, resource, &by_root(), owner);
        }
        let access = self.objects.bucket_access(bucket).await?;
        let others_own = access.ownership.effective().has_acls() && matches!(action.on, On::Object | On::NewObject);
        if is_root && access.policy.is_none() && (!others_own || caller.account.is_root()) {
            return conclude(asking, name, resource, &by_root(), owner);
        }
        let arn = resource.arn();
        let wanted = wanted(caller, &access, name, &arn);
        let mut missing = None;
        let found = if action.on.needs_object() && (others_own || wanted.has_under("s3:existingobjecttag/")) {
            self.look_up(resource, &mut missing).await?
        } else {
            None
        };
        let ground = self.ground(caller, &access, action, resource, &found).await?;
        let verdict = {
            let mut keys = conditions::wanted_of_request(asking, caller, &wanted);
            conditions::of_resource(&mut keys, resource, ground.owner, Some(&access), &wanted);
            conditions::of_object(&mut keys, found.as_ref().map_or(&[], |(_, object)| &object.attributes.tags));
            let verdict = evaluate(caller, name, &arn, &keys, &access, &ground);
            if ground.granted && verdict.is_allowed() && !is_root {
                let without = Ground { granted: false, ..ground };
                if !evaluate(caller, name, &arn, &keys, &access, &without).is_allowed() {
                    asking.context.note_needed_acl();
                }
            }
            verdict
        };
        if verdict == Verdict::NotAllowed {
            if action.on == On::Upload && self.initiated(caller, asking, resource).await? {
                let by = "who initiated the upload".to_owned();
                return conclude(asking, name, resource, &Verdict::Allowed { by }, owner);
            }
            if action.on.needs_object() && found.is_none() && missing.is_none() {
                self.look_up(resource, &mut missing).await?;
            }
            if let Some(missing) = missing
                && self.may_list(asking, resource).await?
            {
                return Err(missing);
            }
        }
        conclude(asking, name, resource, &verdict, owner)
    }

    /// The object that a decision is about. `missing` says how it would be missed.
    async fn look_up(&self, resource: Resource<'_>, missing: &mut Option<Failure>) -> Result<Found> {
        let Resource::Object { bucket, key, version } = resource else { return Ok(None) };
        let label = version.map(VersionLabel::parse);
        // What can be no version's id is the handler's to refuse.
        let Ok(label) = label.map_or(Ok(None), |label| label.map(Some).ok_or(())) else { return Ok(None) };
        match self.objects.object_version(bucket, key, label).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_missing(&error) => {
                *missing = Some(error.into());
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Who owns what is asked for, and what of lists and policy counts.
    async fn ground<'a>(
        &'a self,
        caller: &'a Caller,
        access: &BucketAccess,
        action: &Action,
        resource: Resource<'a>,
        found: &'a Found,
    ) -> Result<Ground<'a>> {
        let Some(bucket) = resource.bucket() else { return Err(Failure::new("InternalError")) };
        let has_acls = access.ownership.effective().has_acls();
        let bucket_owner = self.account_id(&bucket.owner);
        let object = found.as_ref().filter(|_| has_acls && action.on == On::Object);
        let owner_id = match (action.on, object) {
            (On::Object, Some((version, _))) => &version.owner,
            (On::NewObject, _) if has_acls => &caller.account.canonical_id,
            _ => &bucket.owner,
        };
        let policy = access.policy.as_ref();
        let acl = match (action.on, object) {
            _ if !has_acls => None,
            (On::Object, Some((_, object))) => object::object_acl(&object.attributes)?,
            (On::Object | On::Tags | On::NewObject, _) => None,
            (On::Bucket | On::Key | On::Upload | On::Account | On::NewBucket, _) => access.acl.clone(),
        };
        let is_public = acl.as_ref().is_some_and(Acl::is_public) || policy.is_some_and(|policy| policy.public);
        let block = if is_public {
            self.public_access_block(access, bucket_owner).await?
        } else {
            PublicAccessBlock::default()
        };
        let granted = match (action.granted_by, &acl) {
            (Some(permission), Some(acl)) if !(permission == Permission::Write && resource.names_version()) => {
                let public = if block.ignore_public_acls { PublicGrants::Ignored } else { PublicGrants::Count };
                acl.grants(requester(caller), permission, public)
            }
            // Whoever is nobody owns what they are let write, as every account does: no policy could say that they may.
            _ => action.on == On::NewObject && has_acls && caller.is_anonymous(),
        };
        let restricted = block.restrict_public_buckets
            && policy.is_some_and(|policy| policy.public)
            && !matches!(caller.principal, Principal::Service(_))
            && caller.principal.account() != Some(bucket_owner);
        let policy_allows = !restricted && (*owner_id == bucket.owner || action.on == On::NewObject);
        Ok(Ground { owner: self.account_id(owner_id), granted, policy_allows })
    }

    /// Whether the caller may do what the administrator's API offers. A bucket's policy neither allows nor denies it:
    /// what the operator sets is not the owner's to prevent.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(in crate::protocol) fn authorize_administration(
        &self,
        asking: &Asking<'_>,
        action: &str,
        bucket: Option<&BucketRecord>,
        who: Administers,
    ) -> Result<()> {
        let caller = asking.caller()?;
        let account = match bucket {
            Some(bucket) if who == Administers::OwnerToo && !caller.account.is_root() => self.account_id(&bucket.owner),
            _ => self.accounts.root().id.as_str(),
        };
        let resource = bucket.map_or(Resource::Account, Resource::Bucket);
        let mut keys = conditions::of_request(asking, caller);
        conditions::of_resource(&mut keys, resource, account, None, &Wanted::Everything);
        let arn = bucket.map_or_else(|| "*".to_owned(), |_| resource.arn());
        require(asking.context, action, &arn, account, &keys)
    }

    /// Block Public Access of a bucket and of its account, together.
    pub(in crate::protocol) async fn public_access_block(
        &self,
        access: &BucketAccess,
        owner: &str,
    ) -> Result<PublicAccessBlock> {
        let account = self.objects.account_public_access_block(owner).await?;
        Ok(access.public_access_block.unwrap_or_default().and(account.unwrap_or_default()))
    }

    /// Whether the caller initiated the upload that the request is about.
    async fn initiated(&self, caller: &Caller, asking: &Asking<'_>, resource: Resource<'_>) -> Result<bool> {
        let Resource::Object { bucket, key, .. } = resource else { return Ok(false) };
        let root_of_own =
            matches!(caller.principal, Principal::AccountRoot { .. }) && caller.policies.session.is_none();
        let id = crate::protocol::query::pairs(asking.uri).find(|(name, _)| name == "uploadId");
        let Some((_, id)) = id.filter(|_| root_of_own) else { return Ok(false) };
        match self.objects.upload(bucket, key, &id).await {
            Ok(upload) => Ok(upload.record.initiator == caller.account.canonical_id),
            Err(object::Error::Refused(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the caller may know which keys there are.
    pub(super) async fn may_list(&self, asking: &Asking<'_>, resource: Resource<'_>) -> Result<bool> {
        let Resource::Object { bucket, key, .. } = resource else { return Ok(false) };
        let caller = asking.caller()?;
        let access = self.objects.bucket_access(bucket).await?;
        let is_root = caller.is_root_of(self.account_id(&bucket.owner)) && caller.policies.session.is_none();
        if is_root && access.policy.is_none() {
            return Ok(true);
        }
        let resource = Resource::Bucket(bucket);
        let Some(action) = crate::protocol::actions::LISTS.first() else { return Ok(false) };
        let ground = self.ground(caller, &access, action, resource, &None).await?;
        let mut keys = conditions::of_request(asking, caller);
        conditions::of_resource(&mut keys, resource, ground.owner, Some(&access), &Wanted::Everything);
        // As a listing that would show the key, and no other.
        keys.insert("s3:prefix", key);
        Ok(evaluate(caller, action.name(false), &resource.arn(), &keys, &access, &ground).is_allowed())
    }

    /// Whether this policy, as the bucket's, would deny the caller to change it ever again.
    pub(in crate::protocol) fn locks_out(
        &self,
        asking: &Asking<'_>,
        bucket: &BucketRecord,
        policy: &iam::Policy,
    ) -> Result<bool> {
        let caller = asking.caller()?;
        let owner = self.account_id(&bucket.owner);
        if caller.is_root_of(owner) {
            return Ok(false);
        }
        let resource = Resource::Bucket(bucket);
        let mut keys = conditions::of_request(asking, caller);
        conditions::of_resource(&mut keys, resource, owner, None, &Wanted::Everything);
        let arn = resource.arn();
        let (principal, action) = (&caller.principal, "s3:PutBucketPolicy");
        let request = iam::Request { principal, action, resource: &arn, context: &keys };
        let policy = Some(Named { name: BUCKET_POLICY, policy });
        Ok(matches!(decide(caller, &request, policy, owner, false), Verdict::Denied { .. }))
    }

    /// The 12-digit id of the account with this canonical id.
    pub(in crate::protocol) fn account_id<'a>(&'a self, canonical_id: &'a str) -> &'a str {
        self.accounts.by_canonical_id(canonical_id).map_or(canonical_id, |account| &account.id)
    }
}

/// Whether the caller may do `action` to the account with this 12-digit id.
///
/// # Errors
/// `AccessDenied`.
pub(in crate::protocol) fn authorize_account(
    context: &RequestContext,
    (headers, uri): (&HeaderMap, &Uri),
    action: &str,
    account: &str,
) -> Result<()> {
    let asking = Asking::new(context, headers, uri);
    let mut keys = conditions::of_request(&asking, asking.caller()?);
    conditions::of_resource(&mut keys, Resource::Account, account, None, &Wanted::Everything);
    require(context, action, "*", account, &keys)
}

/// What needs no bucket: an identity's own policies decide.
fn authorize_in_own_account(asking: &Asking<'_>, name: &str, resource: Resource<'_>) -> Result<()> {
    let caller = asking.caller()?;
    let mut keys = conditions::of_request(asking, caller);
    conditions::of_resource(&mut keys, resource, &caller.account.id, None, &Wanted::Everything);
    require(asking.context, name, &resource.arn(), &caller.account.id, &keys)
}

/// Whether the caller may do an action that is about no bucket: those of IAM and STS, of accounts, of the operator.
/// `keys` has what is known of the request; what is known of the caller is added by whoever made it.
///
/// # Errors
/// `AccessDenied`.
pub(in crate::protocol) fn require(
    context: &RequestContext,
    action: &str,
    resource: &str,
    resource_account: &str,
    keys: &iam::Context,
) -> Result<()> {
    let caller = context.caller().ok_or_else(|| Failure::new("AccessDenied"))?;
    let verdict = if caller.is_root_of(resource_account) && caller.policies.session.is_none() {
        by_root()
    } else {
        let request = iam::Request { principal: &caller.principal, action, resource, context: keys };
        decide(caller, &request, None, resource_account, false)
    };
    note(context, action, || resource.to_owned(), &verdict);
    if verdict.is_allowed() { Ok(()) } else { Err(denied(context, (action, resource), &verdict, resource_account)) }
}

fn by_root() -> Verdict {
    Verdict::Allowed { by: ACCOUNT_ROOT.to_owned() }
}

fn requester(caller: &Caller) -> Requester<'_> {
    if caller.is_anonymous() { Requester::Anonymous } else { Requester::Account(&caller.account.canonical_id) }
}

/// The condition keys that matter: those that the caller's policies and the bucket's ask for.
fn wanted<'a>(caller: &'a Caller, access: &'a BucketAccess, action: &str, arn: &str) -> Wanted<'a> {
    let own = caller.policies.about(arn).map(|named| &*named.policy);
    Wanted::of(own.chain(access.policy.as_ref().map(|policy| &policy.parsed)), action, arn)
}

/// Whether an error says that there is no such object, or that it is deleted.
fn is_missing(error: &object::Error) -> bool {
    match error {
        object::Error::Refused(refusal) => matches!(refusal.code, Code::NoSuchKey | Code::NoSuchVersion),
        object::Error::DeleteMarker { .. } => true,
        _ => false,
    }
}

/// Whether an error tells a reader that a key does not exist.
pub(super) fn tells_of_absence(failure: &Failure) -> bool {
    match failure {
        Failure::Object(object::Error::Refused(refusal)) => refusal.code == Code::NoSuchKey,
        Failure::Object(object::Error::DeleteMarker { addressed, .. }) => *addressed == Addressed::Current,
        _ => false,
    }
}

fn evaluate(
    caller: &Caller,
    action: &str,
    resource: &str,
    keys: &iam::Context,
    access: &BucketAccess,
    ground: &Ground<'_>,
) -> Verdict {
    let request = iam::Request { principal: &caller.principal, action, resource, context: keys };
    let policy = access.policy.as_ref().map(|policy| Named { name: BUCKET_POLICY, policy: &policy.parsed });
    if !ground.policy_allows {
        // What the policy allows does not count here; what it denies does.
        let verdict = decide(caller, &request, policy, ground.owner, ground.granted);
        if matches!(verdict, Verdict::Denied { .. }) {
            return verdict;
        }
        return decide(caller, &request, None, ground.owner, ground.granted);
    }
    decide(caller, &request, policy, ground.owner, ground.granted)
}

/// Asks the evaluator, with the caller's own policies.
fn decide(
    caller: &Caller,
    request: &iam::Request<'_>,
    resource: Option<Named<'_>>,
    resource_account: &str,
    granted: bool,
) -> Verdict {
    let granted = granted || caller.is_root_of(resource_account);
    caller.decide(request, &ResourceSide { account: resource_account, policy: resource, granted })
}

fn note(context: &RequestContext, action: &str, resource: impl FnOnce() -> String, verdict: &Verdict) {
    context.note_decision(|| Decision {
        action: action.to_owned(),
        resource: resource(),
        allowed: verdict.is_allowed(),
        by: match verdict {
            Verdict::Allowed { by } | Verdict::Denied { by } => by.clone(),
            Verdict::NotAllowed => "no policy allows it".to_owned(),
        },
    });
}

fn conclude(asking: &Asking<'_>, action: &str, resource: Resource<'_>, verdict: &Verdict, owner: &str) -> Result<()> {
    note(asking.context, action, || resource.arn(), verdict);
    if verdict.is_allowed() {
        return Ok(());
    }
    Err(denied(asking.context, (action, &resource.arn()), verdict, owner))
}

/// The refusal. Why is told to those of the resource's own account only.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html>
fn denied(context: &RequestContext, (action, resource): (&str, &str), verdict: &Verdict, owner: &str) -> Failure {
    let own = context.caller().filter(|caller| caller.principal.account() == Some(owner));
    let Some((caller, arn)) = own.and_then(|caller| Some((caller, caller.principal.arn()?))) else {
        return Failure::new("AccessDenied");
    };
    let why = match verdict {
        Verdict::Denied { by } => format!("with an explicit deny in {by}"),
        Verdict::NotAllowed | Verdict::Allowed { .. } => {
            format!("because no identity-based policy allows the {action} action")
        }
    };
    let message = format!("User: {arn} is not authorized to perform: {action} on resource: \"{resource}\" {why}");
    let failure = Failure::with_message("AccessDenied", message);
    match context.encode(&Denial { caller, action, resource, verdict }) {
        Some(encoded) => failure.with(ENCODED_MESSAGE, encoded),
        None => failure,
    }
}
