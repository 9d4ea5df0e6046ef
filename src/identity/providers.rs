//! OpenID Connect providers whose tokens an account trusts.

use storage::types::Timestamp;

use super::accounts::Quota;
use super::error::{Code, Error, Result};
use super::names::{check_length, check_tags, merge_tags, parse_arn, provider_arn, remove_tags};
use super::page::PageRequest;
use super::records::{OidcProviderRecord, Tags};
use super::transaction::{Transaction, transact};
use super::{Identities, rows};

/// Audiences of one provider.
const MAX_CLIENT_IDS: usize = 100;
/// Thumbprints of one provider.
const MAX_THUMBPRINTS: usize = 5;

/// A provider to create.
#[derive(Clone, Debug)]
pub struct NewProvider {
    /// The issuer's URL.
    pub url: String,
    /// Audiences.
    pub client_ids: Vec<String>,
    /// SHA-1 thumbprints of certificates.
    pub thumbprints: Vec<String>,
    /// Its tags.
    pub tags: Tags,
}

/// The issuer without scheme and closing slash, as ARNs and condition keys have it. `None` if it is not a URL that an
/// issuer may have.
#[must_use]
pub fn issuer(url: &str) -> Option<&str> {
    let issuer = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?.trim_end_matches('/');
    let plain = issuer.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) && !issuer.contains(['?', '#', '@']);
    (plain && !issuer.is_empty() && !issuer.starts_with(['/', ':'])).then_some(issuer)
}

fn check_client_ids(ids: &[String]) -> Result<()> {
    ids.iter().try_for_each(|id| check_length(id, "clientIDList", 1, 255))?;
    if ids.len() > MAX_CLIENT_IDS {
        let message = format!("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {MAX_CLIENT_IDS}");
        return Err(Error::refused(Code::LimitExceeded, message));
    }
    Ok(())
}

fn check_thumbprints(thumbprints: &[String]) -> Result<()> {
    thumbprints.iter().try_for_each(|thumbprint| check_length(thumbprint, "thumbprintList", 40, 40))?;
    if thumbprints.len() > MAX_THUMBPRINTS {
        let message = format!("Thumbprint list must contain fewer than {MAX_THUMBPRINTS} entries.");
        return Err(Error::refused(Code::InvalidInput, message));
    }
    Ok(())
}

fn not_found(arn: &str) -> Error {
    Error::refused(Code::NoSuchEntity, format!("OpenIDConnect Provider not found for arn {arn}"))
}

/// The issuer that an ARN of this account names.
fn issuer_of<'a>(account: &str, arn: &'a str) -> Result<&'a str> {
    let malformed = || Error::refused(Code::InvalidInput, format!("Invalid OpenIDConnectProviderArn {arn}"));
    let (of, ..) = parse_arn(arn, "oidc-provider").ok_or_else(malformed)?;
    let (_, issuer) = arn.split_once(":oidc-provider/").ok_or_else(malformed)?;
    if of == account { Ok(issuer) } else { Err(not_found(arn)) }
}

impl Transaction {
    async fn provider(&mut self, account: &str, arn: &str) -> Result<(rows::Key, OidcProviderRecord)> {
        let key = rows::provider(account, issuer_of(account, arn)?);
        let record = self.get(key.clone()).await?.ok_or_else(|| not_found(arn))?;
        Ok((key, record))
    }
}

impl Identities {
    /// Creates a provider; gives its ARN.
    pub async fn create_provider(&self, account: &str, new: NewProvider, now: Timestamp) -> Result<String> {
        check_length(&new.url, "url", 1, 255)?;
        let Some(issuer) = issuer(&new.url) else {
            let message = "Invalid Open ID Connect Provider URL: it must begin with https:// and have neither query nor fragment.";
            return Err(Error::refused(Code::InvalidInput, message));
        };
        check_client_ids(&new.client_ids)?;
        check_thumbprints(&new.thumbprints)?;
        check_tags(&new.tags)?;
        let (key, arn) = (rows::provider(account, issuer), provider_arn(account, issuer));
        let record = OidcProviderRecord {
            client_ids: new.client_ids,
            thumbprints: new.thumbprints,
            tags: new.tags,
            created: now,
            url: new.url.trim_end_matches('/').to_owned(),
        };
        transact!(self, |transaction| {
            if transaction.get::<OidcProviderRecord>(key.clone()).await?.is_some() {
                let message = format!("Provider with url {} already exists.", record.url);
                return Err(Error::refused(Code::EntityAlreadyExists, message));
            }
            transaction.count(account, Quota::Providers).await?;
            transaction.put(key.clone(), &record)?;
        });
        Ok(arn)
    }

