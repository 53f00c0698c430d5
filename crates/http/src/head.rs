//! Checks a request's head before hyper sees it (RFC 9112, sections 2 to 6).
//!
//! hyper answers a bad head with an empty 400 and lets through what RFC 9112 merely allows a lenient server to accept. Both
//! do not fit here: an edge answers errors in its own shape, and a head that two parsers may read differently is how
//! requests are smuggled past whoever stands in front. So this check is strict (CRLF only, no folding, one framing) and
//! refuses everything that hyper would refuse, so that hyper's own answer is never seen. It reads each byte once and keeps
//! nothing but a few numbers; it does not replace hyper's parser.

use http::{Method, StatusCode, Uri};

use crate::{Limits, Refusal};

/// hyper's own bound; a larger one would cost it an allocation per request.
const MOST_FIELDS: usize = 100;
const LONGEST_METHOD: usize = 32;
/// More digits than any body here may have; hyper reads up to 19.
const MOST_DIGITS: usize = 18;
/// RFC 9112, section 2.2: a server should ignore at least one empty line before a request.
const MOST_EMPTY_LINES: usize = 4;

/// How a request's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// This many bytes, 0 when there is no body.
    Sized(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// A head that is being checked. Whoever feeds it passes the same bytes again, with more at their end.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// Where the first line begins that was not yet checked.
    line: usize,
    /// Up to where the end of that line was looked for.
    searched: usize,
    empty_lines: usize,
    is_http_11: Option<bool>,
    fields: usize,
    hosts: usize,
    length: Option<u64>,
    is_chunked: bool,
}

impl Head {
    /// Goes on checking `bytes`, which begin where the head begins. Returns the head's length once it is complete.
    pub(crate) fn check(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<(usize, Framing)>, Refusal> {
        loop {
            let unsearched = bytes.get(self.searched..).unwrap_or_default();
            let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') else {
                self.check_partial(bytes, unsearched, limits)?;
                self.searched = bytes.len();
                return Ok(None);
            };
            let end = self.searched + at;
            let line = bytes.get(self.line..end).unwrap_or_default();
            let Some(line) = line.strip_suffix(b"\r") else {
                return Err(Refusal::malformed(
                    "a line of the request's head does not end with CR LF",
                ));
            };
            self.line = end + 1;
            self.searched = end + 1;
            if line.is_empty() && self.is_http_11.is_some() {
                check_size(end + 1, limits)?;
                return self.framing().map(|framing| Some((end + 1, framing)));
            }
            self.check_line(line, limits)?;
            check_size(end + 1, limits)?;
        }
    }

    /// Refuses early what cannot become a head any more.
    fn check_partial(&self, bytes: &[u8], unsearched: &[u8], limits: &Limits) -> Result<(), Refusal> {
        let partial = bytes.len().saturating_sub(self.line);
        if self.is_http_11.is_none() {
            // Not a text protocol at all, such as a TLS handshake: it may never send a line's end.
            if unsearched
                .iter()
                .any(|byte| byte.is_ascii_control() && *byte != b'\r')
            {
                return Err(not_http());
            }
            if partial > limits.target_bytes + LONGEST_METHOD + " HTTP/1.1\r ".len() {
                return Err(target_too_long(limits));
            }
        }
        check_size(bytes.len(), limits)
    }

    fn check_line(&mut self, line: &[u8], limits: &Limits) -> Result<(), Refusal> {
        if self.is_http_11.is_some() {
            return self.check_field(line);
        }
        if line.is_empty() {
            self.empty_lines += 1;
            return if self.empty_lines > MOST_EMPTY_LINES {
                Err(not_http())
            } else {
                Ok(())
            };
        }
        self.is_http_11 = Some(check_request_line(line, limits)?);
        Ok(())
    }

