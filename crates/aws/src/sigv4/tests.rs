//! Requests that AWS's published test suite (aws-sig-v4-test-suite) and botocore's own signer signed, and what becomes of them
//! when one thing is changed.

use std::time::Duration;

use aloft_base::Timestamp;
use futures_util::FutureExt as _;
use http::request::Parts;

use super::{Claim, FixedKeys, check_head};
use crate::Error;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30T12:36:00Z, at which all of them were signed.
const SIGNED: Timestamp = Timestamp::from_millis(1_440_938_160_000);
const PLAIN: &str = "host;x-amz-date";

/// A request that is signed rightly.
#[derive(Clone)]
struct Vector {
    method: &'static str,
    target: &'static str,
    headers: Vec<(&'static str, String)>,
    body: &'static str,
}

fn vector(
    method: &'static str,
    target: &'static str,
    more: &[(&'static str, &str)],
    signed: &str,
    signature: &str,
) -> Vector {
    let mut headers = vec![
        ("host", "example.amazonaws.com".to_owned()),
        ("x-amz-date", "20150830T123600Z".to_owned()),
    ];
    headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    headers.push(("authorization", authorization("service", signed, signature)));
    Vector {
        method,
        target,
        headers,
        body: "",
    }
}

fn authorization(service: &str, signed: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request, SignedHeaders={signed}, Signature={signature}"
    )
}

/// A DynamoDB request as botocore signs it.
fn get_item() -> Vector {
    let signature = "c73e82498b204d63e87a4a2cb6f1ea120c1a3b4fd58ac26df1440d2daf207e2d";
    Vector {
        method: "POST",
        target: "/",
        headers: vec![
            ("host", "localhost:4566".to_owned()),
            ("x-amz-date", "20150830T123600Z".to_owned()),
            ("x-amz-target", "DynamoDB_20120810.GetItem".to_owned()),
            ("content-type", "application/x-amz-json-1.0".to_owned()),
            (
                "authorization",
                authorization("dynamodb", "content-type;host;x-amz-date;x-amz-target", signature),
            ),
        ],
        body: r#"{"TableName":"orders","Key":{"id":{"S":"a"}}}"#,
    }
}

impl Vector {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self
    }

    /// Changes the Authorization header.
    fn claiming(self, from: &str, to: &str) -> Self {
        let old = self
            .headers
            .iter()
            .find(|(name, _)| *name == "authorization")
            .unwrap()
            .1
            .clone();
        assert!(old.contains(from), "{old} has no {from}");
        self.with("authorization", &old.replace(from, to))
    }

    fn head(&self) -> Parts {
        let mut request = http::Request::builder().method(self.method).uri(self.target);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn verify_at(&self, now: Timestamp) -> Result<(), Error> {
        let keys: FixedKeys = [("AKIDEXAMPLE".to_owned(), SECRET.to_owned())]
            .into_iter()
            .collect();
        let head = self.head();
        let claim = Claim::read(&head)?;
        claim.check_terminator()?;
        let held = check_head(claim, &head, now)?.held(&keys).now_or_never();
        held.unwrap()?.check(&head, self.body.as_bytes())
    }

    fn verify(&self) -> Result<(), Error> {
        self.verify_at(SIGNED)
    }

    /// The code and the text of the refusal.
    fn refusal(&self) -> (&'static str, String) {
        let error = self.verify().unwrap_err();
        (error.code().name, error.to_string())
    }
}

#[test]
fn the_published_vectors_verify() {
    let unreserved = "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let trimmed = [("my-header1", "  value1"), ("my-header2", "\"a   b   c\"")];
    let vectors = [
        (
            "get-vanilla",
            "GET",
            "/",
            PLAIN,
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "post-vanilla",
            "POST",
            "/",
            PLAIN,
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "get-vanilla-query-order",
            "GET",
            "/?Param2=value2&Param1=value1",
            PLAIN,
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "get-unreserved",
            "GET",
            unreserved,
            PLAIN,
            "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        ),
        (
            "get-slashes",
            "GET",
            "//example//",
            PLAIN,
            "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
        ),
        // By botocore's signer:
        (
            "relative path",
            "GET",
            "/example1/../example2/./",
            PLAIN,
            "45b0477e1c9939905e3c7f65ea1014baf9734d5821835f66db80b62df673f2cd",
        ),
        (
            "encoded path",
            "GET",
            "/a%20b/%E1%88%B4",
            PLAIN,
            "e9d8665373fed7762b3e2e661f671155634544940c97a67fd5efade7ceb8c358",
        ),
        (
            "encoded query",
            "GET",
            "/?b=%20%2F&a=%E1%88%B4&a=1",
            PLAIN,
            "34c233cc851c9c24bdaa755146f2d0e1d9eaecb918665cf4c6ede1448a791bf7",
        ),
    ];
    for (name, method, target, signed, signature) in vectors {
        let verified = vector(method, target, &[], signed, signature).verify();
        assert!(verified.is_ok(), "{name}: {verified:?}");
    }
    let signature = "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736";
    vector(
        "GET",
        "/",
        &trimmed,
        "host;my-header1;my-header2;x-amz-date",
        signature,
    )
    .verify()
    .unwrap();
    let repeated = [
        ("my-header1", "value2"),
        ("my-header1", "value2"),
        ("my-header1", "value1"),
    ];
    let signature = "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea";
    vector("GET", "/", &repeated, "host;my-header1;x-amz-date", signature)
        .verify()
        .unwrap();
    get_item().verify().unwrap();
}

#[test]
fn whatever_is_changed_after_signing_is_noticed() {
    let mut other_body = get_item();
    other_body.body = r#"{"TableName":"orders","Key":{"id":{"S":"b"}}}"#;
    let mut other_method = get_item();
    other_method.method = "PUT";
    let mut other_path = get_item();
    other_path.target = "/x";
    let mut other_query = get_item();
    other_query.target = "/?x";
    let changed = [
        other_body,
        other_method,
        other_path,
        other_query,
        get_item().with("x-amz-target", "DynamoDB_20120810.DeleteItem"),
        get_item().with("host", "localhost:4567"),
        get_item().with("x-amz-date", "20150830T123601Z"),
        get_item().with("content-type", "text/plain"),
        get_item().claiming("us-east-1", "us-east-2"),
        get_item().claiming("Signature=c", "Signature=d"),
        get_item().claiming("207e2d", "207e"),
        get_item().claiming("207e2d", "207e2d00"),
        get_item().claiming("207e2d", "207exx"),
        get_item().claiming("Signature=c73e", "Signature="),
        get_item().claiming("content-type;", ""),
    ];
    for vector in changed {
        let (code, message) = vector.refusal();
        assert_eq!(code, "InvalidSignatureException", "{:?}", vector.headers);
        assert!(
            message.starts_with("The request signature we calculated does not match"),
            "{message}"
        );
        assert!(
            message.contains("The Canonical String for this request should have been\n'"),
            "{message}"
        );
        assert!(!message.contains(SECRET));
    }
}

#[test]
fn a_signature_is_good_for_15_minutes_either_way() {
    let limit = Duration::from_secs(15 * 60);
    let beyond = limit + Duration::from_secs(1);
    for now in [SIGNED - limit, SIGNED, SIGNED + limit] {
        get_item().verify_at(now).unwrap();
    }
    assert_eq!(
        get_item().verify_at(SIGNED + beyond).unwrap_err().to_string(),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)"
    );
    assert_eq!(
        get_item().verify_at(SIGNED - beyond).unwrap_err().to_string(),
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T122059Z + 15 min.)"
    );
}

