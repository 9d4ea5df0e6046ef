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
pub(super) struct Head(u64);

impl Head {
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

/// The statements of one policy, by number from 0.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// Those all of whose resources begin with a fixed text up to the first `/`, by each of these texts.
    by_head: Vec<(Head, usize)>,
    /// The bits of all heads: most policies of a long list have none with the asked one, and are passed over so.
    bits: u128,
    /// All others.
    anywhere: Vec<usize>,
}

impl Index {
    pub fn of(statements: &[Statement]) -> Self {
        let mut index = Self { by_head: Vec::new(), bits: 0, anywhere: Vec::new() };
        for (number, statement) in statements.iter().enumerate() {
            match statement.resources.as_ref().and_then(heads) {
                Some(heads) => index.by_head.extend(heads.into_iter().map(|head| (head, number))),
                None => index.anywhere.push(number),
            }
        }
        index.by_head.sort_unstable();
        index.by_head.dedup();
        index.bits = index.by_head.iter().fold(0, |bits, (head, _)| bits | head.bit());
        index
    }

    /// The statements that can speak about resources with this head, in their order.
    pub fn candidates(&self, head: Head) -> impl Iterator<Item = usize> {
        let known: &[(Head, usize)] = if self.bits & head.bit() == 0 { &[] } else { &self.by_head };
        let first = known.partition_point(|(known, _)| *known < head);
        let named = known.iter().skip(first).take_while(move |(known, _)| *known == head);
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
