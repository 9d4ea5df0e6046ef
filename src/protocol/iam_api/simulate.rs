//! What policies would allow: SimulatePrincipalPolicy, SimulateCustomPolicy, and the keys that they would ask for.
//!
//! The evaluator is the one that decides about requests. A simulation changes nothing and reads no bucket's policy but
//! the one that it is given.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::StatusCode;

use super::Iam;
use super::context_keys;
use super::parameters::write_page;
use crate::identity::records::EntityKind;
use crate::identity::{NamedPolicy, Page, PrincipalRecord, PrincipalRef, parse_arn};
use crate::protocol::query_api::{Answer, QueryError, Xml};
use crate::rules::iam::{self, Context, Named, Policy, PolicyKind, Principal, Verdict};

/// Questions that one simulation answers: actions times resources.
const MAX_QUESTIONS: usize = 1_000;

/// What is simulated.
struct Simulation {
    principal: Principal,
    identity: Vec<NamedPolicy>,
    boundary: Option<NamedPolicy>,
    resource: Option<Policy>,
    resource_account: String,
    context: Context,
    given: BTreeSet<String>,
    asked: BTreeSet<String>,
}

/// One question's answer.
struct Evaluated {
    action: String,
    resource: String,
    verdict: Verdict,
    allowed_by_boundary: Option<bool>,
}

/// A user, group or role of the account, by its ARN.
async fn source(iam: &Iam<'_>, arn: &str) -> Result<PrincipalRecord, QueryError> {
    let kinds = [(EntityKind::User, "user"), (EntityKind::Group, "group"), (EntityKind::Role, "role")];
    let named = kinds.into_iter().find_map(|(kind, word)| parse_arn(arn, word).map(|(of, _, name)| (kind, of, name)));
    let Some((kind, of, name)) = named else {
        let message = format!("Invalid ARN {arn}: it must be that of a user, group or role.");
        return Err(QueryError::new(StatusCode::BAD_REQUEST, "InvalidInput", message));
    };
    if of != iam.account {
        let message = format!("{arn} is of another account.");
        return Err(QueryError::new(StatusCode::NOT_FOUND, "NoSuchEntity", message));
    }
    Ok(iam.identities.principal(iam.account, &PrincipalRef { kind, name: name.to_owned() }).await?)
}

/// The texts of an entity's policies.
async fn texts_of(iam: &Iam<'_>, record: &PrincipalRecord) -> Result<Vec<String>, QueryError> {
    let mut sets = vec![record.policies().clone()];
    if let PrincipalRecord::User(user) = record {
        let whole = crate::identity::PageRequest { after: None, limit: usize::MAX };
        let groups = iam.identities.groups_of(iam.account, &user.name, &whole).await?;
        sets.extend(groups.items.into_iter().map(|group| group.policies));
    }
    let mut texts = Vec::new();
    for set in sets {
        texts.extend(set.inline.into_iter().map(|policy| policy.document));
        for arn in &set.attached {
            texts.extend(iam.identities.managed_text(arn).await?);
        }
    }
    Ok(texts)
}

fn parsed(text: &str, kind: PolicyKind<'_>) -> Result<Policy, QueryError> {
    Policy::parse(text, kind)
        .map_err(|fault| QueryError::new(StatusCode::BAD_REQUEST, "InvalidInput", format!("Invalid policy: {fault}")))
}

fn given_policies(texts: &[String], label: &str) -> Result<Vec<NamedPolicy>, QueryError> {
    let named = |(number, text): (usize, &String)| {
        let policy = Arc::new(parsed(text, PolicyKind::Identity)?);
        Ok(NamedPolicy::new(format!("{label}.{}", number + 1), policy))
    };
    texts.iter().enumerate().map(named).collect()
}

