//! Files of a project's folder, for GET and HEAD.
//!
//! A name is taken apart before it touches the file system: no empty part, none that begins with a dot, no slash, backslash
//! or control character. What was opened is then asked where it really lies, so that a link cannot lead out of the folder
//! however late it was put there. (`openat2` with `RESOLVE_BENEATH` does the same in one call, but older container runtimes
//! forbid it, and two ways to decide who may read what is one too many.)
//!
//! Every answer has a strong `ETag`, the hash of the content. A file of up to 256 KiB is read and hashed as one; a larger
//! one is streamed, and its hash is remembered for as long as its inode, size and times stay.

mod open;
mod stream;
mod tag;

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use aloft_base::Timestamp;
use aloft_http::{Response, empty, full};
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED,
    LOCATION, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{Method, StatusCode};

use self::open::{Found, find};
use self::tag::Tags;
use crate::range::{self, Part, Version};

/// Up to here a file is read at once.
const SMALL: u64 = 256 << 10;

/// A folder whose files are served.
#[derive(Debug, Clone)]
pub(crate) struct Folder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Without links, so that what was opened can be compared with it.
    root: PathBuf,
    tags: Tags,
}

/// A file, opened.
struct File {
    content: Content,
    size: u64,
    etag: String,
    modified: SystemTime,
    kind: HeaderValue,
}

enum Content {
    Small(Bytes),
    Large(std::fs::File),
}

enum Looked {
    File(File),
    /// A folder with an index, asked for without its slash: relative links in the page would lead astray.
    NeedsSlash,
    Nothing,
}

impl Folder {
    pub(crate) fn new(folder: &Path) -> Self {
        // A folder that is not there serves nothing, whatever its path looks like.
        let root = folder.canonicalize().unwrap_or_else(|error| {
            tracing::warn!(folder = %folder.display(), %error, "a folder of files cannot be read");
            folder.to_owned()
        });
        Self(Arc::new(Inner {
            root,
            tags: Tags::default(),
        }))
    }

    /// Answers a GET or HEAD for a path within the folder; `None` when there is no such file.
    pub(crate) async fn answer(
        &self,
        head: &Parts,
        path: &[Cow<'_, str>],
        now: Timestamp,
    ) -> io::Result<Option<Response>> {
        let is_folder = head.uri.path().ends_with('/');
        let Some(names) = open::names(path) else {
            return Ok(None);
        };
        let folder = self.0.clone();
        let looked = tokio::task::spawn_blocking(move || folder.look(&names, is_folder, now)).await;
        Ok(match looked.map_err(io::Error::other)?? {
            Looked::Nothing => None,
            Looked::NeedsSlash => Some(with_slash(head)),
            Looked::File(file) => Some(file.answer(head)?),
        })
    }

    /// Whether the path is that of a file, for methods that do not read.
    pub(crate) async fn has(&self, path: &[Cow<'_, str>], is_folder: bool) -> io::Result<bool> {
        let Some(names) = open::names(path) else {
            return Ok(false);
        };
        let folder = self.0.clone();
        let found = tokio::task::spawn_blocking(move || find(&folder.root, &names, is_folder)).await;
        Ok(!matches!(found.map_err(io::Error::other)??, Found::Nothing))
    }
}

impl Inner {
    fn look(&self, names: &[String], is_folder: bool, now: Timestamp) -> io::Result<Looked> {
        let (mut file, metadata, name) = match find(&self.root, names, is_folder)? {
            Found::Nothing => return Ok(Looked::Nothing),
            Found::NeedsSlash => return Ok(Looked::NeedsSlash),
            Found::File { file, metadata, name } => (file, metadata, name),
        };
        let modified = metadata.modified()?;
        let (content, size, etag) = if metadata.len() <= SMALL {
            let bytes = open::read(&mut file, SMALL)?;
            let etag = tag::of_bytes(&bytes);
            (Content::Small(bytes.clone()), bytes.len() as u64, etag)
        } else {
            let etag = self.tags.of_file(&mut file, &metadata, now)?;
            (Content::Large(file), metadata.len(), etag)
        };
        Ok(Looked::File(File {
            content,
            size,
            etag,
            modified,
            kind: kind(&name),
        }))
    }
}

impl File {
    fn answer(self, head: &Parts) -> io::Result<Response> {
        let version = Version {
            etag: &self.etag,
            modified: self.modified,
        };
        let is_fresh = range::is_fresh(&head.headers, version);
        let part = match head.method {
            Method::GET => range::wanted(&head.headers, version, self.size),
            _ => Part::Whole,
        };
        let fields = [
            (ETAG, value(&self.etag)?),
            (LAST_MODIFIED, value(&httpdate::fmt_http_date(self.modified))?),
            // Kept, but asked for again each time: an edit shows at once, and costs nothing when there is none.
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        if is_fresh {
            return Ok(response(StatusCode::NOT_MODIFIED, fields, Response::new(empty())));
        }
        let (kind, size) = (self.kind.clone(), self.size);
        let (status, range, body) = match part {
            Part::Whole => (StatusCode::OK, None, self.body(0, size)?),
            Part::Range(first, last) => {
                let range = format!("bytes {first}-{last}/{size}");
                (
                    StatusCode::PARTIAL_CONTENT,
                    Some(range),
                    self.body(first, last - first + 1)?,
                )
            }
            Part::Unsatisfiable => (
                StatusCode::RANGE_NOT_SATISFIABLE,
                Some(format!("bytes */{size}")),
                empty(),
            ),
        };
        let mut response = response(status, fields, Response::new(body));
        let headers = response.headers_mut();
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(range) = range {
            headers.insert(CONTENT_RANGE, value(&range)?);
        }
        Ok(response)
    }

    fn body(self, first: u64, length: u64) -> io::Result<aloft_http::Body> {
        match self.content {
            Content::Small(bytes) => {
                let first = usize::try_from(first).unwrap_or(usize::MAX).min(bytes.len());
                let end = first
                    .saturating_add(usize::try_from(length).unwrap_or(usize::MAX))
                    .min(bytes.len());
                Ok(full(bytes.slice(first..end)))
            }
            Content::Large(file) => stream::body(file, first, length),
        }
    }
}

fn response(
    status: StatusCode,
    fields: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    mut response: Response,
) -> Response {
    *response.status_mut() = status;
    response.headers_mut().extend(fields);
    response
}

/// Sends the client to the same path with a slash. The path has no empty part, so it cannot name another host.
fn with_slash(head: &Parts) -> Response {
    let query = head
        .uri
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    let location = format!("{}/{query}", head.uri.path());
    let field = HeaderValue::try_from(location).map(|location| (LOCATION, location));
    response(StatusCode::PERMANENT_REDIRECT, field, Response::new(empty()))
}

/// The content type by the name's ending. Text is UTF-8, as everything is that people write today.
fn kind(name: &str) -> HeaderValue {
    let mime = mime_guess::from_path(name).first_or_octet_stream();
    let is_text = mime.type_() == "text" || matches!(mime.subtype().as_str(), "json" | "javascript" | "xml");
    let text = if is_text {
        format!("{mime}; charset=utf-8")
    } else {
        mime.to_string()
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

fn value(text: &str) -> io::Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(io::Error::other)
}
