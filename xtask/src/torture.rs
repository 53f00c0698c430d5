//! `cargo xtask torture`: builds the binary and the torturer, brings a PostgreSQL, and lets one run against the other.

use std::process::Command;
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result, bail};

use crate::process::{self, say};
use crate::{test, tools};

/// How long each engine is tortured by `cargo xtask test`, in minutes.
const IN_TESTS: &str = "2";

/// What was asked for.
struct Options {
    minutes: String,
    seed: u64,
    stores: Vec<&'static str>,
}

/// Runs it with these words: by default two minutes on each engine, from a seed that nobody chose.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let options = read(words)?;
    let built = test::build(&["--package", "aloft", "--package", "torture", "--bins"])?;
    torture(&options, &built)
}

/// Its part of all tests, with what they have built.
pub(crate) fn test(built: &test::Built) -> Result<()> {
    torture(&read(&[])?, built)
}

fn torture(options: &Options, built: &test::Built) -> Result<()> {
    let kit = tools::fetch()?.kit(&tools::kit_folder())?;
    let (torturer, aloft) = (built.binary("torture")?, built.binary("aloft")?);
    for store in &options.stores {
        let started = Instant::now();
        say(&format!(
            "torture over {store}, to be repeated with `cargo xtask torture --store {store} --minutes {} --seed {}`",
            options.minutes, options.seed
        ));
        let mut command = Command::new(&torturer);
        command
            .args(["--minutes", &options.minutes, "--store", store])
            .args(["--seed", &options.seed.to_string()]);
        process::run(test::environment(&mut command, &kit, &aloft, store))?;
        say(&format!(
            "torture over {store} took {} s",
            started.elapsed().as_secs()
        ));
    }
    Ok(())
}

fn read(words: &[&str]) -> Result<Options> {
    let now = SystemTime::UNIX_EPOCH.elapsed();
    let mut options = Options {
        minutes: IN_TESTS.to_owned(),
        seed: u64::from(now.context("the clock stands before 1970")?.subsec_nanos()),
        stores: test::STORES.to_vec(),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match *word {
            "--minutes" if value.parse::<f64>().is_ok_and(|minutes| minutes > 0.0) => {
                options.minutes = (*value).to_owned();
            }
            "--seed" => {
                options.seed = value
                    .parse()
                    .with_context(|| format!("--seed takes a whole number, not {value}"))?;
            }
            "--store" => {
                let store = test::STORES.into_iter().find(|store| store == value);
                let store =
                    store.with_context(|| format!("--store takes embedded or postgres, not {value}"))?;
                options.stores = vec![store];
            }
            _ => bail!("torture does not take {word} {value}; `cargo xtask help` says what it takes"),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn words_are_read_or_refused() {
        let options = read(&["--store", "postgres", "--minutes", "0.5", "--seed", "7"]).unwrap();
        assert_eq!(
            (options.minutes.as_str(), options.seed, options.stores),
            ("0.5", 7, vec!["postgres"])
        );
        assert_eq!(read(&[]).unwrap().stores, ["embedded", "postgres"]);
        for wrong in [
            &["--seed"][..],
            &["--seed", "x"],
            &["--store", "disk"],
            &["--minutes", "0"],
            &["--what", "1"],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
