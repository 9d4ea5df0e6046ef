//! Pages of listings.

use storage::index::keys::parse_identity;
use storage::index::records::Record;

use super::error::Result;
use super::{Identities, rows};

/// Rows that are read at a time.
const ROWS: usize = 256;

/// Which part of a listing is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// [`Page::next`] of the page before.
    pub after: Option<String>,
    /// Items of the page, at most.
    pub limit: usize,
}

/// A part of a listing.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items, in the order of their names.
    pub items: Vec<T>,
    /// The last item's name, if there are more.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The part of `items` that was asked for, by the names that `name` gives them.
    pub fn of(mut items: Vec<T>, name: impl Fn(&T) -> String, request: &PageRequest) -> Self {
        items.sort_by_cached_key(&name);
        if let Some(after) = &request.after {
            items.retain(|item| name(item) > *after);
        }
        let more = items.len() > request.limit;
        items.truncate(request.limit);
        let next = items.last().filter(|_| more).map(name);
        Self { items, next }
    }

    /// The same page of other items.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

impl Identities {
    /// The records under `prefix` that `wanted` holds for. `row` makes a row's key of the last part of it.
    pub(super) async fn page_of<R: Record>(
        &self,
        prefix: rows::Key,
        row: impl Fn(&str) -> rows::Key,
        request: &PageRequest,
        wanted: impl Fn(&R) -> bool,
    ) -> Result<Page<R>> {
        let mut page = Page { items: Vec::new(), next: None };
        let mut after = request.after.as_deref().map(row);
        let mut last = String::new();
        loop {
            let read = self.0.store.identities(prefix.clone(), after.take(), ROWS).await?;
            let is_last = read.len() < ROWS;
            for (key, value) in read {
                let record = R::decode(&value)?;
                if wanted(&record) {
                    if page.items.len() == request.limit {
                        page.next = Some(last);
                        return Ok(page);
                    }
                    page.items.push(record);
                    last = parse_identity(&key).and_then(|parts| parts.into_iter().next_back()).unwrap_or_default();
                }
                after = Some(key);
            }
            if is_last {
                return Ok(page);
            }
        }
    }

    /// The last parts of the keys under `prefix`.
    pub(super) async fn names_under(&self, prefix: rows::Key) -> Result<Vec<Vec<String>>> {
        let mut names = Vec::new();
        let mut after = None;
        loop {
            let read = self.0.store.identities(prefix.clone(), after.take(), ROWS).await?;
            let is_last = read.len() < ROWS;
            after = read.last().map(|(key, _)| key.clone());
            names.extend(read.iter().filter_map(|(key, _)| parse_identity(key)));
            if is_last {
                return Ok(names);
            }
        }
    }

    /// Whether there is a row under `prefix`.
    pub(super) async fn any_under(&self, prefix: rows::Key) -> Result<bool> {
        Ok(!self.0.store.identities(prefix, None, 1).await?.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gaps() {
        let all = ["d", "b", "a", "c"].map(str::to_owned).to_vec();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = Page::of(all.clone(), Clone::clone, &PageRequest { after: after.take(), limit: 3 });
            seen.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["a", "b", "c", "d"]);
        let whole = Page::of(all, Clone::clone, &PageRequest { after: None, limit: 4 });
        assert_eq!(whole.next, None, "a full page that is the last is not truncated");
    }
}