    fn check_field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.fields += 1;
        if self.fields > MOST_FIELDS {
            let message = format!("the request has more than {MOST_FIELDS} header fields");
            return Err(Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message));
        }
        if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            return Err(Refusal::malformed("a header field is folded over several lines"));
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            return Err(Refusal::malformed("a header field has no colon"));
        };
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(Refusal::malformed(
                "a header field's name is empty or has a character that is not allowed",
            ));
        }
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(Refusal::malformed(
                "a header field's value has a control character",
            ));
        }
        // The length is compared first, because most fields are none of these.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(trim(value))?,
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(trim(value))?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(trim(value))?,
            _ => {}
        }
        Ok(())
    }

    /// RFC 9112, section 3.2: a Host that is no host is 400. What may stand in a host and a port (RFC 3986, section 3.2.2) is
    /// looked at, not how they are put together.
    fn host(&mut self, value: &[u8]) -> Result<(), Refusal> {
        self.hosts += 1;
        let is_of_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte);
        if !value.iter().all(is_of_host) {
            return Err(Refusal::malformed("the Host field is not a host and a port"));
        }
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let is_number = (1..=MOST_DIGITS).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
        if !is_number {
            return Err(Refusal::malformed("Content-Length is not one decimal number"));
        }
        let length = value
            .iter()
            .fold(0, |sum: u64, digit| sum * 10 + u64::from(digit - b'0'));
        if self.length.is_some_and(|other| other != length) {
            return Err(Refusal::malformed(
                "the request has several Content-Length fields that differ",
            ));
        }
        self.length = Some(length);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::malformed(
                "the only Transfer-Encoding that is understood is \"chunked\", once",
            ));
        }
        self.is_chunked = true;
        Ok(())
    }

    fn framing(&self) -> Result<Framing, Refusal> {
        let is_http_11 = self.is_http_11 == Some(true);
        if self.hosts > 1 || (is_http_11 && self.hosts == 0) {
            return Err(Refusal::malformed(
                "an HTTP/1.1 request needs exactly one Host field",
            ));
        }
        match (self.is_chunked, self.length) {
            (true, Some(_)) => Err(Refusal::malformed(
                "the request has both Content-Length and Transfer-Encoding",
            )),
            (true, None) if !is_http_11 => Err(Refusal::malformed("HTTP/1.0 has no Transfer-Encoding")),
            (true, None) => Ok(Framing::Chunked),
            (false, length) => Ok(Framing::Sized(length.unwrap_or(0))),
        }
    }
}

/// Checks `METHOD target HTTP/1.x`; returns whether it is HTTP/1.1 rather than 1.0.
fn check_request_line(line: &[u8], limits: &Limits) -> Result<bool, Refusal> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(not_http());
    };
    let method = Method::from_bytes(method)
        .ok()
        .filter(|_| method.len() <= LONGEST_METHOD)
        .ok_or_else(not_http)?;
    let is_http_11 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        b"HTTP/2.0" => {
            let message = "HTTP/2 is not spoken here: send HTTP/1.1";
            return Err(Refusal::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, message));
        }
        other if other.starts_with(b"HTTP/") => {
            let message = "only HTTP/1.1 and HTTP/1.0 are spoken here";
            return Err(Refusal::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, message));
        }
        _ => return Err(not_http()),
    };
    if method == Method::CONNECT {
        return Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "CONNECT is not served: this is not a proxy",
        ));
    }
    if target.len() > limits.target_bytes {
        return Err(target_too_long(limits));
    }
    let is_plain = target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    if !is_plain || Uri::try_from(target).is_err() {
        return Err(Refusal::malformed(
            "the request's target is not a valid URI: percent-encode what is not allowed",
        ));
    }
    Ok(is_http_11)
}

fn check_size(bytes: usize, limits: &Limits) -> Result<(), Refusal> {
    if bytes <= limits.head_bytes {
        return Ok(());
    }
    let message = format!(
        "the request's head is larger than the limit of {} bytes",
        limits.head_bytes
    );
    Err(Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message))
}

fn target_too_long(limits: &Limits) -> Refusal {
    let message = format!(
        "the request's target is longer than the limit of {} bytes",
        limits.target_bytes
    );
    Refusal::new(StatusCode::URI_TOO_LONG, message)
}

fn not_http() -> Refusal {
    Refusal::malformed("this is not an HTTP/1.1 request (the port speaks plain HTTP, no TLS)")
}

/// RFC 9110, section 5.6.2.
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Without the optional whitespace around it: space and tab, nothing else.
fn trim(value: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value
        .iter()
        .position(|byte| !is_blank(byte))
        .unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|byte| !is_blank(byte))
        .map_or(start, |at| at + 1);
    value.get(start..end).unwrap_or_default()
}