impl Simulation {
    /// What is simulated whatever the policies are from: context, resource policy, boundary.
    fn new(iam: &Iam<'_>, principal: Principal) -> Result<Self, QueryError> {
        let form = iam.form();
        let (mut context, mut given, mut asked) = (Context::new(), BTreeSet::new(), BTreeSet::new());
        for (number, [name]) in form.fields("ContextEntries", ["ContextKeyName"])?.into_iter().enumerate() {
            let name = name.unwrap_or_default().to_lowercase();
            // Entries are numbered from one, without gaps: the members' own numbers are those of the list.
            for value in form.list(&format!("ContextEntries.member.{}.ContextKeyValues", number + 1))? {
                context.push(name.as_str(), value);
            }
            given.insert(name);
        }
        let resource = form.text("ResourcePolicy").map(|text| {
            context_keys::collect(text, &mut asked);
            // A bucket's policy must speak of that bucket; other resources' policies are like trust policies.
            let bucket = form.text("ResourceArns.member.1").and_then(|arn| arn.strip_prefix("arn:aws:s3:::"));
            match bucket.and_then(|rest| rest.split('/').next()) {
                Some(bucket) => parsed(text, PolicyKind::Bucket { bucket }),
                None => parsed(text, PolicyKind::Trust),
            }
        });
        let boundaries = form.list("PermissionsBoundaryPolicyInputList")?;
        context_keys::collect_all(&boundaries, &mut asked);
        let boundary = given_policies(&boundaries, "PermissionsBoundaryPolicyInputList")?.into_iter().next();
        let owner = form.text("ResourceOwner").and_then(|arn| arn.split(':').nth(4));
        Ok(Self {
            principal,
            identity: Vec::new(),
            boundary,
            resource: resource.transpose()?,
            resource_account: owner.unwrap_or(iam.account).to_owned(),
            context,
            given,
            asked,
        })
    }

    /// A key that is known without being given.
    fn know(&mut self, key: &str, value: &str) {
        if self.given.insert(key.to_owned()) {
            self.context.insert(key, value);
        }
    }

    fn evaluate(&self, action: &str, resource: &str) -> Evaluated {
        let identity: Vec<Named<'_>> = self.identity.iter().map(NamedPolicy::named).collect();
        let request = iam::Request { principal: &self.principal, action, resource, context: &self.context };
        let decide = |boundary: Option<Named<'_>>| {
            let policies = iam::Policies {
                identity: &identity,
                boundary,
                session: None,
                resource: self.resource.as_ref().map(|policy| Named { name: "ResourcePolicy", policy }),
                resource_account: &self.resource_account,
                granted_by_owner: false,
            };
            iam::decide(&request, &policies)
        };
        let boundary = self.boundary.as_ref().map(NamedPolicy::named);
        let alone = |boundary: Named<'_>| {
            let only = [boundary];
            let policies = iam::Policies {
                identity: &only,
                boundary: None,
                session: None,
                resource: None,
                resource_account: &self.resource_account,
                granted_by_owner: false,
            };
            iam::decide(&request, &policies).is_allowed()
        };
        Evaluated {
            action: action.to_owned(),
            resource: resource.to_owned(),
            verdict: decide(boundary),
            allowed_by_boundary: boundary.map(alone),
        }
    }

    fn answer(&self, iam: &Iam<'_>) -> Answer {
        let form = iam.form();
        let actions = form.list("ActionNames")?;
        if actions.is_empty() {
            form.required("ActionNames")?;
        }
        let mut resources = form.list("ResourceArns")?;
        if resources.is_empty() {
            resources.push("*".to_owned());
        }
        if actions.len().saturating_mul(resources.len()) > MAX_QUESTIONS {
            let message = format!("A simulation has at most {MAX_QUESTIONS} pairs of an action and a resource.");
            return Err(QueryError::new(StatusCode::BAD_REQUEST, "InvalidInput", message));
        }
        if let Some(malformed) = actions.iter().find(|action| !is_action(action)) {
            let message = format!("Invalid action {malformed}: it must be that of a service, without wildcards.");
            return Err(QueryError::new(StatusCode::BAD_REQUEST, "InvalidInput", message));
        }
        let pairs = actions.iter().flat_map(|action| resources.iter().map(move |resource| (action, resource)));
        let results: Vec<Evaluated> = pairs.map(|(action, resource)| self.evaluate(action, resource)).collect();
        let missing: Vec<&String> = self.asked.iter().filter(|key| !self.given.contains(&key.to_lowercase())).collect();
        let page = Page::of(
            results.into_iter().enumerate().collect(),
            |(number, _): &(usize, Evaluated)| format!("{number:05}"),
            &iam.page()?,
        );
        let mut xml = Xml::new();
        xml.list("EvaluationResults", &page.items, |xml, (_, result)| write(xml, result, &missing));
        write_page(&mut xml, page.next.as_deref());
        Ok(xml)
    }
}

fn is_action(action: &str) -> bool {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    action.split_once(':').is_some_and(|(service, name)| plain(service) && plain(name))
}

