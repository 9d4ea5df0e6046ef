//! Amazon Resource Names. <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>

use super::context::Context;
use super::variables::{Syntax, Template};

/// An ARN, cut at its first five colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arn<'a> {
    /// `aws`
    pub partition: &'a str,
    /// Such as `iam` or `s3`.
    pub service: &'a str,
    /// Empty for IAM and S3.
    pub region: &'a str,
    /// Empty for S3.
    pub account: &'a str,
    /// The rest, colons included.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Cuts an ARN; `None` for what has not six parts or does not begin with `arn`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
        Some(Self {
            partition: parts.next()?,
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        })
    }

    fn parts(&self) -> [&'a str; 5] {
        [self.partition, self.service, self.region, self.account, self.resource]
    }
}

/// A value of `ArnEquals` or `ArnLike`: each part is matched for itself.
#[derive(Debug, Clone)]
pub(super) enum ArnPattern {
    /// The parts behind `arn:`.
    Parts(Box<[Template; 5]>),
    /// What is no whole ARN, such as `*` or a variable: matched as one text, and only against ARNs.
    Whole(Template),
}

impl ArnPattern {
    /// Reads a value.
    ///
    /// # Errors
    /// What is wrong with a variable.
    pub fn parse(text: &str, variables: bool) -> Result<Self, String> {
        let whole = Template::parse(text, Syntax::Wild, variables)?;
        Ok(match <[Template; 6]>::try_from(whole.clone().split(6)) {
            Ok([arn, parts @ ..]) if arn.literal() == Some("arn") => Self::Parts(Box::new(parts)),
            _ => Self::Whole(whole),
        })
    }

    /// Whether `text` is an ARN that matches.
    pub fn matches(&self, text: &str, context: &Context) -> bool {
        let Some(arn) = Arn::parse(text) else { return false };
        match self {
            Self::Parts(parts) => parts.iter().zip(arn.parts()).all(|(template, part)| template.matches(part, context)),
            Self::Whole(template) => template.matches(text, context),
        }
    }

    /// The templates of which it is made.
    pub fn templates(&self) -> &[Template] {
        match self {
            Self::Parts(parts) => parts.as_slice(),
            Self::Whole(template) => std::slice::from_ref(template),
        }
    }
}
