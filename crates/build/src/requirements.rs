//! Lists of requirements: which lines are passed on to the installer.
//!
//! Nothing of a stranger runs in a build, and what is installed depends on the list and on package indexes alone. So a line is
//! taken if it is known to be harmless and refused otherwise: packages by name, wheels by their address, hashes, comments,
//! and a few options. (To refuse what is known to be harmful was tried first; pip reads too many forms for that: shortened
//! options, paths without a slash, variables, encodings.) The installer is given the text that was checked, not the file.
//!
//! Other package indexes are allowed, as `https`: many companies have one, and only wheels are taken from it.

use std::path::Path;

use crate::Error;

/// What pip takes for a file of this folder, whatever stands before it.
const ARCHIVES: [&str; 12] = [
    ".whl",
    ".zip",
    ".tar.gz",
    ".tgz",
    ".tar",
    ".tar.bz2",
    ".tbz",
    ".tar.xz",
    ".txz",
    ".tlz",
    ".tar.lz",
    ".tar.lzma",
];

const BUILT: &str = "only wheels are installed, because building a package runs its code; require it by name and version, or \
                     by the https address of a wheel";
const LOCAL: &str = "what lies on this machine is not covered by the list; put the code into the source folder, or require \
                     the package by name and version";
const INCLUDED: &str = "a change in an included list would not be seen; write its lines into this one";
const ADDRESS: &str = "packages come from addresses that begin with https:// and from nowhere else";
const OPTION: &str = "of options there are --hash, --require-hashes, --pre, --prefer-binary, --index-url and \
                      --extra-index-url; wheels only is what is done anyway";
const VARIABLE: &str = "what the environment says is not covered by the list; write the value itself";
const TEXT: &str = "a list is plain text in UTF-8";
const NAME: &str = "it is not a package's name with versions, such as requests==2.32.3";

/// Refuses what the list's hash would not cover, and what would run a stranger's code while it is installed.
pub(crate) fn check(list: &Path, bytes: &[u8]) -> Result<(), Error> {
    let refused = |number: usize, line: &str, why: &'static str| Error::Line {
        list: list.to_owned(),
        number,
        line: line.trim().chars().filter(|c| !c.is_control()).collect(),
        why,
    };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let number = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        refused(number, "…", TEXT)
    })?;
    for (number, line) in logical_lines(text) {
        if !is_plain(&line, number) {
            return Err(refused(number, &line, TEXT));
        }
        let said = without_comment(&line);
        if said.contains("${") {
            return Err(refused(number, said, VARIABLE));
        }
        let words: Vec<&str> = said.split_whitespace().collect();
        let checked = match words.first() {
            None => Ok(()),
            Some(first) if first.starts_with('-') => option(&words),
            Some(_) => requirement(&words),
        };
        checked.map_err(|why| refused(number, said, why))?;
    }
    Ok(())
}

/// The lines as pip reads them: one that ends in a backslash goes on in the next, unless it is a comment. Each with the
/// number that it begins with.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let is_comment = line.trim_start().starts_with('#');
        let (number, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        match line.strip_suffix('\\') {
            Some(begun) if !is_comment => {
                joined.push_str(begun);
                joined.push(' ');
                open = Some((number, joined));
            }
            _ => {
                joined.push_str(line);
                lines.push((number, joined));
            }
        }
    }
    lines.extend(open);
    lines
}

/// Whether pip reads the same characters and the same lines: no mark of another encoding, nothing that Python takes for the
/// end of a line.
fn is_plain(line: &str, number: usize) -> bool {
    let is_strange =
        |c: char| (c.is_control() && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    let names_encoding = line.starts_with('#')
        && number <= 2
        && ["coding:", "coding="]
            .iter()
            .filter_map(|mark| line.split_once(mark))
            .any(|(_, name)| !name.trim().to_ascii_lowercase().starts_with("utf-8"));
    !line.contains(is_strange) && !names_encoding
}

/// A comment begins the line or follows a space.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        if c == '#' && before.is_whitespace() {
            return line.get(..at).unwrap_or_default().trim();
        }
        before = c;
    }
    line.trim()
}

fn option(words: &[&str]) -> Result<(), &'static str> {
    let first = words.first().copied().unwrap_or_default();
    let (name, value) = match first.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (first, words.get(1).copied()),
    };
    let length = if first.contains('=') { 1 } else { 2 };
    let is_short = |letter: &str| first.starts_with(letter) && !first.starts_with("--");
    match name {
        "--require-hashes" | "--pre" | "--prefer-binary" if words.len() == 1 && !first.contains('=') => {
            Ok(())
        }
        "--index-url" | "-i" | "--extra-index-url" if words.len() == length => {
            value.filter(|url| is_https(url)).map(drop).ok_or(ADDRESS)
        }
        "--requirement" | "--constraint" => Err(INCLUDED),
        _ if is_short("-r") || is_short("-c") => Err(INCLUDED),
        "--editable" | "--no-binary" | "--only-binary" => Err(BUILT),
        _ if is_short("-e") => Err(BUILT),
        _ => Err(OPTION),
    }
}

