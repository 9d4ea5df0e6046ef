//! `cairn iam`: questions about permissions, put to a running server through IAM's own API.

#![allow(clippy::doc_markdown, reason = "doc comments on flags are help texts for terminals")]

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::Failure;
use super::client::{Client, ServerArgs, block_on, print};

#[derive(Debug, Subcommand)]
pub(super) enum IamCommand {
    Explain(ExplainArgs),
}

/// Say why a request would be allowed or denied, and by which statement
///
/// The server evaluates the policies of the principal, its groups and its permission boundary as it would for a real
/// request (SimulatePrincipalPolicy); for a resource of S3 the bucket's policy is taken into account.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Who would ask: the ARN of a user, group or role
    #[arg(long, value_name = "ARN")]
    principal: String,
    /// What it would do; may be repeated
    #[arg(long, value_name = "SERVICE:ACTION", required = true)]
    action: Vec<String>,
    /// What it would do that to; may be repeated
    #[arg(long, value_name = "ARN", default_value = "*")]
    resource: Vec<String>,
    /// A condition key of the request, such as aws:SourceIp=10.0.0.1; may be repeated, also for one key
    #[arg(long, value_name = "KEY=VALUE")]
    context: Vec<String>,
    /// The account that owns the resource, as arn:aws:iam::ACCOUNT:root, if it is not the principal's
    #[arg(long, value_name = "ARN")]
    resource_owner: Option<String>,
}

const EXAMPLES: &str = "\
Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or from
CAIRN_ROOT_ACCESS_KEY_ID and CAIRN_ROOT_SECRET_ACCESS_KEY. They need iam:SimulatePrincipalPolicy.

Example:
  cairn iam explain --endpoint http://localhost:9000 \\
      --principal arn:aws:iam::000000000001:user/anna \\
      --action s3:GetObject --resource arn:aws:s3:::photos/2026/cat.jpg \\
      --context aws:SourceIp=192.0.2.7";

/// Bytes of a bucket policy that is looked at; AWS allows 20 KiB.
const MAX_BUCKET_POLICY_BYTES: usize = 20 << 10;

pub(super) fn run(command: IamCommand) -> Result<(), Failure> {
    let IamCommand::Explain(args) = command;
    print(&block_on(explain(&args))?);
    Ok(())
}

async fn explain(args: &ExplainArgs) -> Result<String, Failure> {
    let client = Client::new(&args.server)?;
    let bucket_policy = bucket_policy(&client, &args.resource).await?;
    let form = form(args, bucket_policy.as_deref())?;
    let answer = client.send("iam", "POST", "/", &[], form.as_bytes()).await?;
    if answer.status != 200 {
        return Err(answer.failure("SimulatePrincipalPolicy").into());
    }
    let results = results(&answer.text)?;
    if results.is_empty() {
        return Err("the server's answer holds no result".into());
    }
    Ok(results.iter().map(Evaluated::text).collect::<Vec<_>>().join("\n"))
}

/// The policy of the bucket that all resources are of, if they are of one.
async fn bucket_policy(client: &Client, resources: &[String]) -> Result<Option<String>, Failure> {
    let bucket = |resource: &String| {
        let name = resource.strip_prefix("arn:aws:s3:::")?.split('/').next()?;
        (!name.is_empty() && !name.contains(['*', '?', '$'])).then(|| name.to_owned())
    };
    let mut buckets: Vec<Option<String>> = resources.iter().map(bucket).collect();
    buckets.dedup();
    let [Some(bucket)] = buckets.as_slice() else { return Ok(None) };
    let answer = client.send("s3", "GET", &format!("/{bucket}"), &[("policy", "")], &[]).await?;
    match answer.status {
        200 if answer.text.len() <= MAX_BUCKET_POLICY_BYTES => Ok(Some(answer.text)),
        // A bucket that is not there, or has no policy, adds nothing.
        404 => Ok(None),
        _ => Err(answer.failure("GetBucketPolicy").into()),
    }
}

fn form(args: &ExplainArgs, bucket_policy: Option<&str>) -> Result<String, Failure> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", "SimulatePrincipalPolicy").append_pair("Version", "2010-05-08");
    form.append_pair("PolicySourceArn", &args.principal);
    for (list, values) in [("ActionNames", &args.action), ("ResourceArns", &args.resource)] {
        for (number, value) in (1..).zip(values) {
            form.append_pair(&format!("{list}.member.{number}"), value);
        }
    }
    for (number, (key, values)) in (1..).zip(context(&args.context)?) {
        let entry = format!("ContextEntries.member.{number}");
        let kind = if values.len() > 1 { "stringList" } else { "string" };
        form.append_pair(&format!("{entry}.ContextKeyName"), key);
        form.append_pair(&format!("{entry}.ContextKeyType"), kind);
        for (number, value) in (1..).zip(values) {
            form.append_pair(&format!("{entry}.ContextKeyValues.member.{number}"), value);
        }
    }
    let further = [
        ("ResourcePolicy", bucket_policy),
        ("ResourceOwner", args.resource_owner.as_deref()),
        // The evaluation needs to know who the resource's policy speaks of.
        ("CallerArn", bucket_policy.filter(|_| args.principal.contains(":user/")).map(|_| args.principal.as_str())),
    ];
    for (name, value) in further {
        if let Some(value) = value {
            form.append_pair(name, value);
        }
    }
    Ok(form.finish())
}

