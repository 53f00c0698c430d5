//! Function URLs: addresses by which a function is called over plain HTTP, one for each of its names that has one.
//!
//! An address's id is the number under which the function's rows lie, and chance: so it is found without an index, and one of a function
//! that is gone finds nothing.

use std::fmt;
use std::str::FromStr;

use aloft_base::{FunctionId, FunctionName, InvalidName, Region, Timestamp};
use aloft_call::Qualifier;
use aloft_codec::Unknown;
use aloft_store::layout::{Id, Namespace};

use crate::functions::MAX_ALIASES;
use crate::stored::{Sort, read_url, write_url};
use crate::{Error, Functions};

/// The id in a function's address: 32 digits of a-f and 0-9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UrlId(u128);

impl UrlId {
    fn new(function: Id, chance: u64) -> Self {
        Self(u128::from(function.to_u64()) << 64 | u128::from(chance))
    }

    pub(crate) const fn from_u128(number: u128) -> Self {
        Self(number)
    }

    pub(crate) const fn to_u128(self) -> u128 {
        self.0
    }

    /// Where the rows of its function lie.
    fn function(self) -> Id {
        Id::from_u64((self.0 >> 64) as u64)
    }
}

impl fmt::Display for UrlId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for UrlId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_id = text.len() == 32 && text.bytes().all(is_digit);
        let number = is_id.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or_else(|| InvalidName {
            what: "id of a function URL",
            name: text.chars().take(100).collect(),
            rule: "32 digits of a-f and 0-9",
        })
    }
}

/// Who may call an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlAuth {
    /// Everybody.
    None,
    /// Whoever signs with the account's keys.
    Iam,
}

/// How an answer goes to who calls an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlMode {
    /// As a whole.
    Buffered,
    /// While it is made.
    Streamed,
}

/// Which pages of other origins may call an address, and what they may see of the answer
/// (<https://fetch.spec.whatwg.org/#http-cors-protocol>). In each list `*` is all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cors {
    /// Whether with cookies and credentials. Default false.
    pub credentials: bool,
    /// The headers that a request may have.
    pub headers: Vec<String>,
    /// The methods.
    pub methods: Vec<String>,
    /// The origins, such as `https://www.example.com`.
    pub origins: Vec<String>,
    /// The headers of an answer that a page may see.
    pub exposed: Vec<String>,
    /// Seconds for which a browser may remember this: 0 to 86,400.
    pub max_age: Option<u32>,
}

/// A function's address.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionUrl {
    /// Its id.
    pub id: UrlId,
    /// Whose it is.
    pub function: FunctionId,
    /// Which of its versions is called: `$LATEST` or an alias.
    pub qualifier: Qualifier,
    /// Who may call it.
    pub auth: UrlAuth,
    /// How answers are given.
    pub mode: UrlMode,
    /// What pages of other origins may. Without it the function answers for itself.
    pub cors: Option<Cors>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub modified: Timestamp,
    /// Fields that a newer release wrote.
    pub unknown: Unknown,
}

/// What is to be set of an address; what is none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UrlUpdate {
    /// Who may call it.
    pub auth: Option<UrlAuth>,
    /// How answers are given.
    pub mode: Option<UrlMode>,
    /// What pages of other origins may; one that says nothing takes it away.
    pub cors: Option<Cors>,
}

impl FunctionUrl {
    fn with(mut self, update: &UrlUpdate, now: Timestamp) -> Self {
        self.auth = update.auth.unwrap_or(self.auth);
        self.mode = update.mode.unwrap_or(self.mode);
        if let Some(cors) = &update.cors {
            self.cors = Some(cors.clone()).filter(|cors| *cors != Cors::default());
        }
        self.modified = now;
        self
    }
}

impl Functions {
    /// The address of one of a function's names, if it has one.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function.
    pub async fn url(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        qualifier: &Qualifier,
    ) -> Result<Option<FunctionUrl>, Error> {
        self.said(namespace, function, (Sort::Urls, qualifier), read_url)
            .await
    }