/// `name[extras] versions ; marker --hash=…`, or with `@ address` for the versions, or a wheel's address alone.
fn requirement(words: &[&str]) -> Result<(), &'static str> {
    let end = words
        .iter()
        .position(|word| word.starts_with('-'))
        .unwrap_or(words.len());
    let (package, options) = words.split_at(end);
    hashes(options)?;
    let package = package.join(" ");
    if let Some((before, address)) = package.split_once('@') {
        let is_named = before.is_empty() || name_with_extras(before.trim()).is_some_and(str::is_empty);
        if is_named {
            return wheel(address.trim());
        }
    }
    if package.contains("://") || package.contains("git+") {
        return wheel(&package);
    }
    if package.starts_with("file:") || package.starts_with(['.', '/', '~']) {
        return Err(LOCAL);
    }
    let (named, marker) = package.split_once(';').unwrap_or((&package, ""));
    let lower = named.trim().to_ascii_lowercase();
    let unmarked = lower.split('[').next().unwrap_or_default();
    if ARCHIVES
        .iter()
        .any(|end| lower.ends_with(end) || unmarked.ends_with(end))
    {
        return Err(LOCAL);
    }
    if named.contains(['/', '\\']) {
        return Err(LOCAL);
    }
    let versions = name_with_extras(named.trim()).ok_or(NAME)?;
    let of = |text: &str, more: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let is_compared = versions.is_empty() || versions.starts_with(['=', '<', '>', '~', '!', '(']);
    let is_right = is_compared && of(versions, " .,*+!<>=~()_-") && of(marker, " .,*+!<>=~()_-'\"");
    is_right.then_some(()).ok_or(NAME)
}

/// What follows a package's name and its extras.
fn name_with_extras(text: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let rest = text.trim_start_matches(is_part);
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let Some(extras) = rest.trim_start().strip_prefix('[') else {
        return Some(rest.trim_start());
    };
    let (extras, rest) = extras.split_once(']')?;
    let is_right = extras.chars().all(|c| is_part(c) || matches!(c, ',' | ' '));
    is_right.then_some(rest.trim_start())
}

/// Whether an address is that of a wheel; a marker may follow it.
fn wheel(text: &str) -> Result<(), &'static str> {
    let (address, marker) = text.split_once(' ').unwrap_or((text, ""));
    if address.starts_with("file:") || address.starts_with(['.', '/', '~']) {
        return Err(LOCAL);
    }
    let scheme = address.split_once(':').map_or("", |(scheme, _)| scheme);
    if scheme.contains('+') || scheme == "git" || scheme == "ssh" {
        return Err(BUILT);
    }
    if !is_https(address) {
        return Err(ADDRESS);
    }
    if !marker.is_empty() && !marker.trim_start().starts_with(';') {
        return Err(NAME);
    }
    let (path, fragment) = address.split_once('#').unwrap_or((address, ""));
    let is_hash = |part: &str| part.starts_with("sha256=") || part.starts_with("sha512=");
    if !path.ends_with(".whl") || path.contains('?') || !(fragment.is_empty() || is_hash(fragment)) {
        return Err(BUILT);
    }
    Ok(())
}

fn hashes(words: &[&str]) -> Result<(), &'static str> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = match word.strip_prefix("--hash") {
            Some("") => words.next().copied(),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        let is_right = value
            .and_then(|value| value.split_once(':'))
            .is_some_and(|(kind, digits)| {
                matches!(kind, "sha256" | "sha384" | "sha512")
                    && digits.chars().all(|c| c.is_ascii_hexdigit())
            });
        if !is_right {
            return Err(OPTION);
        }
    }
    Ok(())
}

