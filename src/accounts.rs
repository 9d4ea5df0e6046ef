//! The accounts that the program starts with: root, and those of the configuration.
//!
//! Root's access key comes from the environment or from files that it names; where neither is given, one is
//! generated at the first start and kept beside the data. There is no default password. Keys can be replaced while the
//! program runs, accounts cannot.

mod root;

pub use root::{RootKey, RootKeyOrigin};

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use subtle::ConstantTimeEq;

/// Root's account id: 12 digits as AWS's are, the same on every installation.
const ROOT_ACCOUNT_ID: &str = "000000000001";

/// An AWS account: the owner of buckets and objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// 12 digits; what ARNs and `x-amz-expected-bucket-owner` name.
    pub id: String,
    /// 64 lower-case hexadecimal digits; what `Owner/ID` and ACL grants name.
    pub canonical_id: String,
    /// What `Owner/DisplayName` shows.
    pub display_name: String,
    /// By which ACL grants may name the account; may be empty.
    pub email: String,
}

/// Why an account or a key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    #[error("id {0:?} must be 12 digits")]
    Id(String),
    #[error("canonical_id {0:?} must be 64 hexadecimal digits")]
    CanonicalId(String),
    #[error("id or canonical_id is missing")]
    NoId,
    #[error("{0} must be at most 128 characters without control characters")]
    Text(&'static str),
    #[error("access key id {0:?} must be 3 to 128 letters, digits, '-', '_' or '.'")]
    AccessKeyId(String),
    #[error("the secret of access key {0:?} must be 8 to 128 characters without control characters")]
    Secret(String),
    #[error("the secret of access key {0:?} is one that every scanner tries; choose another")]
    WellKnownSecret(String),
    #[error("two accounts have the {0} {1:?}")]
    Duplicate(&'static str, String),
    #[error("{0}")]
    RootKey(String),
}

impl Account {
    /// Makes an account from at least one of its two ids; the other is derived and stays the same for ever.
    ///
    /// # Errors
    /// If neither id is given or a value has the wrong shape.
    pub fn new(
        id: Option<&str>,
        canonical_id: Option<&str>,
        display_name: &str,
        email: &str,
    ) -> Result<Self, AccountError> {
        if let Some(id) = id.filter(|id| id.len() != 12 || !id.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(AccountError::Id(id.to_owned()));
        }
        let is_canonical = |id: &str| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(canonical_id) = canonical_id.filter(|canonical_id| !is_canonical(canonical_id)) {
            return Err(AccountError::CanonicalId(canonical_id.to_owned()));
        }
        for (name, text) in [("display_name", display_name), ("email", email)] {
            if text.chars().count() > 128 || text.chars().any(char::is_control) {
                return Err(AccountError::Text(name));
            }
        }
        let (id, canonical_id) = match (id, canonical_id) {
            (Some(id), Some(canonical_id)) => (id.to_owned(), canonical_id.to_ascii_lowercase()),
            (Some(id), None) => (id.to_owned(), canonical_id_of(id)),
            (None, Some(canonical_id)) => (account_id_of(canonical_id), canonical_id.to_ascii_lowercase()),
            (None, None) => return Err(AccountError::NoId),
        };
        Ok(Self { id, canonical_id, display_name: display_name.to_owned(), email: email.to_owned() })
    }

    /// The account that may do everything.
    #[must_use]
    pub fn root() -> Self {
        Self {
            id: ROOT_ACCOUNT_ID.to_owned(),
            canonical_id: canonical_id_of(ROOT_ACCOUNT_ID),
            display_name: "root".to_owned(),
            email: String::new(),
        }
    }

    /// Whether this is the account that may do everything.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.id == ROOT_ACCOUNT_ID
    }
}

fn canonical_id_of(account_id: &str) -> String {
    hex::encode(Sha256::digest(account_id))
}

/// Twelve digits out of the hash of the canonical id. Two accounts may collide; [`Accounts::new`] refuses that.
fn account_id_of(canonical_id: &str) -> String {
    let digest = Sha256::digest(canonical_id.to_ascii_lowercase());
    let number = digest.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    format!("{:012}", number % 1_000_000_000_000)
}

/// The secret half of an access key. It prints as nothing.
#[derive(Clone)]
pub struct SecretKey(Arc<str>);

impl SecretKey {
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Arc::from(secret.into()))
    }

    /// The secret itself, for signatures; never for logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// What a client signs with.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret: SecretKey,
}

