//! IAM: what is no policy, no name and no tag is refused, and lists have pages.

use super::*;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const TABLES: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"*"}}"#;
const AWS: &str = "arn:aws:iam::aws:policy/";

async fn ask(wire: &Wire, operation: &str, parameters: &[(&str, &str)]) -> Answer {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", operation)
        .append_pair("Version", "2010-05-08")
        .extend_pairs(parameters)
        .finish();
    let request = http::Request::post("/")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", claim("us-east-1", "iam"));
    send(&wire.client, request.body(full(form)).unwrap()).await
}

async fn done(wire: &Wire, operation: &str, parameters: &[(&str, &str)]) -> String {
    let answer = ask(wire, operation, parameters).await;
    let text = answer.text();
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "{operation} {parameters:?}: {text}"
    );
    text
}

async fn refused(wire: &Wire, operation: &str, parameters: &[(&str, &str)], code: &str) -> String {
    let answer = ask(wire, operation, parameters).await;
    let text = answer.text();
    let expected = format!("<Code>{code}</Code>");
    assert!(
        text.contains(&expected),
        "{operation} {parameters:?}: no {code} in {text}"
    );
    text
}

/// A wire with the role `r`.
async fn start_with_role() -> Wire {
    let wire = start(Trust::Loopback).await;
    let role = [("RoleName", "r"), ("AssumeRolePolicyDocument", TRUST)];
    done(&wire, "CreateRole", &role).await;
    wire
}