fn is_https(address: &str) -> bool {
    address.strip_prefix("https://").is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_alphanumeric()) && !rest.contains(['\\', '"', '\'', '`'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> Option<(usize, &'static str)> {
        match check(Path::new("functions/requirements.txt"), text.as_bytes()) {
            Ok(()) => None,
            Err(Error::Line { number, why, .. }) => Some((number, why)),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn packages_wheels_hashes_and_other_indexes_are_taken() {
        for good in [
            "",
            "# -r in a comment",
            "requests",
            "requests==2.31 # -e .",
            "requests == 2.31 , != 2.30",
            "requests[socks,use_chardet] >= 2.8.1 , == 2.8.*",
            "requests (>=2.0)",
            "zope.interface~=5.0",
            "local==1.0+abc.1",
            "epoch===1!2.0",
            "pywin32>=1.0 ; sys_platform == 'win32' and python_version < \"3.12\"",
            "requests==2.31 --hash=sha256:00ff",
            "requests==2.31 \\\n    --hash=sha256:00ff \\\n    --hash sha512:ab",
            "requests==2.31\r\nsix\r\n",
            "--index-url https://a.example/simple",
            "--extra-index-url=https://a.example/simple",
            "-i https://a.example/simple",
            "--require-hashes\n--pre\n--prefer-binary",
            "a @ https://b.example/a-1-py3-none-any.whl",
            "a[x]@https://b.example/a-1-py3-none-any.whl#sha256=00 ; python_version > '3'",
            "https://b.example/a-1-py3-none-any.whl --hash=sha256:00",
            "# -*- coding: utf-8 -*-\nsix",
        ] {
            assert_eq!(why(good), None, "{good}");
        }
    }

    #[test]
    fn what_would_be_built_is_refused() {
        for bad in [
            "-e .",
            "-e.",
            "--editable=a",
            "--no-binary :all:",
            "--no-binary=a",
            "--only-binary :none:",
            "git+https://b.example/a",
            "a @ git+https://b.example/a",
            "a@git+ssh://git@b.example/a",
            "hg+https://b.example/a#egg=a",
            "https://b.example/a-1.tar.gz",
            "https://b.example/a.zip#egg=a",
            "a @ https://b.example/a-1.tar.gz#sha256=00",
            "a @ https://b.example/archive/main.zip",
            "a @ https://b.example/a-1-py3-none-any.whl?x=a.tar.gz",
            "https://b.example/a",
            "a @ https://b.example/x.whl#subdirectory=y",
        ] {
            assert_eq!(why(bad), Some((1, BUILT)), "{bad}");
        }
    }

    #[test]
    fn what_lies_on_this_machine_is_refused() {
        for bad in [
            ".",
            "./a",
            "../a",
            "/a",
            "~/a",
            "a/b",
            "file:a",
            "file:///a",
            "a @ file:///a",
            "a @ /a",
            "a @ ./a.whl",
            "file:///a-1-py3-none-any.whl",
            "a-1.tar.gz",
            "A.ZIP",
            "a-1-py3-none-any.whl",
            "a.zip[x]",
            "a==1.zip",
            "a\\b",
        ] {
            assert_eq!(why(bad), Some((1, LOCAL)), "{bad}");
        }
    }

    #[test]
    fn what_the_hash_would_not_cover_and_what_is_not_known_is_refused() {
        for (bad, wanted) in [
            ("-r other.txt", INCLUDED),
            ("-rother.txt", INCLUDED),
            ("--requirement=a", INCLUDED),
            ("-c b", INCLUDED),
            ("--constraint b", INCLUDED),
            ("http://b.example/a-1-py3-none-any.whl", ADDRESS),
            ("ftp://b.example/a-1-py3-none-any.whl", ADDRESS),
            ("--index-url http://a.example/", ADDRESS),
            ("--index-url file:///a", ADDRESS),
            ("--index-url", OPTION),
            ("--index-url https://a.example/ --trusted-host a", OPTION),
            ("--find-links .", OPTION),
            ("-f https://a.example/", OPTION),
            ("--no-bin :all:", OPTION),
            ("--trusted-host a.example", OPTION),
            ("a --config-settings=x=y", OPTION),
            ("a --global-option=x", OPTION),
            ("a==1 --hash=md5:00", OPTION),
            ("a==1 --hash", OPTION),
            ("a==${VERSION}", VARIABLE),
            ("--index-url https://${HOST}/", VARIABLE),
            ("a b", NAME),
            ("_a", NAME),
            ("a[x", NAME),
            ("a==1 $(b)", NAME),
            ("# coding: utf-7\n+AGE-", TEXT),
            ("\u{feff}a", TEXT),
            ("a\u{2028}-e .", TEXT),
            ("a\u{b}-e .", TEXT),
            ("a\r-e .", TEXT),
        ] {
            assert_eq!(why(bad), Some((1, wanted)), "{bad:?}");
        }
        let refused = check(Path::new("r.txt"), b"six\n\xff\xfe").unwrap_err();
        assert!(matches!(
            refused,
            Error::Line {
                number: 2,
                why: TEXT,
                ..
            }
        ));
    }

    #[test]
    fn the_error_names_the_file_the_line_the_requirement_and_what_to_do() {
        let error = check(Path::new("functions/requirements.txt"), b"six\n\na \\\n  -e .\n").unwrap_err();
        assert!(matches!(error, Error::Line { number: 3, .. }), "{error}");
        let error = check(
            Path::new("functions/requirements.txt"),
            b"six\n# more\n  git+https://b.example/a  # mine\n",
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.starts_with(
                "functions/requirements.txt, line 3: `git+https://b.example/a` is not supported: "
            ),
            "{error}"
        );
        assert!(error.contains("require it by name and version"), "{error}");
    }
}
