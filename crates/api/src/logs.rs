//! The feed as lines of JSON.

use std::collections::VecDeque;
use std::sync::Arc;

use aloft_base::{ErrorKind, FunctionName, InvocationId};
use aloft_http::{Body, BodyError, Response};
use aloft_observe::{Feed, Notice, Subscription};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;

use crate::error::Error;

/// Which notices are asked for.
#[derive(Debug, Default)]
struct Filter {
    function: Option<FunctionName>,
    invocation: Option<InvocationId>,
    is_following: bool,
}

/// What is kept, and with `follow=true` what comes.
pub(crate) fn logs(feed: &Feed, query: &str) -> Result<Response, Error> {
    let filter = Filter::parse(query)?;
    let (recent, subscription) = feed.recent_and_subscribe();
    let subscription = filter.is_following.then_some(subscription);
    let lines = Lines {
        recent: recent.into(),
        subscription,
        filter,
    };
    let body = stream::unfold(lines, |mut lines| async move {
        lines.next().await.map(|line| (line, lines))
    });
    let frames = futures_util::StreamExt::map(body, |line| Ok::<_, BodyError>(Frame::data(line)));
    let mut response = Response::new(Body::new(StreamBody::new(frames).boxed_unsync()));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    Ok(response)
}

struct Lines {
    recent: VecDeque<Arc<Notice>>,
    subscription: Option<Subscription>,
    filter: Filter,
}

impl Lines {
    async fn next(&mut self) -> Option<Bytes> {
        while let Some(notice) = self.recent.pop_front() {
            if self.filter.takes(&notice) {
                return Some(line(&notice));
            }
        }
        loop {
            match self.subscription.as_mut()?.next().await? {
                Ok(notice) if self.filter.takes(&notice) => return Some(line(&notice)),
                Ok(_) => {}
                Err(missed) => {
                    let said = json!({ "event": "missed", "count": missed.0 });
                    return Some(format!("{said}\n").into());
                }
            }
        }
    }
}

impl Filter {
    fn parse(query: &str) -> Result<Self, Error> {
        let mut filter = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
            let invalid = |why: String| Error::new(ErrorKind::Invalid, why);
            match name {
                "function" => {
                    filter.function = Some(value.parse().map_err(|error| invalid(format!("{error}")))?)
                }
                "invocation" => {
                    filter.invocation = Some(value.parse().map_err(|error| invalid(format!("{error}")))?)
                }
                "follow" => filter.is_following = value == "true",
                other => {
                    let known = "function, invocation and follow";
                    return Err(invalid(format!(
                        "there is no parameter \"{other}\"; there are {known}"
                    )));
                }
            }
        }
        Ok(filter)
    }

    fn takes(&self, notice: &Notice) -> bool {
        let (function, invocation) = match notice {
            Notice::Log(line) => (Some(&line.function), line.invocation),
            Notice::Invocation(record) => (Some(&record.function), Some(record.invocation)),
            Notice::Build(_) | Notice::Reload(_) => (None, None),
        };
        (self.function.is_none() || self.function.as_ref() == function)
            && (self.invocation.is_none() || self.invocation == invocation)
    }
}

fn line(notice: &Notice) -> Bytes {
    let mut line = serde_json::to_vec(notice).unwrap_or_default();
    line.push(b'\n');
    line.into()
}