/// What stands in the elements of this name.
fn all(text: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = text.split(&open).skip(1);
    parts
        .map(|part| part.split(&close).next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn what_is_no_policy_is_not_attached() {
    let wire = start_with_role().await;
    let long = format!("{AWS}{}", "x".repeat(129));
    let too_long = format!("{AWS}{}", "x".repeat(2_048));
    for (arn, code, said) in [
        ("junk", "ValidationError", "greater than or equal to 20"),
        (&too_long, "ValidationError", "less than or equal to 2048"),
        (
            "arn:aws:iam::aws:role/x",
            "InvalidInput",
            "ARN arn:aws:iam::aws:role/x is not valid.",
        ),
        ("arn:aws:iam::aws:policy/", "InvalidInput", "is not valid"),
        ("arn:aws:iam::aws:policy/a b", "InvalidInput", "is not valid"),
        ("arn:aws:iam::aws:policy/a/", "InvalidInput", "is not valid"),
        ("arn:aws:iam::1:policy/abcdef", "InvalidInput", "is not valid"),
        ("arn:aws:s3::aws:policy/abcdef", "InvalidInput", "is not valid"),
        (&long, "InvalidInput", "is not valid"),
    ] {
        let given = [("RoleName", "r"), ("PolicyArn", arn)];
        let text = refused(&wire, "AttachRolePolicy", &given, code).await;
        assert!(text.contains(said), "{said}: {text}");
    }
    for name in ["a", "service-role/a", "a/b/c=d"] {
        let arn = format!("{AWS}{name}");
        let own = arn.replace("::aws:", "::000000000000:");
        for arn in [&arn, &own] {
            let given = [("RoleName", "r"), ("PolicyArn", arn)];
            done(&wire, "AttachRolePolicy", &given).await;
        }
    }
    let listed = done(&wire, "ListAttachedRolePolicies", &[("RoleName", "r")]).await;
    assert_eq!(all(&listed, "PolicyArn").len(), 6, "{listed}");
    let some = [("RoleName", "r"), ("PathPrefix", "/service-role/")];
    let listed = done(&wire, "ListAttachedRolePolicies", &some).await;
    assert_eq!(all(&listed, "PolicyArn").len(), 2, "{listed}");
}

#[tokio::test]
async fn what_is_no_document_is_not_kept() {
    let wire = start_with_role().await;
    let statement = |members: &str| format!(r#"{{"Statement":[{{"Effect":"Allow",{members}}}]}}"#);
    for (document, said) in [
        ("no json".to_owned(), "invalid Json"),
        ("[]".to_owned(), "it is no object"),
        ("{}".to_owned(), "Missing required field Statement"),
        (
            r#"{"Statement":[]}"#.to_owned(),
            "Statement is a statement, or a list of some",
        ),
        (r#"{"Statement":["x"]}"#.to_owned(), "a statement is an object"),
        (r#"{"Statement":{"Action":"*"}}"#.to_owned(), "Effect"),
        (r#"{"Statement":{"Effect":"Maybe"}}"#.to_owned(), "Invalid effect"),
        (
            r#"{"Version":"2026-01-01","Statement":{}}"#.to_owned(),
            "there is no version",
        ),
        (statement(r#""Action":[]"#), "Missing required field Action"),
    ] {
        for (operation, parameter) in [
            ("CreateRole", "AssumeRolePolicyDocument"),
            ("UpdateAssumeRolePolicy", "PolicyDocument"),
            ("PutRolePolicy", "PolicyDocument"),
        ] {
            let role = if operation == "CreateRole" { "other" } else { "r" };
            let given = [("RoleName", role), ("PolicyName", "p"), (parameter, &document)];
            let text = refused(&wire, operation, &given, "MalformedPolicyDocument").await;
            assert!(text.contains(said), "{operation} {document}: {text}");
        }
    }
    // Each sort has what the other may not have.
    for (operation, document, said) in [
        (
            "UpdateAssumeRolePolicy",
            TABLES,
            "Missing required field Principal",
        ),
        ("PutRolePolicy", TRUST, "Missing required field Resource"),
    ] {
        let given = [
            ("RoleName", "r"),
            ("PolicyName", "p"),
            ("PolicyDocument", document),
        ];
        let text = refused(&wire, operation, &given, "MalformedPolicyDocument").await;
        assert!(text.contains(said), "{text}");
        let (other, barred) = match operation {
            "PutRolePolicy" => (TABLES, "Principal"),
            _ => (TRUST, "Resource"),
        };
        let both = other.replace("\"Action\"", &format!("\"{barred}\":\"*\",\"Action\""));
        let given = [("RoleName", "r"), ("PolicyName", "p"), ("PolicyDocument", &both)];
        let text = refused(&wire, operation, &given, "MalformedPolicyDocument").await;
        assert!(text.contains(&format!("Has prohibited field {barred}")), "{text}");
    }
    let negated = statement(r#""NotAction":"iam:*","NotResource":["*"]"#);
    for (name, document) in [("tables", TABLES), ("a+b=c,d.e@f_g-h", &negated)] {
        let given = [
            ("RoleName", "r"),
            ("PolicyName", name),
            ("PolicyDocument", document),
        ];
        done(&wire, "PutRolePolicy", &given).await;
    }
    for name in ["a b", "ä", "a/b", &"x".repeat(129)] {
        for operation in ["PutRolePolicy", "GetRolePolicy", "DeleteRolePolicy"] {
            let given = [
                ("RoleName", "r"),
                ("PolicyName", name),
                ("PolicyDocument", TABLES),
            ];
            let text = refused(&wire, operation, &given, "ValidationError").await;
            assert!(text.contains("at 'policyName'"), "{text}");
        }
    }
}

#[tokio::test]
async fn what_a_role_has_is_listed_in_pages() {
    let wire = start_with_role().await;
    let numbers = ["1", "2", "3", "4", "5"];
    for number in numbers {
        let (arn, tag) = (format!("{AWS}p{number}"), format!("t{number}"));
        let given = [
            ("RoleName", "r"),
            ("PolicyName", number),
            ("PolicyDocument", TABLES),
        ];
        done(&wire, "PutRolePolicy", &given).await;
        let given = [("RoleName", "r"), ("PolicyArn", &arn)];
        done(&wire, "AttachRolePolicy", &given).await;
        let given = [("RoleName", "r"), ("Tags.member.1.Key", tag.as_str())];
        done(&wire, "TagRole", &given).await;
    }
    for (operation, member, prefix) in [
        ("ListRolePolicies", "member", ""),
        ("ListAttachedRolePolicies", "PolicyName", "p"),
        ("ListRoleTags", "Key", "t"),
    ] {
        let (mut found, mut marker) = (Vec::new(), String::new());
        for (count, is_truncated) in [(2, "true"), (2, "true"), (1, "false")] {
            let given = [("RoleName", "r"), ("MaxItems", "2"), ("Marker", marker.as_str())];
            let page = done(&wire, operation, &given).await;
            let members = all(&page, member);
            assert_eq!(members.len(), count, "{page}");
            assert_eq!(all(&page, "IsTruncated"), [is_truncated], "{page}");
            found.extend(members);
            marker = all(&page, "Marker").pop().unwrap_or_default();
        }
        assert_eq!(marker, "", "the last page has none");
        assert_eq!(found, numbers.map(|number| format!("{prefix}{number}")));
        let whole = [("RoleName", "r"), ("MaxItems", "5")];
        let whole = done(&wire, operation, &whole).await;
        assert_eq!(all(&whole, "IsTruncated"), ["false"], "{whole}");
    }
    for operation in [
        "ListRoles",
        "ListRolePolicies",
        "ListAttachedRolePolicies",
        "ListRoleTags",
        "ListInstanceProfilesForRole",
    ] {
        for number in ["0", "1001", "x"] {
            let given = [("RoleName", "r"), ("MaxItems", number)];
            let text = refused(&wire, operation, &given, "ValidationError").await;
            assert!(text.contains("at 'maxItems'"), "{text}");
        }
    }
}

#[tokio::test]
async fn names_and_tags_that_differ_by_case_are_the_same() {
    let wire = start_with_role().await;
    let other = [("RoleName", "R"), ("AssumeRolePolicyDocument", TRUST)];
    refused(&wire, "CreateRole", &other, "EntityAlreadyExists").await;
    let twice = [
        ("RoleName", "r"),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.2.Key", "Team"),
        ("AssumeRolePolicyDocument", TRUST),
    ];
    let text = refused(&wire, "TagRole", &twice, "InvalidInput").await;
    assert!(text.contains("Duplicate tag keys found: Team"), "{text}");
    let made = [&[("RoleName", "tagged")], &twice[1..]].concat();
    refused(&wire, "CreateRole", &made, "InvalidInput").await;
    for (key, value) in [("team", "a"), ("TEAM", "b")] {
        let given = [
            ("RoleName", "r"),
            ("Tags.member.1.Key", key),
            ("Tags.member.1.Value", value),
        ];
        done(&wire, "TagRole", &given).await;
    }
    let listed = done(&wire, "ListRoleTags", &[("RoleName", "r")]).await;
    assert_eq!(
        (all(&listed, "Key"), all(&listed, "Value")),
        (vec!["TEAM".to_owned()], vec!["b".to_owned()])
    );
    let given = [("RoleName", "r"), ("TagKeys.member.1", "Team")];
    done(&wire, "UntagRole", &given).await;
    let listed = done(&wire, "ListRoleTags", &[("RoleName", "r")]).await;
    assert_eq!(all(&listed, "Key").len(), 0, "{listed}");
}
