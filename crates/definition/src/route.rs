//! Route patterns: `GET /orders/{id}`. Reading and comparing them only; matching requests is the gateway's.

use std::fmt;
use std::str::FromStr;

/// Bytes of a pattern's path. A request's may be longer, up to the server's bound of 16 KiB for a target (414 beyond it):
/// what stands for a parameter is not counted here.
const MAX_PATH: usize = 1_024;

/// Which requests a route takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePattern {
    /// The method.
    pub method: Method,
    /// The path's segments; none is `/`.
    pub segments: Vec<Segment>,
}

/// A route's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `ANY`: every method for which the same path has no route of its own.
    Any,
    /// `GET`.
    Get,
    /// `HEAD`. Without a route of its own, HEAD follows GET.
    Head,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
    /// `OPTIONS`.
    Options,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Any,
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
        Self::Options,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "ANY",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// One part of a route's path, between slashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// Text that must be there, percent-decoded.
    Literal(String),
    /// `{name}`: one segment, whatever it is, but not empty.
    Variable(String),
    /// `{name+}`: one segment or more, up to the path's end.
    Rest(String),
}

/// Text that is not a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRoute {
    /// What is wrong.
    pub message: String,
    /// What is right.
    pub expected: String,
    /// The misspelt method, if that is what is wrong.
    pub method: Option<String>,
}

impl std::error::Error for InvalidRoute {}

impl fmt::Display for InvalidRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; expected {}", self.message, self.expected)
    }
}

impl FromStr for RoutePattern {
    type Err = InvalidRoute;
    fn from_str(text: &str) -> Result<Self, InvalidRoute> {
        let example = "a method and a path, such as \"GET /orders/{id}\"";
        let Some((word, path)) = text.split_once(' ') else {
            return Err(invalid("the route has no method".to_owned(), example));
        };
        let Some(method) = Method::ALL.into_iter().find(|method| method.as_str() == word) else {
            let methods: Vec<&str> = Method::ALL.iter().map(|method| method.as_str()).collect();
            let expected = format!("one of {}", methods.join(", "));
            let message = format!("\"{}\" is not a method", cut(word));
            return Err(InvalidRoute {
                message,
                expected,
                method: Some(word.to_owned()),
            });
        };
        Ok(Self {
            method,
            segments: parse_path(path)?,
        })
    }
}

impl RoutePattern {
    /// The pattern without its variables' names: two routes of the same shape take the same requests.
    pub fn shape(&self) -> String {
        let mut shape = format!("{} ", self.method.as_str());
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => shape.extend(["/", text]),
                Segment::Variable(_) => shape.push_str("/{}"),
                Segment::Rest(_) => shape.push_str("/{+}"),
            }
        }
        shape
    }
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.method.as_str())?;
        if self.segments.is_empty() {
            f.write_str("/")?;
        }
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Variable(name) => write!(f, "/{{{name}}}")?,
                Segment::Rest(name) => write!(f, "/{{{name}+}}")?,
            }
        }
        Ok(())
    }
}

/// Reads a path template.
pub(crate) fn parse_path(path: &str) -> Result<Vec<Segment>, InvalidRoute> {
    let Some(inner) = path.strip_prefix('/') else {
        return Err(invalid(
            format!("the path \"{}\" does not begin with a slash", cut(path)),
            "a path such as \"/orders\"",
        ));
    };
    if path.len() > MAX_PATH {
        return Err(invalid(
            "the path is too long".to_owned(),
            &format!("at most {MAX_PATH} bytes"),
        ));
    }
    if inner.is_empty() {
        return Ok(vec![]);
    }
    let mut segments = vec![];
    let count = inner.split('/').count();
    for (i, text) in inner.split('/').enumerate() {
        let segment = parse_segment(text, i + 1 == count)?;
        if let Segment::Variable(name) | Segment::Rest(name) = &segment
            && segments
                .iter()
                .any(|known| matches!(known, Segment::Variable(n) | Segment::Rest(n) if n == name))
        {
            let message = format!("the path has the variable \"{}\" twice", cut(name));
            return Err(invalid(message, "a name of its own for each variable"));
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn parse_segment(text: &str, is_last: bool) -> Result<Segment, InvalidRoute> {
    if text.is_empty() {
        let message = if is_last {
            "the path ends with a slash"
        } else {
            "the path has two slashes in a row"
        };
        return Err(invalid(message.to_owned(), "a path such as \"/orders/{id}\""));
    }
    if let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let name = inner.strip_suffix('+').unwrap_or(inner);
        let is_named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !is_named {
            let message = format!("\"{}\" is not a variable's name", cut(name));
            return Err(invalid(
                message,
                "a letter or _, then letters, digits, - and _: {id}",
            ));
        }
        return match (name.len() < inner.len(), is_last) {
            (false, _) => Ok(Segment::Variable(name.to_owned())),
            (true, true) => Ok(Segment::Rest(name.to_owned())),
            (true, false) => Err(invalid(
                format!(
                    "\"{}\" takes the rest of the path, but is not at its end",
                    cut(text)
                ),
                "{name+} as the last segment",
            )),
        };
    }
    let forbidden = |c: char| "{}?#%\\\"".contains(c) || c.is_control() || c.is_whitespace();
    if let Some(c) = text.chars().find(|c| forbidden(*c)) {
        let message = format!("the path's segment \"{}\" has the character {c:?}", cut(text));
        return Err(invalid(
            message,
            "plain text, not percent-encoded, or a variable that is the whole segment: {id}",
        ));
    }
    if text == "." || text == ".." {
        return Err(invalid(
            format!("the path has the segment \"{text}\""),
            "a path without \".\" and \"..\"",
        ));
    }
    Ok(Segment::Literal(text.to_owned()))
}

fn invalid(message: String, expected: &str) -> InvalidRoute {
    InvalidRoute {
        message,
        expected: expected.to_owned(),
        method: None,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}
