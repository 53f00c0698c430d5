//! Functions' own addresses: what the function gets, who may call, and what pages of other origins are told.

use aloft_call::{Principal, Qualifier};
use aloft_function::{Catalogue, Cors, FunctionUrl, NoOthers, UrlAuth, UrlMode};

use std::pin::Pin;
use std::task::{Context, Poll};

use aloft_http::BodyError;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;

use super::*;
use crate::{FunctionUrls, Verify};

const ID: &str = "0123456789abcdef0123456789abcdef";

/// Believes whoever says the word.
struct Word;

#[async_trait]
impl Verify for Word {
    async fn can_be_signed(&self, head: &http::request::Parts, is_invited: bool) -> bool {
        let said = head.headers.get("authorization");
        said.is_some_and(|said| said.as_bytes() == b"please") && is_invited
    }

    async fn signer(
        &self,
        head: &http::request::Parts,
        body: &[u8],
        is_invited: bool,
    ) -> Option<(Tenant, Principal)> {
        let is_right = head.headers.get("authorization")?.as_bytes() == b"please" && body == b"text";
        let is_whole = head.uri.path().starts_with("/_url/");
        let owner = || (Tenant::local(), Principal::Owner { key: "k".into() });
        (is_right && is_invited && is_whole).then(owner)
    }
}

/// One address, in front of the function `f`.
fn address(house: House, auth: UrlAuth, cors: Option<Cors>) -> (FunctionUrls, Arc<Toy>) {
    let catalogue = Arc::new(Catalogue::new());
    let url = FunctionUrl {
        id: ID.parse().unwrap(),
        function: FunctionId::new(&Tenant::local(), &"f".parse().unwrap()),
        qualifier: Qualifier::Latest,
        auth,
        mode: UrlMode::Buffered,
        cors,
        created: Timestamp::default(),
        modified: Timestamp::default(),
        unknown: Default::default(),
    };
    assert!(catalogue.keep_url(catalogue.epoch(), &Arc::new(url)));
    let urls = FunctionUrls::new(
        Arc::new(house.gateway),
        catalogue,
        Arc::new(NoOthers),
        Arc::new(Word),
    );
    (urls, house.toy)
}

async fn ask(urls: &FunctionUrls, request: http::request::Builder, body: &'static str) -> Read {
    let response = urls.handle(request.body(full(body)).unwrap()).await;
    let (head, body) = response.into_parts();
    Read {
        status: head.status.as_u16(),
        head: head.headers,
        body: collect(body, 1 << 20).await.unwrap(),
    }
}

#[tokio::test]
async fn a_function_answers_for_all_below_its_address() {
    let (urls, toy) = address(House::new(Config::dev()), UrlAuth::None, None);
    for (below, seen) in [
        ("", "/"),
        ("/", "/"),
        ("/a/b%20c?x=1&x=2", "/a/b%20c?x=1&x=2"),
        ("//", "//"),
        ("/..%2f?", "/..%2f?"),
    ] {
        let target = format!("/_url/{ID}{below}");
        let answer = ask(
            &urls,
            Request::put(&target)
                .header("connection", "x-mine")
                .header("x-mine", "1"),
            "text",
        )
        .await;
        assert_eq!((answer.status, &*answer.body), (200, &b"ok"[..]), "{target}");
        assert!(!answer.header("x-amzn-requestid").is_empty());
        let call = toy.calls.lock().unwrap().pop().unwrap();
        assert_eq!(
            (&*call.uri, &*call.method, &*call.route),
            (seen, "PUT", "$default")
        );
        assert_eq!(call.body, "text");
        assert!(
            !call.fields.contains(&"x-mine".to_owned()),
            "it is of the connection"
        );
    }
    for nowhere in [
        "/_url/",
        "/_url/x/",
        &format!("/_url/{}/", ID.replace('0', "1")),
        &format!("/_url/{ID}x"),
    ] {
        let answer = ask(&urls, Request::get(nowhere), "").await;
        assert_eq!(answer.status, 404, "{nowhere}");
    }
    assert!(toy.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn only_who_has_signed_calls_what_wants_that() {
    let cors = |origin: &str| Cors {
        origins: vec![origin.to_owned()],
        ..Cors::default()
    };
    let target = format!("/_url/{ID}/a");
    for (key, body, origin, named, status) in [
        ("please", "text", None, None, 200),
        ("please", "other", None, None, 403),
        ("now", "text", None, None, 403),
        // A page of the internet may not have this machine's visitor sign, unless the address names it.
        ("please", "text", Some("https://a.example"), None, 403),
        (
            "please",
            "text",
            Some("https://a.example"),
            Some("https://a.example"),
            200,
        ),
        (
            "please",
            "text",
            Some("https://a.example"),
            Some("https://b.example"),
            403,
        ),
        // That all may is not that this one may.
        ("please", "text", Some("https://a.example"), Some("*"), 403),
    ] {
        let (urls, toy) = address(House::new(Config::dev()), UrlAuth::Iam, named.map(cors));
        let mut request = Request::post(&target).header("authorization", key);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let answer = ask(&urls, request, body).await;
        assert_eq!(answer.status, status, "{key} {body} {origin:?} {named:?}");
        assert_eq!(toy.calls.lock().unwrap().len(), usize::from(status == 200));
        if status == 403 {
            assert_eq!(answer.body, r#"{"Message":"Forbidden"}"#);
        }
    }
}

/// A body that must not be asked for.
struct Untouched;

impl http_body::Body for Untouched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        panic!("a stranger's body is read");
    }
}

#[tokio::test]
async fn a_strangers_body_is_not_read() {
    let (urls, _) = address(House::new(Config::dev()), UrlAuth::Iam, None);
    for key in [None, Some("now")] {
        let mut request = Request::post(format!("/_url/{ID}/a"));
        if let Some(key) = key {
            request = request.header("authorization", key);
        }
        let response = urls.handle(request.body(Untouched.boxed_unsync()).unwrap()).await;
        assert_eq!(response.status().as_u16(), 403);
    }
}

#[tokio::test]
async fn an_address_that_says_what_pages_may_answers_browsers_itself() {
    let cors = Cors {
        origins: vec!["https://a.example".to_owned()],
        methods: vec!["*".to_owned()],
        ..Cors::default()
    };
    let (urls, toy) = address(House::new(Config::dev()), UrlAuth::Iam, Some(cors));
    let target = format!("/_url/{ID}/");
    let question = |origin: &str| {
        Request::options(&target)
            .header("origin", origin)
            .header("access-control-request-method", "DELETE")
    };
    let answer = ask(&urls, question("https://a.example"), "").await;
    assert_eq!(
        (
            answer.status,
            answer.header("access-control-allow-origin"),
            answer.header("access-control-allow-methods")
        ),
        (200, "https://a.example", "DELETE")
    );
    let answer = ask(&urls, question("https://b.example"), "").await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, "")
    );
    assert!(
        toy.calls.lock().unwrap().is_empty(),
        "no question is the function's"
    );
}
