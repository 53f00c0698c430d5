//! Versions and aliases: a call runs what its name meant, and what was published stays.
//!
//! What a name means changes while calls are under way, and a change takes effect at some moment after a node began to work on it and before it
//! had done with it; when that was, nobody is told. So a name may mean, in a span of time, what any change made of it that began before the
//! span's end, unless another one that began after it was acknowledged before the span. There is no grace: what was acknowledged holds for
//! whatever is asked from then on. The one exception is a node that another has taken the store from, which is not told at
//! once: it goes on with what it knew then.

use std::collections::BTreeMap;

use aloft_call::Qualifier;

use super::{Check, Verdict};
use crate::history::{Ask, Pointing, Seen, Told};
use crate::scenario::aliases::ALIASES;

/// From one place of the history to another.
#[derive(Clone, Copy)]
struct Span {
    from: usize,
    to: usize,
}

/// A change that may have taken effect.
struct Write<V> {
    /// When the first node began to work on it.
    begin: usize,
    /// When the last node had done with it.
    end: usize,
    /// When its client was told that it took effect.
    told: Option<usize>,
    value: V,
}

/// What may be changed, with all changes.
struct Register<V>(Vec<Write<V>>);

impl<V> Register<V> {
    /// What it may have been in a span.
    fn during(&self, span: Span) -> impl Iterator<Item = &V> {
        let writes = self.0.iter().filter(move |write| {
            let is_replaced =
                |later: &Write<V>| later.begin > write.end && later.told.is_some_and(|told| told < span.from);
            write.begin <= span.to && !self.0.iter().any(is_replaced)
        });
        writes.map(|write| &write.value)
    }
}

/// A request.
struct Request<'a> {
    ask: &'a Ask,
    asked: usize,
    begin: Option<usize>,
    end: usize,
    /// Whether it may have taken effect.
    is_possible: bool,
    told: Option<(usize, &'a Told)>,
}

/// What a client could know, by the place in the history.
struct Known<'a> {
    requests: BTreeMap<u64, Request<'a>>,
    latest: Register<u64>,
    aliases: BTreeMap<&'static str, Register<Option<Pointing>>>,
    /// Deletions, by version.
    deleted: BTreeMap<u64, Vec<Write<()>>>,
    /// When a version was published at the latest, and its code.
    published: BTreeMap<u64, (usize, u64)>,
    /// When another life of a node was the owner of the store, by life.
    superseded: BTreeMap<u64, usize>,
}

pub(super) fn check(verdict: &mut Verdict, seen: &[Seen]) {
    let known = Known::of(seen);
    let mut codes: BTreeMap<u64, u64> = BTreeMap::new();
    let mut is_own = |version: u64, code: u64| *codes.entry(version).or_insert(code) == code;
    // Attempts under way in their order, each with when it began, the call and the node's life.
    let mut attempts: BTreeMap<u64, (usize, u64, u64)> = BTreeMap::new();
    let calls = known.calls();
    for (at, seen) in seen.iter().enumerate() {
        match seen {
            Seen::Attempts {
                attempt,
                number,
                life,
            } => _ = attempts.insert(*attempt, (at, *number, *life)),
            Seen::Attempted(attempt, is_missing) => {
                if let Some((from, number, life)) = attempts.remove(attempt)
                    && let Some((Ask::Later { name, .. }, _)) = calls.get(&number)
                {
                    let span = known.span(from, at, life);
                    let holds = !is_missing || !known.is_there(name, span);
                    verdict.check(Check::Found, holds, || {
                        format!("call {number} found no {name} when it was made, which is there")
                    });
                }
            }
            Seen::Ran {
                number,
                life,
                version,
                code,
                meant,
            } => {
                let is_whole = code == meant && (*version == 0 || is_own(*version, *code));
                verdict.check(Check::Code, is_whole, || {
                    format!("version {version} ran the code {code}, configured for {meant}")
                });
                let (from, name, check) = match calls.get(number) {
                    Some((Ask::Call { name, .. }, asked)) => (Some(*asked), name, Check::Resolved),
                    Some((Ask::Later { name, .. }, _)) => {
                        // Which of them runs is not seen; the first one was asked the longest ago.
                        let mut began = attempts.values().filter(|(_, of, on)| of == number && on == life);
                        (began.next().map(|(from, ..)| *from), name, Check::ResolvedLater)
                    }
                    _ => continue,
                };
                let holds = from.is_some_and(|from| {
                    let span = known.span(from, at, *life);
                    known.may_run(name, span, (*version, *code))
                });
                verdict.check(check, holds, || {
                    format!("call {number} of {name} ran version {version} with the code {code}")
                });
            }
            Seen::Handled(op, life, told) => {
                if let Some(request) = known.requests.get(op) {
                    let span = known.span(request.asked, at, *life);
                    known.handled(verdict, (request.ask, told), span, &mut is_own);
                }
            }
            _ => {}
        }
    }
    known.stays(verdict);
}

