//! The evaluator of policies, alone.

#[path = "../../../src/rules/iam/mod.rs"]
pub mod iam;
