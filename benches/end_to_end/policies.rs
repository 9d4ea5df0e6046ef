//! Policies of a team, as large as people's get: reads here, writes there, under conditions, with a home for everyone.

/// Policies of one user.
pub const POLICIES: usize = 10;
/// Statements of one policy.
pub const STATEMENTS: usize = 20;

/// The policy of this number. Its statements speak of buckets `team-N`, the very last one of `last` instead if given.
pub fn document(number: usize, last: Option<&str>) -> String {
    let statements: Vec<_> = (0..STATEMENTS)
        .map(|statement| {
            let at = number * STATEMENTS + statement;
            let effect = if statement % 7 == 3 { "Deny" } else { "Allow" };
            let condition = match statement % 4 {
                0 => r#","Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.168.0.0/16"]}}"#,
                1 => r#","Condition":{"StringLike":{"s3:prefix":["home/${aws:username}/*","public/*"]}}"#,
                2 => r#","Condition":{"Bool":{"aws:SecureTransport":"true"},"StringEquals":{"aws:PrincipalTag/team":"red"}}"#,
                _ => "",
            };
            let resources = match last {
                Some(bucket) if at + 1 == POLICIES * STATEMENTS => format!(r#""arn:aws:s3:::{bucket}/*""#),
                _ => format!(r#""arn:aws:s3:::team-{at}","arn:aws:s3:::team-{at}/home/${{aws:username}}/*""#),
            };
            format!(
                r#"{{"Effect":"{effect}","Action":["s3:GetObject","s3:GetObjectVersion","s3:List*"],"Resource":[{resources}]{condition}}}"#
            )
        })
        .collect();
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
}