/// Secrets that ship as defaults elsewhere and are tried against every open port.
const WELL_KNOWN_SECRETS: [&str; 6] = ["minioadmin", "rustfsadmin", "password", "changeme", "changeit", "12345678"];

impl AccessKey {
    /// Checks both halves.
    ///
    /// # Errors
    /// If the id could not stand in an `Authorization` header, or the secret is short, or known to everyone.
    pub fn new(access_key_id: String, secret: SecretKey) -> Result<Self, AccountError> {
        // '/' and ',' separate the parts of a credential scope and of the header (AWS SigV4), so neither may occur.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !(3..=128).contains(&access_key_id.len()) || !access_key_id.bytes().all(allowed) {
            return Err(AccountError::AccessKeyId(access_key_id));
        }
        let length = secret.expose().chars().count();
        if !(8..=128).contains(&length) || secret.expose().chars().any(char::is_control) {
            return Err(AccountError::Secret(access_key_id));
        }
        if WELL_KNOWN_SECRETS.contains(&secret.expose()) || secret.expose() == access_key_id {
            return Err(AccountError::WellKnownSecret(access_key_id));
        }
        Ok(Self { access_key_id, secret })
    }
}

/// Whose each configured access key is, and its secret.
type Keys = HashMap<String, (Arc<Account>, SecretKey)>;

/// What became of keys that were given in place of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replaced {
    /// The ids of the keys that count from now on and did not before, or had another secret.
    pub new: Vec<String>,
    /// The ids of the keys that no longer count.
    pub gone: Vec<String>,
    /// The ids of accounts that the program was not started with: their keys are left out.
    pub strangers: Vec<String>,
}

/// The accounts, by the names that requests use. They are the same as long as the program runs; their keys can be
/// replaced.
#[derive(Debug)]
pub struct Accounts {
    keys: ArcSwap<Keys>,
    /// Raised each time that keys are replaced.
    generation: AtomicU64,
    by_canonical_id: HashMap<String, Arc<Account>>,
    by_id: HashMap<String, Arc<Account>>,
    root: Arc<Account>,
}

impl Accounts {
    /// Root with its key, and the configured accounts with theirs.
    ///
    /// # Errors
    /// If two of them share an id, a canonical id or an access key.
    pub fn new(
        root_key: AccessKey,
        configured: impl IntoIterator<Item = (Account, AccessKey)>,
    ) -> Result<Self, AccountError> {
        let mut accounts = Self::with_keyless_root();
        let mut keys = Keys::new();
        add_key(&mut keys, &accounts.root, root_key)?;
        for (account, key) in configured {
            let account = Arc::new(account);
            accounts.add(&account)?;
            add_key(&mut keys, &account, key)?;
        }
        accounts.keys.store(Arc::new(keys));
        Ok(accounts)
    }

    /// Checks configured accounts against each other and against root's ids, where root's key is not known.
    ///
    /// # Errors
    /// As [`Accounts::new`].
    pub fn check(configured: &[(Account, AccessKey)]) -> Result<(), AccountError> {
        let (mut accounts, mut keys) = (Self::with_keyless_root(), Keys::new());
        for (account, key) in configured {
            let account = Arc::new(account.clone());
            accounts.add(&account)?;
            add_key(&mut keys, &account, key.clone())?;
        }
        Ok(())
    }

    fn with_keyless_root() -> Self {
        let root = Arc::new(Account::root());
        Self {
            keys: ArcSwap::default(),
            generation: AtomicU64::new(0),
            by_canonical_id: HashMap::from([(root.canonical_id.clone(), Arc::clone(&root))]),
            by_id: HashMap::from([(root.id.clone(), Arc::clone(&root))]),
            root,
        }
    }

    fn add(&mut self, account: &Arc<Account>) -> Result<(), AccountError> {
        let replaced_id = self.by_id.insert(account.id.clone(), Arc::clone(account));
        if replaced_id.is_some() {
            return Err(AccountError::Duplicate("account id", account.id.clone()));
        }
        let replaced_canonical = self.by_canonical_id.insert(account.canonical_id.clone(), Arc::clone(account));
        if replaced_canonical.is_some() {
            return Err(AccountError::Duplicate("canonical id", account.canonical_id.clone()));
        }
        Ok(())
    }

