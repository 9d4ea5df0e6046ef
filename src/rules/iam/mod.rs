//! AWS's policy language: may this principal do this to that?
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies.html>
//!
//! A document is parsed once into a [`Policy`], which is then asked about any number of [`Request`]s; [`decide`] weighs
//! all policies that speak about one. Everything is plain values: time, addresses and tags stand in the request's
//! [`Context`] as condition keys, and callers put there only what they verified.
//!
//! | file | holds |
//! |---|---|
//! | `request` | the question and the answer |
//! | `context` | condition keys and their values |
//! | `evaluate` | the decision: explicit deny, limits, both sides |
//! | `policy`, `statement`, `index` | a parsed policy, and which of its statements to ask |
//! | `parse`, `json` | from text to a policy; a key that stands twice is an error |
//! | `identity`, `bucket`, `s3_actions`, `s3_keys` | what IAM and S3 check of a document beyond its grammar |
//! | `bound` | principals bound to their unique ids |
//! | `principal` | `Principal` and `NotPrincipal`, and how closely they name who asks |
//! | `condition`, `operators` | `Condition` |
//! | `wildcard`, `variables`, `arn` | values: `*`, `?`, `${…}`, ARNs |
//! | `public` | what Block Public Access calls public |
//!
//! Action names and condition keys are compared in any case of letters; ARNs and values as they are.
//!
//! Canonical user ids are no part of a [`Principal`]: a policy's `CanonicalUser` is compared with the values of the
//! context key [`CANONICAL_ID`].
//!
//! The module uses nothing of the rest of the program, so that `tests/evaluator` can compile it alone.

mod arn;
mod bound;
mod bucket;
mod condition;
mod context;
mod evaluate;
mod identity;
mod index;
mod json;
mod operators;
mod parse;
mod policy;
mod principal;
mod public;
mod request;
mod s3_actions;
mod s3_keys;
mod statement;
#[cfg(test)]
mod tests;
mod variables;
mod wildcard;

pub use arn::Arn;
pub use bound::rename_principals;
pub use context::Context;
pub use evaluate::{decide, explain, keys_that_decide};
pub use index::{Head, Scope};
pub use policy::{InvalidPolicy, Policy, PolicyKind};
pub use principal::{CANONICAL_ID, PrincipalId};
pub use request::{By, Explanation, Found, Named, Policies, Principal, Request, Verdict};
