//! The condition operators.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use std::cmp::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::arn::ArnPattern;
use super::condition::Set;
use super::context::Context;
use super::variables::{Syntax, Template};

/// An operator's name, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    pub set: Set,
    pub family: Family,
    pub negated: bool,
    pub if_exists: bool,
}

/// What kind of values an operator compares, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Text(Syntax),
    Bool,
    Number(Relation),
    Date(Relation),
    Binary,
    Address,
    Arn,
    Null,
}

/// What the request's value must be to the policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Values of a policy, ready to be compared.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Text(Vec<Template>),
    Number(Relation, Vec<f64>),
    Date(Relation, Vec<Timestamp>),
    Binary(Vec<Vec<u8>>),
    Address(Vec<IpNet>),
    Arn(Vec<ArnPattern>),
    /// `Null`: whether the key must be absent.
    Absent(Vec<bool>),
}

/// Name in lower case, family, whether negated.
const OPERATORS: &[(&str, Family, bool)] = &[
    ("stringequals", Family::Text(Syntax::Exact), false),
    ("stringnotequals", Family::Text(Syntax::Exact), true),
    ("stringequalsignorecase", Family::Text(Syntax::IgnoreCase), false),
    ("stringnotequalsignorecase", Family::Text(Syntax::IgnoreCase), true),
    ("stringlike", Family::Text(Syntax::Wild), false),
    ("stringnotlike", Family::Text(Syntax::Wild), true),
    ("numericequals", Family::Number(Relation::Equal), false),
    ("numericnotequals", Family::Number(Relation::Equal), true),
    ("numericlessthan", Family::Number(Relation::Less), false),
    ("numericlessthanequals", Family::Number(Relation::LessOrEqual), false),
    ("numericgreaterthan", Family::Number(Relation::Greater), false),
    ("numericgreaterthanequals", Family::Number(Relation::GreaterOrEqual), false),
    ("dateequals", Family::Date(Relation::Equal), false),
    ("datenotequals", Family::Date(Relation::Equal), true),
    ("datelessthan", Family::Date(Relation::Less), false),
    ("datelessthanequals", Family::Date(Relation::LessOrEqual), false),
    ("dategreaterthan", Family::Date(Relation::Greater), false),
    ("dategreaterthanequals", Family::Date(Relation::GreaterOrEqual), false),
    ("bool", Family::Bool, false),
    ("binaryequals", Family::Binary, false),
    ("ipaddress", Family::Address, false),
    ("notipaddress", Family::Address, true),
    ("arnequals", Family::Arn, false),
    ("arnlike", Family::Arn, false),
    ("arnnotequals", Family::Arn, true),
    ("arnnotlike", Family::Arn, true),
    ("null", Family::Null, false),
];

impl Operator {
    /// Reads a name, in any case of letters as AWS does.
    ///
    /// # Errors
    /// AWS's message for an unknown operator.
    pub fn parse(name: &str) -> Result<Self, String> {
        let lower = name.to_ascii_lowercase();
        let (set, rest) = match lower.split_once(':') {
            Some(("forallvalues", rest)) => (Set::All, rest),
            Some(("foranyvalue", rest)) => (Set::Any, rest),
            _ => (Set::Single, &*lower),
        };
        let (base, if_exists) = rest.strip_suffix("ifexists").map_or((rest, false), |base| (base, true));
        let known = OPERATORS.iter().find(|(known, ..)| *known == base);
        match known {
            // Whether a key exists is what Null itself asks.
            Some((_, family, negated)) if !(if_exists && *family == Family::Null) => {
                Ok(Self { set, family: *family, negated: *negated, if_exists })
            }
            _ => Err(format!("Invalid Condition type : {name}")),
        }
    }
}

impl Family {
    /// Reads the policy's values.
    ///
    /// # Errors
    /// Which value is none of the operator's type.
    pub fn test(self, values: &[String], variables: bool) -> Result<Test, String> {
        let template = |syntax: Syntax| move |value: &String| Template::parse(value, syntax, variables);
        Ok(match self {
            Self::Text(syntax) => Test::Text(values.iter().map(template(syntax)).collect::<Result<_, _>>()?),
            Self::Bool => {
                let templates: Vec<_> = values.iter().map(template(Syntax::IgnoreCase)).collect::<Result<_, _>>()?;
                for text in templates.iter().filter_map(Template::literal) {
                    boolean(text).ok_or_else(|| invalid(text, "true or false"))?;
                }
                Test::Text(templates)
            }
            Self::Number(relation) => Test::Number(relation, each(values, number, "a number")?),
            Self::Date(relation) => Test::Date(relation, each(values, date, "an ISO 8601 date or seconds since 1970")?),
            Self::Binary => Test::Binary(each(values, binary, "base64")?),
            Self::Address => Test::Address(each(values, network, "an IP address or a CIDR range")?),
            Self::Arn => {
                let patterns = values.iter().map(|value| ArnPattern::parse(value, variables));
                Test::Arn(patterns.collect::<Result<_, _>>()?)
            }
            Self::Null => Test::Absent(each(values, boolean, "true or false")?),
        })
    }
}

fn invalid(value: &str, wanted: &str) -> String {
    format!("Invalid condition value \"{value}\": it must be {wanted}")
}

fn each<T>(values: &[String], read: fn(&str) -> Option<T>, wanted: &str) -> Result<Vec<T>, String> {
    values.iter().map(|value| read(value).ok_or_else(|| invalid(value, wanted))).collect()
}

impl Test {
    /// Whether a value of the request matches one of the policy's. What is not of the operator's type matches none.
    pub fn matches(&self, value: &str, context: &Context) -> bool {
        match self {
            Self::Text(templates) => templates.iter().any(|template| template.matches(value, context)),
            Self::Arn(patterns) => patterns.iter().any(|pattern| pattern.matches(value, context)),
            Self::Number(relation, numbers) => number(value).is_some_and(|value| {
                numbers.iter().any(|number| value.partial_cmp(number).is_some_and(|order| relation.holds(order)))
            }),
            Self::Date(relation, dates) => {
                date(value).is_some_and(|value| dates.iter().any(|date| relation.holds(value.cmp(date))))
            }
            Self::Binary(values) => binary(value).is_some_and(|value| values.contains(&value)),
            Self::Address(networks) => {
                network(value).is_some_and(|address| networks.iter().any(|network| network.contains(&address)))
            }
            Self::Absent(_) => false,
        }
    }

    /// The templates among the values.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let (texts, arns): (&[Template], &[ArnPattern]) = match self {
            Self::Text(templates) => (templates, &[]),
            Self::Arn(patterns) => (&[], patterns),
            _ => (&[], &[]),
        };
        texts.iter().chain(arns.iter().flat_map(ArnPattern::templates))
    }
}

impl Relation {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

fn boolean(text: &str) -> Option<bool> {
    text.to_ascii_lowercase().parse().ok()
}

/// Digits alone are seconds since 1970. A date without time is its midnight, without zone it is UTC.
fn date(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse() {
        return Timestamp::from_second(seconds).ok();
    }
    let local = || text.parse::<DateTime>().ok().and_then(|local| TimeZone::UTC.to_timestamp(local).ok());
    text.parse().ok().or_else(local)
}

fn binary(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// An address is the range of itself alone. An IPv4 address in IPv6's clothes is an IPv4 address.
fn network(text: &str) -> Option<IpNet> {
    if text.contains('/') {
        return text.parse().ok();
    }
    text.parse().ok().map(|address: core::net::IpAddr| IpNet::from(address.to_canonical()))
}