    /// Puts other keys in the place of root's and of the configured accounts'. From the return on the old ones sign no
    /// request, and neither do those of an account that is no longer configured. Accounts themselves neither come nor
    /// go while the program runs.
    ///
    /// # Errors
    /// If two keys have the same id; then all stays as it was.
    pub fn replace_keys(
        &self,
        root_key: AccessKey,
        configured: impl IntoIterator<Item = (Account, AccessKey)>,
    ) -> Result<Replaced, AccountError> {
        let (mut keys, mut outcome) = (Keys::new(), Replaced::default());
        add_key(&mut keys, &self.root, root_key)?;
        for (account, key) in configured {
            match self.by_id.get(&account.id) {
                Some(known) => add_key(&mut keys, known, key)?,
                None => outcome.strangers.push(account.id),
            }
        }
        let old = self.keys.load_full();
        outcome.gone = old.keys().filter(|id| !keys.contains_key(*id)).cloned().collect();
        outcome.new = keys.iter().filter(|(id, key)| !same_key(old.get(*id), key)).map(|(id, _)| id.clone()).collect();
        self.keys.store(Arc::new(keys));
        // After the keys: whoever reads the new number reads the new keys.
        self.generation.fetch_add(1, Ordering::SeqCst);
        Ok(outcome)
    }

    /// A number that is raised each time that keys are replaced.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// The account that a configured access key belongs to, and the key's secret.
    #[must_use]
    pub fn by_access_key(&self, access_key_id: &str) -> Option<(Arc<Account>, SecretKey)> {
        self.keys.load().get(access_key_id).cloned()
    }

    /// The ids of the keys that are configured for the account with this 12-digit id.
    #[must_use]
    pub fn access_keys_of(&self, account_id: &str) -> Vec<String> {
        let keys = self.keys.load();
        let own = keys.iter().filter(|(_, (account, _))| account.id == account_id);
        own.map(|(id, _)| id.clone()).collect()
    }

    /// The account with this canonical id (64 lower-case hexadecimal digits).
    #[must_use]
    pub fn by_canonical_id(&self, canonical_id: &str) -> Option<&Arc<Account>> {
        // In most installations it is root that owns what is asked for.
        if self.root.canonical_id == canonical_id {
            return Some(&self.root);
        }
        self.by_canonical_id.get(canonical_id)
    }

    /// The account with this 12-digit id.
    #[must_use]
    pub fn by_id(&self, account_id: &str) -> Option<&Arc<Account>> {
        self.by_id.get(account_id)
    }

    /// The accounts with this e-mail address, which may differ in case.
    pub fn by_email(&self, email: &str) -> impl Iterator<Item = &Arc<Account>> {
        self.by_id.values().filter(move |account| !email.is_empty() && account.email.eq_ignore_ascii_case(email))
    }

    /// The account that may do everything.
    #[must_use]
    pub fn root(&self) -> &Arc<Account> {
        &self.root
    }
}

fn add_key(keys: &mut Keys, account: &Arc<Account>, key: AccessKey) -> Result<(), AccountError> {
    let replaced = keys.insert(key.access_key_id.clone(), (Arc::clone(account), key.secret));
    if replaced.is_some() {
        return Err(AccountError::Duplicate("access key id", key.access_key_id));
    }
    Ok(())
}