    /// A provider.
    pub async fn provider(&self, account: &str, arn: &str) -> Result<OidcProviderRecord> {
        Ok(self.begin().provider(account, arn).await?.1)
    }

    /// The ARNs of an account's providers, with their tags.
    pub async fn providers(&self, account: &str) -> Result<Vec<(String, OidcProviderRecord)>> {
        let whole = PageRequest { after: None, limit: usize::MAX };
        let row = |issuer: &str| rows::provider(account, issuer);
        let page = self.page_of(rows::providers(account), row, &whole, |_: &OidcProviderRecord| true).await?;
        let arn = |record: &OidcProviderRecord| provider_arn(account, issuer(&record.url).unwrap_or(&record.url));
        Ok(page.items.into_iter().map(|record| (arn(&record), record)).collect())
    }

    /// Deletes a provider. That there is none is an error here, unlike for the roles that trust it.
    pub async fn delete_provider(&self, account: &str, arn: &str) -> Result<()> {
        transact!(self, |transaction| {
            let (key, _) = transaction.provider(account, arn).await?;
            transaction.uncount(account, Quota::Providers).await?;
            transaction.delete(key);
        });
        Ok(())
    }

    /// Adds an audience. That it is there already is no error.
    pub async fn add_client_id(&self, account: &str, arn: &str, client_id: &str) -> Result<()> {
        self.update_provider(account, arn, |provider| {
            if !provider.client_ids.iter().any(|known| known == client_id) {
                provider.client_ids.push(client_id.to_owned());
            }
            check_client_ids(&provider.client_ids)
        })
        .await
    }

    /// Removes an audience. That it is not there is no error.
    pub async fn remove_client_id(&self, account: &str, arn: &str, client_id: &str) -> Result<()> {
        self.update_provider(account, arn, |provider| {
            provider.client_ids.retain(|known| known != client_id);
            Ok(())
        })
        .await
    }

    /// Replaces the thumbprints.
    pub async fn set_thumbprints(&self, account: &str, arn: &str, thumbprints: &[String]) -> Result<()> {
        check_thumbprints(thumbprints)?;
        self.update_provider(account, arn, |provider| {
            thumbprints.clone_into(&mut provider.thumbprints);
            Ok(())
        })
        .await
    }

    /// Adds tags to a provider.
    pub async fn tag_provider(&self, account: &str, arn: &str, tags: &Tags) -> Result<()> {
        self.update_provider(account, arn, |provider| merge_tags(&mut provider.tags, tags.clone())).await
    }

    /// Removes tags from a provider.
    pub async fn untag_provider(&self, account: &str, arn: &str, keys: &[String]) -> Result<()> {
        self.update_provider(account, arn, |provider| {
            remove_tags(&mut provider.tags, keys);
            Ok(())
        })
        .await
    }

    async fn update_provider(
        &self,
        account: &str,
        arn: &str,
        change: impl Fn(&mut OidcProviderRecord) -> Result<()>,
    ) -> Result<()> {
        transact!(self, |transaction| {
            let (key, mut provider) = transaction.provider(account, arn).await?;
            change(&mut provider)?;
            transaction.put(key, &provider)?;
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_a_url_without_query() {
        assert_eq!(issuer("https://example.com/a/"), Some("example.com/a"));
        assert_eq!(issuer("http://127.0.0.1:8080/"), Some("127.0.0.1:8080"));
        for bad in ["", "example.com", "ftp://a", "https://", "https:///a", "https://a?b", "https://a#b", "https://u@a"]
        {
            assert_eq!(issuer(bad), None, "{bad}");
        }
        assert_eq!(issuer_of("1", "arn:aws:iam::1:oidc-provider/a/b").expect("own"), "a/b");
        assert!(issuer_of("2", "arn:aws:iam::1:oidc-provider/a/b").is_err());
    }
}
