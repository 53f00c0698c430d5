//! Document paths: `a.b[0]`. Where they lead, which of them overlap, and what of an item a set of them keeps.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aloft_item::{Item, Map, Value};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// A member of a map. Shared, because an expression may name a long attribute many times.
    Name(Arc<str>),
    /// An element of a list.
    Index(usize),
}

/// A path into an item: an attribute's name, and steps into its document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    pub(crate) attribute: Arc<str>,
    pub(crate) steps: Vec<Step>,
}

impl Path {
    /// What stands there.
    pub(crate) fn find<'a>(&self, item: &'a Item) -> Option<&'a Value> {
        let mut value = item.get(&self.attribute)?;
        for step in &self.steps {
            value = match (step, value) {
                (Step::Name(name), Value::M(members)) => members.get(&**name)?,
                (Step::Index(index), Value::L(elements)) => elements.get(*index)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// How two paths stand in each other's way, if they do.
    pub(crate) fn clash(&self, other: &Self) -> Option<Clash> {
        if self.attribute != other.attribute {
            return None;
        }
        for (a, b) in self.steps.iter().zip(&other.steps) {
            match (a, b) {
                (Step::Name(_), Step::Index(_)) | (Step::Index(_), Step::Name(_)) => {
                    return Some(Clash::Conflict);
                }
                _ if a != b => return None,
                _ => {}
            }
        }
        Some(Clash::Overlap)
    }
}

/// How two paths stand in each other's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clash {
    /// One leads through the other.
    Overlap,
    /// One takes for a list what the other takes for a map.
    Conflict,
}

/// As DynamoDB prints it: `[a, b, [0]]`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.attribute)?;
        for step in &self.steps {
            match step {
                Step::Name(name) => write!(f, ", {name}")?,
                Step::Index(index) => write!(f, ", [{index}]")?,
            }
        }
        f.write_str("]")
    }
}

/// Refuses paths that stand in each other's way, in DynamoDB's words.
pub(crate) fn check_clashes<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<(), String> {
    // Sorting brings paths with a common start together, so a clash shows among neighbours of one attribute.
    let paths: Vec<&Path> = paths.collect();
    let mut by_attribute: BTreeMap<&str, Vec<&Path>> = BTreeMap::new();
    for path in paths {
        let others = by_attribute.entry(&path.attribute).or_default();
        for other in others.iter() {
            let word = match other.clash(path) {
                None => continue,
                Some(Clash::Overlap) => "overlap",
                Some(Clash::Conflict) => "conflict",
            };
            return Err(format!(
                "Two document paths {word} with each other; must remove or rewrite one of these paths; path one: {other}, path two: {path}"
            ));
        }
        others.push(path);
    }
    Ok(())
}

/// What a projection keeps: paths as a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection(BTreeMap<Step, Selection>);

impl Selection {
    pub(crate) fn of<'a>(paths: impl Iterator<Item = &'a Path>) -> Self {
        let mut root = Self::default();
        for path in paths {
            let mut at = root.0.entry(Step::Name(path.attribute.clone())).or_default();
            for step in &path.steps {
                at = at.0.entry(step.clone()).or_default();
            }
        }
        root
    }

    /// The part of the item that is kept. Lists keep their selected elements in order, without gaps.
    pub(crate) fn apply(&self, item: &Item) -> Item {
        Item(self.members(&item.0))
    }

    fn members(&self, map: &Map) -> Map {
        let kept = self.0.iter().filter_map(|(step, inner)| match step {
            Step::Name(name) => Some((name.to_string(), inner.value(map.get(&**name)?)?)),
            Step::Index(_) => None,
        });
        kept.collect()
    }

    fn value(&self, value: &Value) -> Option<Value> {
        if self.0.is_empty() {
            return Some(value.clone());
        }
        match value {
            Value::M(map) => Some(Value::M(self.members(map))).filter(|v| *v != Value::M(Map::new())),
            Value::L(list) => {
                let kept: Vec<Value> = self
                    .0
                    .iter()
                    .filter_map(|(step, inner)| match step {
                        Step::Index(index) => inner.value(list.get(*index)?),
                        Step::Name(_) => None,
                    })
                    .collect();
                (!kept.is_empty()).then_some(Value::L(kept))
            }
            _ => None,
        }
    }
}
