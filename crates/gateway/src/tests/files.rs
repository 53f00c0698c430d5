//! Files: what is served, in which version and part, and what never is.

use super::*;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::symlink;

/// A project with a served folder `web` and, beside it, what must not be read.
struct Site {
    house: House,
    project: tempfile::TempDir,
}

const SECRET: &str = "the secret";

fn site() -> Site {
    let project = tempfile::tempdir().unwrap();
    let at = |path: &str| project.path().join(path);
    fs::create_dir_all(at("web/sub/deep")).unwrap();
    fs::create_dir_all(at("web/bare")).unwrap();
    fs::create_dir_all(at("web/.git")).unwrap();
    fs::create_dir_all(at("webbing")).unwrap();
    for (path, text) in [
        ("web/index.html", "<h1>home</h1>"),
        ("web/app.js", "let a = 1;"),
        ("web/with space.txt", "0123456789"),
        ("web/sub/index.html", "<h1>sub</h1>"),
        ("web/sub/deep/data.bin", "bin"),
        ("web/bare/file.json", "{}"),
        ("web/.env", SECRET),
        ("web/.git/config", SECRET),
        ("secret.txt", SECRET),
        ("webbing/secret.txt", SECRET),
    ] {
        fs::write(at(path), text).unwrap();
    }
    symlink(at("secret.txt"), at("web/leak.txt")).unwrap();
    symlink(at("webbing"), at("web/leaks")).unwrap();
    symlink("../secret.txt", at("web/relative.txt")).unwrap();
    symlink(".env", at("web/hidden.txt")).unwrap();
    symlink("app.js", at("web/alias.js")).unwrap();
    symlink("loop", at("web/loop")).unwrap();
    let house = House::new(Config::dev());
    house.gateway.replace(App {
        root: project.path().to_owned(),
        routes: parsed(&[("POST /", "create"), ("GET /api", "api")]),
        files: vec![
            folder(&[], Path::new("web")),
            folder(&["docs", "v1"], Path::new("web/sub")),
        ],
        ..App::default()
    });
    Site { house, project }
}

#[tokio::test]
async fn files_have_their_type_and_folders_their_index() {
    let site = site();
    for (path, status, kind, body) in [
        ("/", 200, "text/html; charset=utf-8", "<h1>home</h1>"),
        ("/index.html", 200, "text/html; charset=utf-8", "<h1>home</h1>"),
        ("/app.js?v=2", 200, "text/javascript; charset=utf-8", "let a = 1;"),
        ("/alias.js", 200, "text/javascript; charset=utf-8", "let a = 1;"),
        (
            "/with%20space.txt",
            200,
            "text/plain; charset=utf-8",
            "0123456789",
        ),
        ("/sub/", 200, "text/html; charset=utf-8", "<h1>sub</h1>"),
        ("/sub/deep/data.bin", 200, "application/octet-stream", "bin"),
        ("/bare/file.json", 200, "application/json; charset=utf-8", "{}"),
        ("/docs/v1/", 200, "text/html; charset=utf-8", "<h1>sub</h1>"),
        ("/docs/v1/deep/data.bin", 200, "application/octet-stream", "bin"),
        ("/api", 200, "", "ok"),
    ] {
        let answer = site.house.get(path).await;
        let found = (
            answer.status,
            answer.header("content-type"),
            std::str::from_utf8(&answer.body).unwrap(),
        );
        assert_eq!(found, (status, kind, body), "{path}");
    }
    for (path, location) in [("/sub?q=1", "/sub/?q=1"), ("/docs/v1", "/docs/v1/")] {
        let answer = site.house.get(path).await;
        assert_eq!((answer.status, answer.header("location")), (308, location));
    }
    let answer = site.house.get("/app.js").await;
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("accept-ranges"), "bytes");
}