/// Condition keys with their values, in the order of their first appearance.
fn context(given: &[String]) -> Result<Vec<(&str, Vec<&str>)>, Failure> {
    let mut keys: Vec<(&str, Vec<&str>)> = Vec::new();
    for pair in given {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("--context {pair:?} is not KEY=VALUE"))?;
        match keys.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(key)) {
            Some((_, values)) => values.push(value),
            None => keys.push((key, vec![value])),
        }
    }
    Ok(keys)
}

/// What the server says of one action on one resource.
#[derive(Debug, Default, PartialEq, Eq)]
struct Evaluated {
    action: String,
    resource: String,
    decision: String,
    statements: Vec<String>,
    missing: Vec<String>,
    boundary_allows: Option<bool>,
}

impl Evaluated {
    fn text(&self) -> String {
        let (verdict, reason) = match self.decision.as_str() {
            "allowed" => ("ALLOWED", "allowed by"),
            "explicitDeny" => ("DENIED", "denied by"),
            _ => ("DENIED", "no statement allows it"),
        };
        let mut text = format!("{verdict}  {} on {}\n", self.action, self.resource);
        // Writing to a String cannot fail.
        match self.statements.as_slice() {
            [] => {
                let _ = writeln!(text, "  {}", if verdict == "ALLOWED" { "allowed by the owner" } else { reason });
            }
            statements => {
                for statement in statements {
                    let _ = writeln!(text, "  {reason} {statement}");
                }
            }
        }
        if self.boundary_allows == Some(false) {
            let _ = writeln!(text, "  the permissions boundary does not allow it");
        }
        if !self.missing.is_empty() {
            let _ = writeln!(
                text,
                "  policies ask for condition keys that were not given (--context): {}",
                self.missing.join(", ")
            );
        }
        text
    }
}

/// Reads the results out of the answer.
fn results(xml: &str) -> Result<Vec<Evaluated>, Failure> {
    let mut reader = Reader::from_str(xml);
    let (mut path, mut results): (Vec<String>, Vec<Evaluated>) = (Vec::new(), Vec::new());
    let mut text = String::new();
    loop {
        match reader.read_event()? {
            Event::Start(start) => {
                path.push(start.local_name().as_ref().to_owned());
                text.clear();
                if path.ends_with(&["EvaluationResults".to_owned(), "member".to_owned()]) {
                    results.push(Evaluated::default());
                }
            }
            Event::Text(part) => text.push_str(&part),
            Event::GeneralRef(reference) => {
                let name = format!("&{};", &*reference);
                text.push_str(&quick_xml::escape::unescape(&name)?);
            }
            Event::End(_) => {
                if let Some(result) = results.last_mut() {
                    result.note(&path, &text);
                }
                text.clear();
                path.pop();
            }
            Event::Eof => return Ok(results),
            _ => {}
        }
    }
}

impl Evaluated {
    /// Takes one element's text. What follows the results' list has other names.
    fn note(&mut self, path: &[String], text: &str) {
        let name = path.last().map(String::as_str).unwrap_or_default();
        let parent = path.iter().rev().nth(1).map(String::as_str).unwrap_or_default();
        match (parent, name) {
            ("member", "EvalActionName") => text.clone_into(&mut self.action),
            ("member", "EvalResourceName") if self.resource.is_empty() => text.clone_into(&mut self.resource),
            ("member", "EvalDecision") if self.decision.is_empty() => text.clone_into(&mut self.decision),
            ("member", "SourcePolicyId") if !self.statements.iter().any(|known| known == text) => {
                self.statements.push(text.to_owned());
            }
            ("MissingContextValues", "member") => self.missing.push(text.to_owned()),
            (_, "AllowedByPermissionsBoundary") => self.boundary_allows = Some(text == "true"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_becomes_lines_for_people() {
        let xml = "<SimulatePrincipalPolicyResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\
            <SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults><member>\
            <EvalActionName>s3:GetObject</EvalActionName><EvalResourceName>arn:aws:s3:::b/a&amp;b</EvalResourceName>\
            <EvalDecision>explicitDeny</EvalDecision><MatchedStatements><member><SourcePolicyId>inline no#1</SourcePolicyId>\
            <SourcePolicyType>IAM Policy</SourcePolicyType></member></MatchedStatements><MissingContextValues>\
            <member>aws:SourceIp</member></MissingContextValues></member><member><EvalActionName>s3:PutObject</EvalActionName>\
            <EvalResourceName>*</EvalResourceName><EvalDecision>implicitDeny</EvalDecision><MatchedStatements/>\
            <PermissionsBoundaryDecisionDetail><AllowedByPermissionsBoundary>false</AllowedByPermissionsBoundary>\
            </PermissionsBoundaryDecisionDetail></member></EvaluationResults></SimulatePrincipalPolicyResult>\
            </SimulatePrincipalPolicyResponse>";
        let results = results(xml).expect("XML");
        let text: Vec<_> = results.iter().map(Evaluated::text).collect();
        assert_eq!(
            text,
            [
                "DENIED  s3:GetObject on arn:aws:s3:::b/a&b\n  denied by inline no#1\n  policies ask for condition \
                 keys that were not given (--context): aws:SourceIp\n",
                "DENIED  s3:PutObject on *\n  no statement allows it\n  the permissions boundary does not allow it\n",
            ]
        );
    }

    #[test]
    fn context_keys_gather_their_values() {
        let given = ["aws:SourceIp=10.0.0.1", "aws:TagKeys=a", "aws:tagkeys=b=c"].map(str::to_owned);
        let expected = vec![("aws:SourceIp", vec!["10.0.0.1"]), ("aws:TagKeys", vec!["a", "b=c"])];
        assert_eq!(context(&given).expect("pairs"), expected);
        assert!(context(&["no-pair".to_owned()]).is_err());
    }
}