fn write(xml: &mut Xml, result: &Evaluated, missing: &[&String]) {
    xml.text("EvalActionName", &result.action);
    xml.text("EvalResourceName", &result.resource);
    let (decision, by) = match &result.verdict {
        Verdict::Allowed { by } => ("allowed", Some(by)),
        Verdict::Denied { by } => ("explicitDeny", Some(by)),
        Verdict::NotAllowed => ("implicitDeny", None),
    };
    xml.text("EvalDecision", decision);
    xml.list("MatchedStatements", by, |xml, by| {
        xml.text("SourcePolicyId", by);
        let kind = if by.starts_with("ResourcePolicy") { "Resource Policy" } else { "IAM Policy" };
        xml.text("SourcePolicyType", kind);
    });
    xml.texts("MissingContextValues", missing);
    if let Some(allowed) = result.allowed_by_boundary {
        xml.element("PermissionsBoundaryDecisionDetail", |xml| {
            xml.text("AllowedByPermissionsBoundary", if allowed { "true" } else { "false" });
        });
    }
}

/// The policies of a user, group or role, and those that the request adds.
pub(super) async fn principal(iam: &Iam<'_>) -> Answer {
    let arn = iam.form().required("PolicySourceArn")?;
    let record = source(iam, arn).await?;
    let (account, arn, unique_id) = (iam.account.to_owned(), arn.to_owned(), record.id().to_owned());
    let simulated = match &record {
        PrincipalRecord::Role(_) => {
            let session_arn = format!("arn:aws:sts::{account}:assumed-role/{}/simulation", record.name());
            Principal::AssumedRole { account, role_arn: arn.clone(), session_arn, unique_id }
        }
        PrincipalRecord::User(_) | PrincipalRecord::Group(_) => {
            let arn = iam.form().text("CallerArn").unwrap_or(&arn).to_owned();
            Principal::User { account, arn, unique_id }
        }
    };
    let mut simulation = Simulation::new(iam, simulated)?;
    simulation.know("aws:principalarn", &arn);
    simulation.know("aws:principalaccount", iam.account);
    if let PrincipalRecord::User(user) = &record {
        simulation.know("aws:username", &user.name);
        simulation.know("aws:userid", &user.id);
        for (key, value) in &user.tags {
            simulation.know(&format!("aws:principaltag/{}", key.to_lowercase()), value);
        }
    }
    context_keys::collect_all(&texts_of(iam, &record).await?, &mut simulation.asked);
    let policies = iam.identities.policies_of(&record).await?;
    simulation.identity = policies.identity;
    simulation.boundary = simulation.boundary.take().or(policies.boundary);
    let added = iam.form().list("PolicyInputList")?;
    context_keys::collect_all(&added, &mut simulation.asked);
    simulation.identity.extend(given_policies(&added, "PolicyInputList")?);
    simulation.answer(iam)
}

/// The policies that the request brings, and no others.
pub(super) async fn custom(iam: &Iam<'_>) -> Answer {
    let texts = iam.form().list("PolicyInputList")?;
    if texts.is_empty() {
        iam.form().required("PolicyInputList")?;
    }
    let arn = match iam.form().text("CallerArn") {
        Some(arn) => arn.to_owned(),
        None => crate::identity::user_arn(iam.account, "/", "simulation"),
    };
    let principal = Principal::User { account: iam.account.to_owned(), arn, unique_id: String::new() };
    let mut simulation = Simulation::new(iam, principal)?;
    context_keys::collect_all(&texts, &mut simulation.asked);
    simulation.identity = given_policies(&texts, "PolicyInputList")?;
    simulation.answer(iam)
}

fn write_keys(texts: &[String]) -> Xml {
    let mut keys = BTreeSet::new();
    context_keys::collect_all(texts, &mut keys);
    let mut xml = Xml::new();
    xml.texts("ContextKeyNames", keys);
    xml
}

pub(super) async fn context_keys_of_custom(iam: &Iam<'_>) -> Answer {
    Ok(write_keys(&iam.form().list("PolicyInputList")?))
}

pub(super) async fn context_keys_of_principal(iam: &Iam<'_>) -> Answer {
    let record = source(iam, iam.form().required("PolicySourceArn")?).await?;
    let mut texts = texts_of(iam, &record).await?;
    texts.extend(iam.form().list("PolicyInputList")?);
    Ok(write_keys(&texts))
}
