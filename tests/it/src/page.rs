//! The sample's page in a real browser: by keyboard, at two widths, without an error in its console.

use crate::harness::{Project, call, get, script};

#[test]
fn the_page_works_in_a_browser() {
    let project = Project::example("orders");
    let platform = project.start();
    let pictures = tempfile::tempdir().unwrap();
    let folder = pictures.path().to_str().unwrap();
    script("page.py", &[&platform.app, folder], &platform.exports());
    let taken = std::fs::read_dir(folder).unwrap().count();
    assert!(taken > 0, "page.py took no picture");
}

#[test]
fn a_static_file_is_sent_again_only_when_it_has_changed() {
    let project = Project::new(&[
        (
            "aloft.toml",
            "[project]\nname = \"page\"\n[routes]\n\"/\" = { static = \"web\" }\n",
        ),
        ("web/index.html", "<!doctype html><title>one</title>"),
    ]);
    let platform = project.start();
    let page = get(&platform.url("/")).is(200);
    let tag = page.header("etag").expect("an ETag").to_owned();
    assert!(
        page.header("content-type").unwrap().starts_with("text/html"),
        "{page:?}"
    );
    let again = call("GET", &platform.url("/"), &[("if-none-match", &tag)], b"").is(304);
    assert!(again.body.is_empty());

    project.replace("web/index.html", "<!doctype html><title>two</title>");
    let changed = call("GET", &platform.url("/"), &[("if-none-match", &tag)], b"").is(200);
    assert!(changed.text().contains("two"));
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    for path in ["/../aloft.toml", "/%2e%2e/aloft.toml", "/..%2faloft.toml"] {
        let outside = get(&platform.url(path));
        assert!(matches!(outside.status, 400 | 404), "{path}: {}", outside.text());
    }
    get(&platform.url("/missing.html")).is(404);
}