impl<'a> Known<'a> {
    fn of(seen: &'a [Seen]) -> Self {
        let mut known = Self {
            requests: BTreeMap::new(),
            latest: Register(vec![first(0)]),
            aliases: ALIASES
                .iter()
                .map(|alias| (*alias, Register(vec![first(None)])))
                .collect(),
            deleted: BTreeMap::new(),
            published: BTreeMap::new(),
            superseded: BTreeMap::new(),
        };
        // Requests under way, by life; and who owns the store.
        let (mut open, mut owner): (Vec<(u64, u64)>, Option<u64>) = (Vec::new(), None);
        for (at, seen) in seen.iter().enumerate() {
            match seen {
                Seen::Asked(op, ask) => _ = known.requests.insert(*op, Request::of(ask, at)),
                Seen::Handles(op, life) => {
                    open.push((*op, *life));
                    if let Some(request) = known.requests.get_mut(op) {
                        request.begin.get_or_insert(at);
                    }
                }
                Seen::Handled(op, life, told) => {
                    if let Some(place) = open.iter().position(|other| *other == (*op, *life)) {
                        open.remove(place);
                    }
                    let is_refused = matches!(told, Told::Missing | Told::InUse);
                    known.ends(*op, at, !is_refused);
                    if let Told::Published { version, code } = told {
                        known.published.entry(*version).or_insert((at, *code));
                    }
                }
                Seen::Died(life) => {
                    for (op, _) in open.extract_if(.., |(_, of)| of == life) {
                        known.ends(op, at, true);
                    }
                }
                Seen::Told(op, told) => {
                    if let Some(request) = known.requests.get_mut(op) {
                        request.told = Some((at, told));
                    }
                }
                Seen::Owned(life) => {
                    if let Some(former) = owner.replace(*life) {
                        known.superseded.entry(former).or_insert(at);
                    }
                }
                _ => {}
            }
        }
        for (op, _) in open {
            known.ends(op, usize::MAX, true);
        }
        known.arrange();
        known
    }

    /// A node has done with a request.
    fn ends(&mut self, op: u64, at: usize, is_possible: bool) {
        if let Some(request) = self.requests.get_mut(&op) {
            request.end = request.end.max(at);
            request.is_possible |= is_possible;
        }
    }

    /// Makes registers of the requests.
    fn arrange(&mut self) {
        for request in self.requests.values() {
            let Some(begin) = request.begin.filter(|_| request.is_possible) else {
                continue;
            };
            let done = |told: &Told| {
                matches!(
                    told,
                    Told::Edited | Told::Pointed | Told::Unpointed | Told::Unpublished
                )
            };
            let told = request.told.filter(|(_, told)| done(told)).map(|(at, _)| at);
            let write = Write {
                begin,
                end: request.end,
                told,
                value: (),
            };
            match request.ask {
                Ask::Edit { code } => self.latest.0.push(write.of(*code)),
                Ask::Point { alias, to } => {
                    if let Some(alias) = self.aliases.get_mut(alias) {
                        alias.0.push(write.of(Some(*to)));
                    }
                }
                Ask::Unpoint { alias } => {
                    if let Some(alias) = self.aliases.get_mut(alias) {
                        alias.0.push(write.of(None));
                    }
                }
                Ask::Unpublish { version } => self.deleted.entry(*version).or_default().push(write),
                _ => {}
            }
        }
    }

    /// Calls by their numbers, with when they were asked.
    fn calls(&self) -> BTreeMap<u64, (&'a Ask, usize)> {
        let calls = self.requests.values().filter_map(|request| match request.ask {
            Ask::Call { number, .. } | Ask::Later { number, .. } => {
                Some((*number, (request.ask, request.asked)))
            }
            _ => None,
        });
        calls.collect()
    }

    /// What may be known in this life of a node.
    fn span(&self, from: usize, to: usize, life: u64) -> Span {
        let superseded = self.superseded.get(&life).copied();
        Span {
            from: superseded.map_or(from, |at| at.min(from)),
            to,
        }
    }

    /// Whether a call by this name may run this version with this code.
    fn may_run(&self, name: &Qualifier, span: Span, (version, code): (u64, u64)) -> bool {
        let is_it = |meant: u64| match meant {
            0 => version == 0 && self.latest.during(span).any(|latest| *latest == code),
            meant => version == meant && !self.is_gone(version, span.from),
        };
        match name {
            Qualifier::Latest => is_it(0),
            Qualifier::Version(number) => is_it(*number),
            Qualifier::Alias(alias) => {
                let meant = self.meant(alias.as_str(), span).flatten();
                meant.flat_map(|to| to.runs()).any(is_it)
            }
        }
    }

    fn meant(&self, alias: &str, span: Span) -> impl Iterator<Item = Option<Pointing>> {
        let alias = self.aliases.get(alias);
        alias
            .into_iter()
            .flat_map(move |alias| alias.during(span).copied())
    }