#[test]
fn keys_and_tokens_that_nobody_has_are_refused() {
    let refusal = (
        "UnrecognizedClientException",
        "The security token included in the request is invalid.".to_owned(),
    );
    assert_eq!(
        get_item().claiming("AKIDEXAMPLE", "AKIDEXAMPLF").refusal(),
        refusal
    );
    assert_eq!(get_item().claiming("AKIDEXAMPLE", "").refusal(), refusal);
    assert_eq!(get_item().with("x-amz-security-token", "x").refusal(), refusal);
    let keys: FixedKeys = [("ID".to_owned(), SECRET.to_owned())].into_iter().collect();
    assert_eq!(format!("{keys:?}"), r#"{"ID"}"#);
}

#[test]
fn a_path_that_is_signed_as_another_is_refused() {
    for (target, is_refused) in [
        ("/_url/a/../b/x", true),
        ("/_url/a/x/..", true),
        ("/./x", true),
        ("/_url/a/..b/x.", false),
        ("/_url/a/%2e%2e/b", false),
        ("/?a=/../", false),
        ("/", false),
    ] {
        let vector = Vector { target, ..get_item() };
        assert_eq!(Claim::check_path(&vector.head()).is_err(), is_refused, "{target}");
    }
}

/// As botocore signs what may come within an hour.
fn presigned() -> String {
    "/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256\
     &X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date=20150830T123600Z\
     &X-Amz-Expires=3600&X-Amz-SignedHeaders=host\
     &X-Amz-Signature=753b052a38c50c39d653b9a61f1bbfd3c15413b2d64ae049bbbd4abba77a227c"
        .to_owned()
}

#[test]
fn what_was_signed_for_later_is_good_until_then_and_for_nothing_else() {
    let verify = |target: &str, seconds: i64| {
        let target: &'static str = Box::leak(target.to_owned().into_boxed_str());
        let vector = Vector {
            method: "GET",
            target,
            headers: vec![("host", "localhost:4566".to_owned())],
            body: "",
        };
        let later = SIGNED.as_millis().saturating_add_signed(seconds * 1_000);
        vector.verify_at(Timestamp::from_millis(later))
    };
    let target = presigned();
    for seconds in [0, 3_599, 3_600, -899] {
        verify(&target, seconds).unwrap();
    }
    for seconds in [3_601, 86_400, -901] {
        let refused = verify(&target, seconds).unwrap_err();
        assert_eq!(refused.code().name, "InvalidSignatureException", "{seconds}");
    }
    for (from, to, code) in [
        ("Expires=3600", "Expires=36000", "InvalidSignatureException"),
        ("GetCallerIdentity", "AssumeRole", "InvalidSignatureException"),
        ("Signature=753b", "Signature=753c", "InvalidSignatureException"),
        ("Expires=3600", "Expires=0", "IncompleteSignatureException"),
        ("Expires=3600", "Expires=604801", "IncompleteSignatureException"),
        ("Expires=3600", "Expires=x", "IncompleteSignatureException"),
        ("&X-Amz-Date=20150830T123600Z", "", "IncompleteSignatureException"),
        ("%2Fsts%2F", "%2F", "IncompleteSignatureException"),
        ("HMAC-SHA256&", "HMAC-SHA1&", "IncompleteSignatureException"),
        (
            "Headers=host",
            "Headers=host&X-Amz-SignedHeaders=host",
            "IncompleteSignatureException",
        ),
        ("Headers=host", "Headers=x", "InvalidSignatureException"),
        (
            "&X-Amz-Expires",
            "&X-Amz-Security-Token=x&X-Amz-Expires",
            "UnrecognizedClientException",
        ),
    ] {
        assert!(target.contains(from), "{from}");
        let refused = verify(&target.replace(from, to), 0).unwrap_err();
        assert_eq!(refused.code().name, code, "{from}: {refused}");
    }
}

#[test]
fn what_is_no_whole_claim_is_refused_with_its_reason() {
    let presigned = Vector {
        target: "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0",
        ..get_item()
    };
    let incomplete = "IncompleteSignatureException";
    let invalid = "InvalidSignatureException";
    let cases = [
        (
            get_item().without("authorization"),
            "MissingAuthenticationTokenException",
            "Request is missing Authentication Token",
        ),
        (
            get_item().with("authorization", "Basic YTpi"),
            "MissingAuthenticationTokenException",
            "Request is missing Authentication Token",
        ),
        (
            get_item().with("authorization", ""),
            "MissingAuthenticationTokenException",
            "Request is missing Authentication Token",
        ),
        (
            get_item().with("authorization", "AWS4-HMAC-SHA256"),
            incomplete,
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. \
             Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256",
        ),
        (
            get_item().with("authorization", "AWS4-HMAC-SHA256 Credential"),
            incomplete,
            "'Credential' not a valid key=value pair (missing equal-sign) in Authorization header: 'AWS4-HMAC-SHA256 Credential'.",
        ),
        (
            get_item().claiming("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
            incomplete,
            "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256' (only AWS4-HMAC-SHA256 for now). ",
        ),
        (
            get_item().claiming("/dynamodb/aws4_request", "/dynamodb"),
            incomplete,
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'AKIDEXAMPLE/20150830/us-east-1/dynamodb'",
        ),
        (
            get_item().claiming("aws4_request", "aws3_request"),
            invalid,
            "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws3_request'.",
        ),
        (
            get_item().claiming("/20150830/", "/20150829/"),
            invalid,
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150829' != '20150830', from '20150830T123600Z'.",
        ),
        (
            get_item().claiming(";host", ""),
            invalid,
            "'Host' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            get_item().claiming(";x-amz-target", ""),
            invalid,
            "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            get_item().with("x-amz-date", "yesterday"),
            incomplete,
            "Date must be in ISO-8601 'basic format'. Got 'yesterday'. See http://en.wikipedia.org/wiki/ISO_8601",
        ),
        (
            get_item().with("x-amz-log-type", "Tail"),
            invalid,
            "'x-amz-log-type' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            get_item()
                .with("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
                .claiming(";x-amz-date", ";x-amz-content-sha256;x-amz-date"),
            invalid,
            "The value of the x-amz-content-sha256 header is not the SHA-256 of the body.",
        ),
        (
            presigned.clone(),
            invalid,
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
        ),
        (
            presigned.without("authorization"),
            incomplete,
            "AWS query-string parameters must include 'X-Amz-Credential'.",
        ),
    ];
    for (vector, code, message) in cases {
        assert_eq!(vector.refusal(), (code, message.to_owned()));
    }
    let (code, message) = get_item().without("x-amz-date").refusal();
    assert_eq!(code, incomplete);
    assert!(
        message.starts_with(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        ),
        "{message}"
    );
    let mut twice = get_item();
    twice
        .headers
        .push(("authorization", "AWS4-HMAC-SHA256 x=y".to_owned()));
    assert_eq!(
        twice.refusal(),
        (
            incomplete,
            "the request has more than one Authorization header".to_owned()
        )
    );
}
