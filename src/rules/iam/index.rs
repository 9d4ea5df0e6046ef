//! Which statements of a policy can speak about a resource, without asking each of them: most statements of a long
//! policy are about other buckets.
//!
//! What stands before the first `/` of a resource (of S3's: the bucket's ARN) must be in a template as it is, unless a
//! wildcard or a variable comes first. So statements are found by that text; those without one are always asked.

use super::statement::{Resources, Statement};
use super::variables::Template;

/// What stands before the first `/` of a resource, hashed: it is made once for a request, and then compared with many.
/// Two texts with one hash cost a question too many, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head(u64);

impl Head {
    /// Of a resource's ARN.
    #[must_use]
    pub fn of(resource: &str) -> Self {
        // FNV-1a: the text is short, and whoever finds two with one hash gains nothing.
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let head = resource.bytes().take_while(|byte| *byte != b'/');
        Self(head.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
    }

    /// One of 128 bits.
    fn bit(self) -> u128 {
        // The lowest bits of this hash are the best mixed.
        1 << (self.0 & 127)
    }
}

/// Which resources a policy can speak about, roughly: all of its own, and by chance some others. So small that it can
/// be kept beside many policies, most of which are then passed over without a look at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// A bit for each head; all of them where some statement is not limited to heads.
    bits: u128,
}

impl Scope {
    /// Whether it can be a resource with this head.
    #[must_use]
    pub fn may_have(self, head: Head) -> bool {
        self.bits & head.bit() != 0
    }
}

/// The statements of one policy, by number from 0.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// Those all of whose resources begin with a fixed text up to the first `/`, by each of these texts.
    by_head: Vec<(Head, usize)>,
    /// All others.
    anywhere: Vec<usize>,
}

impl Index {
    pub fn of(statements: &[Statement]) -> Self {
        let mut index = Self { by_head: Vec::new(), anywhere: Vec::new() };
        for (number, statement) in statements.iter().enumerate() {
            match statement.resources.as_ref().and_then(heads) {
                Some(heads) => index.by_head.extend(heads.into_iter().map(|head| (head, number))),
                None => index.anywhere.push(number),
            }
        }
        index.by_head.sort_unstable();
        index.by_head.dedup();
        index
    }

    /// The heads for which [`Self::candidates`] can be any.
    pub fn scope(&self) -> Scope {
        let bits = self.by_head.iter().fold(0, |bits, (head, _)| bits | head.bit());
        Scope { bits: if self.anywhere.is_empty() { bits } else { u128::MAX } }
    }

    /// The statements that can speak about resources with this head, in their order.
    pub fn candidates(&self, head: Head) -> impl Iterator<Item = usize> {
        let first = self.by_head.partition_point(|(known, _)| *known < head);
        let named = self.by_head.iter().skip(first).take_while(move |(known, _)| *known == head);
        let mut named = named.map(|(_, number)| *number).peekable();
        let mut anywhere = self.anywhere.iter().copied().peekable();
        std::iter::from_fn(move || {
            let next = [named.peek(), anywhere.peek()].into_iter().flatten().min().copied();
            // No statement is in both.
            if named.peek() == next.as_ref() { named.next() } else { anywhere.next() }
        })
    }
}

/// The heads of the fixed texts; `None` if the resources are not limited to some.
fn heads(resources: &Resources) -> Option<Vec<Head>> {
    if resources.negated { None } else { resources.templates.iter().map(head_of).collect() }
}

fn head_of(template: &Template) -> Option<Head> {
    let start = template.start();
    let fixed = template.literal().or_else(|| start.contains('/').then_some(start))?;
    Some(Head::of(fixed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_hashed_up_to_the_slash() {
        // From the tables of FNV's authors: <http://www.isthe.com/chongo/tech/comp/fnv/>
        assert_eq!(Head::of(""), Head(0xcbf2_9ce4_8422_2325));
        assert_eq!(Head::of("foobar"), Head(0x8594_4171_f739_67e8));
        assert_eq!(Head::of("foobar/k/l"), Head::of("foobar"));
    }

    #[test]
    fn a_policy_is_passed_over_for_most_heads_and_for_none_of_its_own() {
        let head = |number: usize| Head::of(&format!("arn:aws:s3:::bucket-{number}/*"));
        let by_head: Vec<_> = (0..20).map(|number| (head(number), number)).collect();
        let scope = Index { by_head, anywhere: Vec::new() }.scope();
        assert!((0..20).all(|number| scope.may_have(head(number))));
        let needless = (20..1_020).filter(|number| scope.may_have(head(*number))).count();
        assert!((1..300).contains(&needless), "{needless} of 1000");
        let anywhere = Index { by_head: vec![(head(0), 1)], anywhere: vec![0] }.scope();
        assert!((0..100).all(|number| anywhere.may_have(head(number))));
    }
}