    /// Whether a version was deleted for certain before a moment.
    fn is_gone(&self, version: u64, at: usize) -> bool {
        let deleted = self.deleted.get(&version).into_iter().flatten();
        deleted.filter_map(|write| write.told).any(|told| told < at)
    }

    /// Whether what a name means was there for certain all the time.
    fn is_there(&self, name: &Qualifier, span: Span) -> bool {
        match name {
            Qualifier::Latest => true,
            Qualifier::Version(number) => {
                let is_published = self.published.get(number).is_some_and(|(at, _)| *at < span.from);
                let mut deleted = self.deleted.get(number).into_iter().flatten();
                is_published && deleted.all(|write| write.begin > span.to)
            }
            Qualifier::Alias(alias) => self.meant(alias.as_str(), span).all(|to| to.is_some()),
        }
    }

    /// What a node had to say.
    fn handled(
        &self,
        verdict: &mut Verdict,
        (ask, told): (&Ask, &Told),
        span: Span,
        is_own: &mut impl FnMut(u64, u64) -> bool,
    ) {
        match (ask, told) {
            (Ask::Call { name, .. } | Ask::Later { name, .. }, told) => {
                let holds = *told != Told::Missing || !self.is_there(name, span);
                verdict.check(Check::Found, holds, || {
                    format!("there is no {name}, a client was told")
                });
            }
            (_, Told::Published { version, code }) => {
                let holds = is_own(*version, *code) && self.latest.during(span).any(|latest| latest == code);
                verdict.check(Check::Code, holds, || {
                    format!("version {version} was published with the code {code}")
                });
            }
            (Ask::Unpublish { version }, Told::Unpublished | Told::InUse) => {
                let points = |to: Option<Pointing>| to.is_some_and(|to| to.points_to(*version));
                let holds = match told {
                    Told::InUse => ALIASES.iter().any(|alias| self.meant(alias, span).any(points)),
                    _ => !ALIASES.iter().any(|alias| self.meant(alias, span).all(points)),
                };
                verdict.check(Check::InUse, holds, || {
                    format!("the deletion of version {version} was answered with {told:?}")
                });
            }
            (_, Told::Listed { versions, aliases }) => {
                for (version, code) in versions {
                    let holds = is_own(*version, *code) && !self.is_gone(*version, span.from);
                    verdict.check(Check::Kept, holds, || {
                        format!("version {version} is listed with the code {code}")
                    });
                }
                for version in self.published.keys() {
                    let is_listed = versions.iter().any(|(listed, _)| listed == version);
                    let is_there = self.is_there(&Qualifier::Version(*version), span);
                    verdict.check(Check::Kept, is_listed || !is_there, || {
                        format!("version {version} was published and is not listed")
                    });
                }
                for alias in ALIASES {
                    let listed = aliases.iter().find(|(name, _)| name == alias).map(|(_, to)| *to);
                    let holds = self.meant(alias, span).any(|to| to == listed);
                    verdict.check(Check::Kept, holds, || format!("{alias} is listed as {listed:?}"));
                }
            }
            _ => {}
        }
    }

    /// What is there in the end: aliases point to versions that are there.
    fn stays(&self, verdict: &mut Verdict) {
        let listed = self
            .requests
            .values()
            .rev()
            .find_map(|request| match request.told {
                Some((_, Told::Listed { versions, aliases })) => Some((versions, aliases)),
                _ => None,
            });
        let Some((versions, aliases)) = listed else {
            return verdict.check(Check::Kept, false, || "nobody was told what there is".to_owned());
        };
        for (alias, to) in aliases {
            let is_there = |version: u64| version == 0 || versions.iter().any(|(other, _)| *other == version);
            let other = to.other.map(|(other, _)| other);
            let holds = is_there(to.version) && other.is_none_or(is_there);
            verdict.check(Check::Kept, holds, || {
                format!("{alias} points to {to:?} in the end, which is not all there")
            });
        }
    }
}

/// What is there before any change.
fn first<V>(value: V) -> Write<V> {
    Write {
        begin: 0,
        end: 0,
        told: None,
        value,
    }
}

impl Write<()> {
    fn of<V>(self, value: V) -> Write<V> {
        let Self { begin, end, told, .. } = self;
        Write {
            begin,
            end,
            told,
            value,
        }
    }
}

impl<'a> Request<'a> {
    fn of(ask: &'a Ask, asked: usize) -> Self {
        Self {
            ask,
            asked,
            begin: None,
            end: 0,
            is_possible: false,
            told: None,
        }
    }
}

impl Pointing {
    fn points_to(self, version: u64) -> bool {
        self.version == version || self.other.is_some_and(|(other, _)| other == version)
    }

    /// The versions to which it sends calls.
    fn runs(self) -> impl Iterator<Item = u64> {
        let (own, other) = match self.other {
            Some((other, 100)) => (None, Some(other)),
            None | Some((_, 0)) => (Some(self.version), None),
            Some((other, _)) => (Some(self.version), Some(other)),
        };
        own.into_iter().chain(other)
    }
}
