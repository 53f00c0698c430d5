//! What 10,000 deployed functions that nobody calls cost: memory of the platform, and the time of a warm call of another function, beside a
//! platform without them.

use std::path::Path;

use anyhow::Result;
use bench::stats::Spread;
use bench::{
    Connection, Figure, Language, Platform, Project, Report, Side, Tree, Window, create_function, pairs,
    resident, timed,
};

const FUNCTIONS: usize = 10_000;
const PAIRS: usize = 24;
const REQUESTS: usize = 400;
const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n";

fn main() -> Result<()> {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (many, none) = (
        Project::hello(parent, Language::Python)?,
        Project::hello(parent, Language::Python)?,
    );
    let (full, empty) = (many.start()?, none.start()?);
    let before = memory(&full)?;
    let ((), took) = timed(|| {
        let mut connection = Connection::open(&full.api)?;
        (0..FUNCTIONS).try_for_each(|number| {
            connection
                .expect(201, &create_function(&format!("idle-{number:05}")))
                .map(drop)
        })
    })?;
    let after = memory(&full)?;
    let found = measure(&full, &empty)?;
    drop(full);
    let (full, opening) = timed(|| many.start())?;
    let anew = memory(&full)?;
    let spread = |of: &dyn Fn(&(Window, Window)) -> f64| Spread::of(found.iter().map(of));
    let mut report = Report::new("deployed");
    report
        .figure(Figure::single("memory of 10,000 functions, just made", after - before, "MiB").at_most(50.0));
    report.figure(
        Figure::single("memory of 10,000 functions, opened anew", anew - before, "MiB").at_most(50.0),
    );
    report.figure(
        Figure::spread(
            "warm p50, 10,000 functions / none",
            spread(&|(a, b)| a.p50() / b.p50()),
            "×",
        )
        .at_most(1.1),
    );
    for (what, figure) in [
        ("warm p50, 10,000 functions", spread(&|(a, _)| a.p50())),
        ("warm p50, none", spread(&|(_, b)| b.p50())),
    ] {
        report.figure(Figure::spread(what, figure, "µs"));
    }
    let each = took.as_secs_f64() * 1e3 / FUNCTIONS as f64;
    report.figure(Figure::single("making one, one client", each, "ms"));
    report.figure(Figure::single(
        "starting with them, project included",
        opening.as_secs_f64() * 1e3,
        "ms",
    ));
    report.note("memory: resident, of the platform and its spawner, against the same before they were made");
    report.note(format!("{PAIRS} pairs of {REQUESTS} requests, one connection"));
    report.print();
    Ok(())
}

fn measure(full: &Platform, empty: &Platform) -> Result<Vec<(Window, Window)>> {
    let mut sides = Vec::new();
    for platform in [full, empty] {
        let mut side = Side::open(&platform.app, 1, platform.tree()?)?;
        side.run(REQUESTS, |_, _| REQUEST.to_vec())?;
        side.look()?;
        sides.push(side);
    }
    let [ours, theirs] = sides.as_mut_slice() else {
        anyhow::bail!("two sides");
    };
    pairs(
        PAIRS,
        |_| ours.run(REQUESTS, |_, _| REQUEST.to_vec()),
        |_| theirs.run(REQUESTS, |_, _| REQUEST.to_vec()),
    )
}

/// Resident memory in MiB of a platform before its instances run.
fn memory(platform: &Platform) -> Result<f64> {
    let Tree { processes } = platform.tree()?;
    Ok(resident(&processes)?.resident as f64 / f64::from(1 << 20))
}