#[tokio::test]
async fn only_get_and_head_read_and_a_known_path_says_so() {
    let site = site();
    let head = site.house.method("HEAD", "/app.js").await;
    assert_eq!((head.status, head.header("etag").len()), (200, 34));
    for (method, path, status, allow) in [
        ("PUT", "/app.js", 405, "GET, HEAD"),
        ("PUT", "/", 405, "GET, HEAD, POST"),
        ("POST", "/", 200, ""),
        ("POST", "/sub/", 405, "GET, HEAD"),
        ("DELETE", "/nothing", 404, ""),
        ("DELETE", "/.env", 404, ""),
        ("DELETE", "/leak.txt", 404, ""),
    ] {
        let answer = site.house.method(method, path).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (status, allow),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn an_edit_changes_the_tag_and_an_unchanged_file_is_304() {
    let site = site();
    let first = site.house.get("/app.js").await;
    let with = |name: &str, value: &str| Request::get("/app.js").header(name, value).body(empty()).unwrap();
    let fresh = site.house.send(with("if-none-match", first.header("etag"))).await;
    assert_eq!(
        (fresh.status, fresh.body.len(), fresh.header("etag")),
        (304, 0, first.header("etag"))
    );
    let fresh = site
        .house
        .send(with("if-modified-since", first.header("last-modified")))
        .await;
    assert_eq!(fresh.status, 304);
    // The same size, and very likely the same tick of the clock.
    fs::write(site.project.path().join("web/app.js"), "let a = 2;").unwrap();
    let edited = site.house.send(with("if-none-match", first.header("etag"))).await;
    assert_eq!((edited.status, &edited.body[..]), (200, &b"let a = 2;"[..]));
}

#[tokio::test]
async fn parts_of_small_and_large_files_are_served() {
    let site = site();
    let large: Vec<u8> = (0..3_000_000u32).map(|i| (i * 31 % 251) as u8).collect();
    fs::write(site.project.path().join("web/large.bin"), &large).unwrap();
    let whole = site.house.get("/large.bin").await;
    assert!(whole.status == 200 && whole.body == large);
    for (range, status, expected, field) in [
        ("bytes=0-9", 206, &large[..10], "bytes 0-9/3000000"),
        (
            "bytes=1000000-2000000",
            206,
            &large[1_000_000..=2_000_000],
            "bytes 1000000-2000000/3000000",
        ),
        (
            "bytes=-5",
            206,
            &large[2_999_995..],
            "bytes 2999995-2999999/3000000",
        ),
        ("bytes=3000000-", 416, &[][..], "bytes */3000000"),
        ("bytes=0-1,5-6", 200, &large[..], ""),
    ] {
        let request = Request::get("/large.bin")
            .header("range", range)
            .body(empty())
            .unwrap();
        let answer = site.house.send(request).await;
        assert_eq!(
            (answer.status, answer.header("content-range")),
            (status, field),
            "{range}"
        );
        assert!(answer.body == expected, "{range}");
        assert_eq!(answer.header("etag"), whole.header("etag"));
    }
    let small = |if_range: &str| {
        let request = Request::get("/with%20space.txt")
            .header("range", "bytes=2-3")
            .header("if-range", if_range);
        request.body(empty()).unwrap()
    };
    assert_eq!(site.house.send(small("\"other\"")).await.status, 200);
    let etag = site
        .house
        .get("/with%20space.txt")
        .await
        .header("etag")
        .to_owned();
    let part = site.house.send(small(&etag)).await;
    assert_eq!((part.status, &part.body[..]), (206, &b"23"[..]));
    let changed: Vec<u8> = large.iter().map(|byte| byte ^ 1).collect();
    fs::write(site.project.path().join("web/large.bin"), &changed).unwrap();
    let edited = site.house.get("/large.bin").await;
    assert!(edited.body == changed && edited.header("etag") != whole.header("etag"));
}

#[tokio::test]
async fn what_lies_outside_or_is_hidden_does_not_exist() {
    let site = site();
    let pipe = site.project.path().join("web/pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%2fsecret.txt",
        "/..%5csecret.txt",
        "/sub/../../secret.txt",
        "/sub/%2e%2e/%2e%2e/secret.txt",
        "/./app.js",
        "/sub/./index.html",
        "//app.js",
        "/sub//index.html",
        "/%2Fetc/passwd",
        "//etc/passwd",
        "/app.js%00.html",
        "/app.js%0a",
        "/app.js/",
        "/app.js/x",
        "/index.html/",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/.git/",
        "/hidden.txt",
        "/leak.txt",
        "/leaks/secret.txt",
        "/leaks/",
        "/relative.txt",
        "/loop",
        "/pipe",
        "/bare",
        "/bare/",
        "/missing",
        "/sub/missing/",
        "/docs/v1/../../secret.txt",
        "/docs",
        "/docs/v2/index.html",
        &format!("/{}", "x".repeat(5_000)),
    ] {
        let answer = site.house.get(path).await;
        assert_eq!(answer.status, 404, "{path}: {:?}", answer.body);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_path_reads_a_secret(
        parts in proptest::collection::vec(
            prop::sample::select(vec![
                "..", ".", "", "%2e%2e", "%2E.", ".%2e", "..%2f", "%2f", "%5c", "..%5c", "%00", "secret.txt", ".env",
                ".git", "config", "leaks", "leak.txt", "sub", "webbing", "web", "hidden.txt", "relative.txt", "%252e%252e",
                "docs", "v1", "%c0%ae%c0%ae", "app.js",
            ]),
            1..7,
        ),
        separators in proptest::collection::vec(prop::sample::select(vec!["/", "/", "/", "/", "/", "//", "%2f", "%5c", "/./"]), 7),
    ) {
        let mut path = String::new();
        for (part, separator) in parts.iter().zip(&separators) {
            path.push_str(separator);
            path.push_str(part);
        }
        if !path.starts_with('/') {
            path.insert(0, '/');
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            thread_local!(static SITE: Site = site());
            let house = SITE.with(|site| {
                let house = House::new(Config::dev());
                let files = vec![folder(&[], Path::new("web")), folder(&["docs", "v1"], Path::new("web/sub"))];
                house.gateway.replace(App { root: site.project.path().to_owned(), files, ..App::default() });
                house
            });
            let answer = house.get(&path).await;
            assert!(!String::from_utf8_lossy(&answer.body).contains(SECRET), "{path}");
            assert!(matches!(answer.status, 200 | 308 | 400 | 404), "{path}: {}", answer.status);
            if answer.status == 308 {
                assert!(!answer.header("location").starts_with("//"), "{path}");
            }
        });
    }
}
