//! `cargo xtask fixtures`: what this release leaves in a data folder and in a database, kept for all later ones.
//!
//! The black-box test that reads fixtures writes one when it is told a name, once over each engine: so both know the same story,
//! and what is written is what the real binary writes.

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::{paths, test, tools};

/// The test that writes and reads them.
const TEST: &str = "upgrade::what_former_releases_left_is_found";

pub(crate) fn write(name: &str) -> Result<()> {
    let started = Instant::now();
    let folder = paths::root().join("tests/fixtures").join(name);
    if folder.exists() {
        bail!(
            "{} is there already: a fixture is what a release left, and does not change; give another name",
            folder.display()
        );
    }
    let kit = tools::fetch()?.kit(&tools::kit_folder())?;
    let built = test::build(&["--package", "aloft", "--package", "it", "--bins", "--tests"])?;
    let (suite, aloft) = (built.test("it")?, built.binary("aloft")?);
    let mut counts = test::Counts::none();
    for store in test::STORES {
        let mut command = Command::new(&suite);
        command.args(["--exact", TEST]).env("ALOFT_TEST_FIXTURES", name);
        counts.add(&test::over(
            store,
            test::environment(&mut command, &kit, &aloft, store),
        )?);
    }
    counts.finish(started, "cargo xtask fixtures")
}