fn same_key(old: Option<&(Arc<Account>, SecretKey)>, (account, secret): &(Arc<Account>, SecretKey)) -> bool {
    let same = |known: &SecretKey| bool::from(known.expose().as_bytes().ct_eq(secret.expose().as_bytes()));
    old.is_some_and(|(owner, known)| owner.id == account.id && same(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> AccessKey {
        AccessKey::new(id.to_owned(), SecretKey::new(format!("secret-of-{id}"))).expect("valid")
    }

    #[test]
    fn an_account_is_found_by_its_key_and_by_both_ids() {
        let tenant = Account::new(None, Some(&"2".repeat(64)), "alt-user", "alt@example.com").expect("valid");
        let accounts = Accounts::new(key("ROOT"), [(tenant.clone(), key("ALT"))]).expect("no duplicates");
        let (account, secret) = accounts.by_access_key("ALT").expect("known");
        assert_eq!((account.as_ref(), secret.expose()), (&tenant, "secret-of-ALT"));
        assert_eq!(accounts.by_canonical_id(&tenant.canonical_id).expect("known").display_name, "alt-user");
        assert_eq!(accounts.by_id(&tenant.id).expect("known").email, "alt@example.com");
        assert!(accounts.by_access_key("ROOT").expect("known").0.is_root());
        assert!(accounts.by_access_key("NOBODY").is_none());
    }

    #[test]
    fn keys_are_replaced_and_accounts_are_not() {
        let tenant = Account::new(Some("111111111111"), None, "", "").expect("valid");
        let stranger = Account::new(Some("222222222222"), None, "", "").expect("valid");
        let accounts = Accounts::new(key("ROOT"), [(tenant.clone(), key("FIRST"))]).expect("no duplicates");
        let outcome = accounts.replace_keys(key("ROOT2"), [(tenant.clone(), key("FIRST")), (stranger, key("OTHER"))]);
        let expected = Replaced {
            new: vec!["ROOT2".to_owned()],
            gone: vec!["ROOT".to_owned()],
            strangers: vec!["222222222222".to_owned()],
        };
        assert_eq!((outcome.expect("replaced"), accounts.generation()), (expected, 1));
        assert!(accounts.by_access_key("ROOT").is_none() && accounts.by_access_key("OTHER").is_none());
        assert!(accounts.by_access_key("ROOT2").expect("known").0.is_root());
        assert_eq!(accounts.access_keys_of(&tenant.id), ["FIRST"]);
        let other = AccessKey::new("FIRST".to_owned(), SecretKey::new("another secret")).expect("valid");
        let outcome = accounts.replace_keys(key("ROOT2"), [(tenant.clone(), other)]).expect("replaced");
        assert_eq!((outcome.new, outcome.gone), (vec!["FIRST".to_owned()], Vec::new()));
        assert!(accounts.replace_keys(key("SAME"), [(tenant, key("SAME"))]).is_err());
        assert!(accounts.by_access_key("ROOT2").is_some(), "all stays as it was");
    }

    #[test]
    fn derived_ids_have_the_right_shape_and_never_change() {
        // Stored objects carry these ids as their owner: a different derivation would orphan them.
        assert_eq!(Account::root().canonical_id, "27d6fbbe5c7d230a83b72e525751d4e0a33477eeb7817a4af485825a133e1b1e");
        let derived = Account::new(None, Some(&"AB".repeat(32)), "", "").expect("valid");
        assert_eq!(derived.canonical_id, "ab".repeat(32));
        assert_eq!(derived.id, account_id_of(&"ab".repeat(32)));
        assert!(derived.id.len() == 12 && derived.id.bytes().all(|byte| byte.is_ascii_digit()));
    }

    #[test]
    fn malformed_accounts_are_refused() {
        assert_eq!(Account::new(None, None, "", ""), Err(AccountError::NoId));
        assert!(matches!(Account::new(Some("1"), None, "", ""), Err(AccountError::Id(_))));
        assert!(matches!(Account::new(Some("12345678901x"), None, "", ""), Err(AccountError::Id(_))));
        assert!(matches!(Account::new(None, Some("xyz"), "", ""), Err(AccountError::CanonicalId(_))));
        assert_eq!(Account::new(Some("123456789012"), None, "a\u{7}b", ""), Err(AccountError::Text("display_name")));
    }

    #[test]
    fn weak_and_malformed_keys_are_refused_without_showing_the_secret() {
        for (id, secret) in [
            ("AK", "long-enough"),
            ("A/K/I", "long-enough"),
            ("AKIA", "short"),
            ("AKIA", "with\nnewline"),
            ("admin", "minioadmin"),
            ("same-same", "same-same"),
        ] {
            let error = AccessKey::new(id.to_owned(), SecretKey::new(secret)).expect_err(id).to_string();
            assert!(id == secret || !error.contains(secret), "{error}");
        }
        assert_eq!(format!("{:?}", key("AKIA").secret), "SecretKey(…)");
    }

    #[test]
    fn nothing_may_be_shared_between_accounts() {
        let account = |id: &str| Account::new(Some(id), None, "", "").expect("valid");
        let refuse = |second: (Account, AccessKey)| {
            let first = (account("111111111111"), key("FIRST"));
            Accounts::new(key("ROOT"), [first, second]).expect_err("duplicate")
        };
        assert!(matches!(refuse((account("111111111111"), key("SECOND"))), AccountError::Duplicate("account id", _)));
        assert!(matches!(refuse((account("222222222222"), key("FIRST"))), AccountError::Duplicate("access key id", _)));
        assert!(matches!(refuse((account(ROOT_ACCOUNT_ID), key("SECOND"))), AccountError::Duplicate("account id", _)));
        let twin =
            Account::new(Some("333333333333"), Some(&account("111111111111").canonical_id), "", "").expect("valid");
        assert!(matches!(refuse((twin, key("SECOND"))), AccountError::Duplicate("canonical id", _)));
    }
}
