//! Operators that compare numbers and points in time.

use super::{Condition, check_conditions};

const NUMBER: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_Numeric";
const DATE: &str = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_Date";

#[rustfmt::skip]
const NUMBERS: &[Condition] = &[
    (NUMBER, r#"{"NumericEquals":{"s3:max-keys":"10"}}"#, "s3:max-keys=10", true),
    (NUMBER, r#"{"NumericEquals":{"s3:max-keys":"10"}}"#, "s3:max-keys=10.0", true),
    (NUMBER, r#"{"NumericEquals":{"s3:max-keys":10}}"#, "s3:max-keys=10", true),
    (NUMBER, r#"{"NumericEquals":{"s3:max-keys":-1}}"#, "s3:max-keys=-1", true),
    (NUMBER, r#"{"NumericEquals":{"s3:max-keys":1.5}}"#, "s3:max-keys=1.5", true),
    (NUMBER, r#"{"NumericEquals":{"s3:max-keys":"10"}}"#, "s3:max-keys=9", false),
    (NUMBER, r#"{"NumericEquals":{"s3:max-keys":["9","10"]}}"#, "s3:max-keys=9", true),
    (NUMBER, r#"{"NumericEquals":{"s3:max-keys":"10"}}"#, "s3:max-keys=ten", false),
    (NUMBER, r#"{"NumericEquals":{"s3:max-keys":"10"}}"#, "", false),
    (NUMBER, r#"{"NumericNotEquals":{"s3:max-keys":"10"}}"#, "s3:max-keys=10", false),
    (NUMBER, r#"{"NumericNotEquals":{"s3:max-keys":"10"}}"#, "s3:max-keys=11", true),
    (NUMBER, r#"{"NumericNotEquals":{"s3:max-keys":["10","11"]}}"#, "s3:max-keys=11", false),
    (NUMBER, r#"{"NumericNotEquals":{"s3:max-keys":"10"}}"#, "", true),
    (NUMBER, r#"{"NumericLessThan":{"s3:max-keys":"10"}}"#, "s3:max-keys=9", true),
    (NUMBER, r#"{"NumericLessThan":{"s3:max-keys":"10"}}"#, "s3:max-keys=10", false),
    (NUMBER, r#"{"NumericLessThan":{"s3:max-keys":"10"}}"#, "s3:max-keys=100", false),
    (NUMBER, r#"{"NumericLessThan":{"s3:max-keys":"10"}}"#, "", false),
    (NUMBER, r#"{"NumericLessThanEquals":{"s3:max-keys":"10"}}"#, "s3:max-keys=10", true),
    (NUMBER, r#"{"NumericLessThanEquals":{"s3:max-keys":"10"}}"#, "s3:max-keys=9", true),
    (NUMBER, r#"{"NumericLessThanEquals":{"s3:max-keys":"10"}}"#, "s3:max-keys=11", false),
    (NUMBER, r#"{"NumericGreaterThan":{"s3:signatureAge":"600000"}}"#, "s3:signatureAge=600001", true),
    (NUMBER, r#"{"NumericGreaterThan":{"s3:signatureAge":"600000"}}"#, "s3:signatureAge=600000", false),
    (NUMBER, r#"{"NumericGreaterThan":{"s3:signatureAge":"600000"}}"#, "s3:signatureAge=1", false),
    (NUMBER, r#"{"NumericGreaterThan":{"s3:signatureAge":"600000"}}"#, "", false),
    (NUMBER, r#"{"NumericGreaterThanEquals":{"s3:TlsVersion":"1.2"}}"#, "s3:TlsVersion=1.2", true),
    (NUMBER, r#"{"NumericGreaterThanEquals":{"s3:TlsVersion":"1.2"}}"#, "s3:TlsVersion=1.3", true),
    (NUMBER, r#"{"NumericGreaterThanEquals":{"s3:TlsVersion":"1.2"}}"#, "s3:TlsVersion=1.1", false),
    (NUMBER, r#"{"NumericLessThan":{"s3:TlsVersion":"1.2"}}"#, "s3:TlsVersion=NaN", false),
    (NUMBER, r#"{"NumericGreaterThan":{"s3:TlsVersion":"1.2"}}"#, "s3:TlsVersion=inf", false),
];

#[rustfmt::skip]
const DATES: &[Condition] = &[
    (DATE, r#"{"DateEquals":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, "aws:CurrentTime=2020-01-01T00:00:00Z", true),
    (DATE, r#"{"DateEquals":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, "aws:CurrentTime=2020-01-01T01:00:00+01:00", true),
    (DATE, r#"{"DateEquals":{"aws:CurrentTime":"2020-01-01"}}"#, "aws:CurrentTime=2020-01-01T00:00:00Z", true),
    (DATE, r#"{"DateEquals":{"aws:CurrentTime":"2020-01-01T00:00"}}"#, "aws:CurrentTime=2020-01-01T00:00:00Z", true),
    (DATE, r#"{"DateEquals":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, "aws:CurrentTime=2020-01-01T00:00:01Z", false),
    (DATE, r#"{"DateEquals":{"aws:EpochTime":"1577836800"}}"#, "aws:EpochTime=1577836800", true),
    (DATE, r#"{"DateEquals":{"aws:EpochTime":1577836800}}"#, "aws:EpochTime=2020-01-01T00:00:00Z", true),
    (DATE, r#"{"DateEquals":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, "aws:CurrentTime=yesterday", false),
    (DATE, r#"{"DateNotEquals":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, "aws:CurrentTime=2020-01-01T00:00:00Z", false),
    (DATE, r#"{"DateNotEquals":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, "aws:CurrentTime=2021-01-01T00:00:00Z", true),
    (DATE, r#"{"DateNotEquals":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, "", true),
    (DATE, r#"{"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, "aws:CurrentTime=2019-12-31T23:59:59Z", true),
    (DATE, r#"{"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, "aws:CurrentTime=2020-01-01T00:00:00Z", false),
    (DATE, r#"{"DateLessThan":{"aws:EpochTime":"1577836800"}}"#, "aws:EpochTime=1577836799", true),
    (DATE, r#"{"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, "", false),
    (DATE, r#"{"DateLessThanEquals":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, "aws:CurrentTime=2020-01-01T00:00:00Z", true),
    (DATE, r#"{"DateLessThanEquals":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, "aws:CurrentTime=2020-01-01T00:00:01Z", false),
    (DATE, r#"{"DateGreaterThan":{"aws:TokenIssueTime":"2020-01-01T00:00:01Z"}}"#, "aws:TokenIssueTime=2020-01-01T00:00:02Z", true),
    (DATE, r#"{"DateGreaterThan":{"aws:TokenIssueTime":"2020-01-01T00:00:01Z"}}"#, "aws:TokenIssueTime=2020-01-01T00:00:01Z", false),
    (DATE, r#"{"DateGreaterThan":{"aws:TokenIssueTime":"2020-01-01T00:00:01Z"}}"#, "", false),
    (DATE, r#"{"DateGreaterThanEquals":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, "aws:CurrentTime=2020-01-01T00:00:00Z", true),
    (DATE, r#"{"DateGreaterThanEquals":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}"#, "aws:CurrentTime=2019-12-31T23:59:59Z", false),
    (DATE, r#"{"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"},"DateLessThan":{"aws:CurrentTime":"2020-02-01T00:00:00Z"}}"#, "aws:CurrentTime=2020-01-15T00:00:00Z", true),
    (DATE, r#"{"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"},"DateLessThan":{"aws:CurrentTime":"2020-02-01T00:00:00Z"}}"#, "aws:CurrentTime=2020-03-15T00:00:00Z", false),
];

pub fn sources() -> Vec<&'static str> {
    [NUMBERS, DATES].concat().iter().map(|case| case.0).collect()
}

#[test]
fn numbers() {
    check_conditions(NUMBERS);
}

#[test]
fn dates() {
    check_conditions(DATES);
}
