//! STS: who am I, and how the Query protocol refuses.

use super::*;

async fn ask(client: &Client, authorization: Option<&str>, form: &'static str) -> Answer {
    let mut request =
        http::Request::post("/").header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    send(client, request.body(full(form)).unwrap()).await
}

const WHO: &str = "Action=GetCallerIdentity&Version=2011-06-15";

#[tokio::test]
async fn an_owner_is_the_account_and_a_function_is_itself() {
    let wire = start(Trust::Loopback).await;
    let signed = claim("eu-central-1", "sts");
    let owner = ask(&wire.client, Some(&signed), WHO).await;
    assert_eq!(
        (owner.status, owner.header("content-type")),
        (StatusCode::OK, "text/xml")
    );
    let id = owner.header("x-amzn-requestid");
    assert_eq!(
        owner.text(),
        format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Arn>arn:aws:iam::000000000000:root</Arn><UserId>000000000000</UserId><Account>000000000000</Account>\
             </GetCallerIdentityResult><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
        )
    );
    let inside = wire.inside(&[]).await;
    let function = ask(&inside, Some(&signed), WHO).await.text();
    assert!(
        function.contains("<Arn>arn:aws:sts::000000000000:assumed-role/create/create</Arn>"),
        "{function}"
    );
    let text = wire.metrics.render();
    let line = "aloft_aws_requests_total{service=\"sts\",operation=\"GetCallerIdentity\",outcome=\"ok\"} 2";
    assert!(text.lines().any(|other| other == line), "no {line} in {text}");
}

#[tokio::test]
async fn refusals_have_the_codes_of_the_query_protocol() {
    let wire = start(Trust::Loopback).await;
    let signed = claim("us-east-1", "sts");
    let badly = claim("US_EAST", "sts");
    let long: &'static str = Box::leak(format!("{WHO}&X={}", "x".repeat(64 << 10)).into_boxed_str());
    let many: &'static str = Box::leak(format!("{WHO}{}", "&a=b".repeat(1_000)).into_boxed_str());
    let cases = [
        (None, WHO, 403, "MissingAuthenticationToken"),
        (Some(badly.as_str()), WHO, 403, "SignatureDoesNotMatch"),
        (
            Some(&*signed),
            "Action=AssumeRole&Version=2011-06-15",
            400,
            "InvalidAction",
        ),
        (
            Some(&*signed),
            "Action=GetCallerIdentity&Version=2010-01-01",
            400,
            "InvalidAction",
        ),
        (Some(&*signed), "Version=2011-06-15", 400, "InvalidAction"),
        (Some(&*signed), "%%%&=&&", 400, "InvalidAction"),
        (Some(&*signed), many, 400, "ValidationError"),
        (Some(&*signed), long, 413, "RequestEntityTooLargeException"),
    ];
    for (authorization, form, status, code) in cases {
        let answer = ask(&wire.client, authorization, form).await;
        let start = format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>");
        assert_eq!(answer.status.as_u16(), status, "{code}: {}", answer.text());
        assert!(answer.text().starts_with(&start), "{code}: {}", answer.text());
    }
    let odd = ask(&wire.client, Some(&signed), "Action=%3Cb%3E&Version=2011-06-15").await;
    assert!(
        odd.text().contains("operation &lt;b&gt; for version"),
        "{}",
        odd.text()
    );
}