    /// Gives one of a function's names an address. What is not set: everybody may call it, and answers come as a whole.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function or alias, [`Error::Exists`] when it has one.
    pub async fn create_url(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        qualifier: &Qualifier,
        given: &UrlUpdate,
    ) -> Result<FunctionUrl, Error> {
        self.change_url(namespace, function, qualifier, |id, former| {
            if former.is_some() {
                return Err(Error::Exists {
                    what: "FunctionUrlConfig",
                    name: function.to_string(),
                });
            }
            let now = self.now();
            let url = FunctionUrl {
                id: UrlId::new(id, self.revision() as u64),
                function: namespace.function(function),
                qualifier: qualifier.clone(),
                auth: UrlAuth::None,
                mode: UrlMode::Buffered,
                cors: None,
                created: now,
                modified: now,
                unknown: Unknown::default(),
            };
            Ok(Some(url.with(given, now)))
        })
        .await?
        .ok_or_else(|| no_url(function, qualifier))
    }

    /// Changes an address.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function or alias, [`Error::NoUrl`].
    pub async fn update_url(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        qualifier: &Qualifier,
        given: &UrlUpdate,
    ) -> Result<FunctionUrl, Error> {
        self.change_url(namespace, function, qualifier, |_, former| {
            let former = former.ok_or_else(|| no_url(function, qualifier))?;
            Ok(Some(former.with(given, self.now())))
        })
        .await?
        .ok_or_else(|| no_url(function, qualifier))
    }

    /// Takes an address away. It is never given again.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function or alias, [`Error::NoUrl`].
    pub async fn delete_url(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        qualifier: &Qualifier,
    ) -> Result<(), Error> {
        let deleted = self.change_url(namespace, function, qualifier, |_, former| match former {
            Some(_) => Ok(None),
            None => Err(no_url(function, qualifier)),
        });
        deleted.await.map(drop)
    }

    async fn change_url(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        qualifier: &Qualifier,
        change: impl Fn(Id, Option<FunctionUrl>) -> Result<Option<FunctionUrl>, Error>,
    ) -> Result<Option<FunctionUrl>, Error> {
        let sort = (Sort::Urls, qualifier);
        self.say(namespace, function, sort, read_url, write_url, change)
            .await
    }

    /// The addresses of a function's names, in the order of these, after `after`: at most `limit`, and whether there are more.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such function.
    pub async fn urls(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        after: Option<&Qualifier>,
        limit: usize,
    ) -> Result<(Vec<FunctionUrl>, bool), Error> {
        let id = self.find(namespace, function).await?.id;
        let (all, more) = self.all_said(id, Sort::Urls, (after, limit), read_url).await?;
        Ok((all.into_iter().map(|(_, url)| url).collect(), more))
    }

    /// The address with this id.
    ///
    /// # Errors
    /// When the store fails. That there is none is no error.
    pub async fn find_url(&self, region: &Region, id: UrlId) -> Result<Option<FunctionUrl>, Error> {
        let rows = id.function();
        // Each alias may have one, and `$LATEST`.
        let all = self.all_said(rows, Sort::Urls, (None, MAX_ALIASES + 1), read_url);
        let found = all.await?.0.into_iter().find(|(_, url)| url.id == id);
        let Some((_, url)) = found else {
            return Ok(None);
        };
        // The rows of a function that was deleted are still there for a while.
        let namespace = Namespace::new(&url.function.tenant, region);
        match self.find(&namespace, &url.function.name).await {
            Ok(found) if found.id == rows => Ok(Some(url)),
            Ok(_) | Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn no_url(function: &FunctionName, qualifier: &Qualifier) -> Error {
    Error::NoUrl {
        function: function.clone(),
        qualifier: qualifier.clone(),
    }
}
