//! `GetItem`: CPU time of a read beside hyper that answers the same bytes to the same request, at two sizes of the table a
//! hundred times apart.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use bench::stats::{Spread, micros};
use bench::{
    Connection, Figure, Peer, Project, Report, Side, Window, create_table, get_item, pairs, put_item,
};

const PAIRS: usize = 24;
/// Reads of a window, over all its connections.
const READS: usize = 800;
const LOADERS: usize = 16;

fn main() -> Result<()> {
    // Nothing is written while it is measured, so the disk is left out.
    let project = Project::new(Path::new("/dev/shm"), &[])?;
    let platform = project.start()?;
    create_table(&mut Connection::open(&platform.api)?)?;
    let mut report = Report::new("get");
    let mut loaded = 0;
    for rows in [1_000, 100_000] {
        let mut loader = Side::open(&platform.api, LOADERS, platform.tree()?)?;
        let each = (rows - loaded) / LOADERS;
        loader.run(each, |loader, number| put_item(loaded + loader * each + number))?;
        loaded += each * LOADERS;
        let body = answer(&platform.api)?;
        let peer = Peer::start(Command::new(env!("CARGO_BIN_EXE_peer-answer")).arg(body))?;
        for connections in [1, 8] {
            let mut ours = Side::open(&platform.api, connections, platform.tree()?)?;
            let mut theirs = Side::open(&peer.address(), connections, peer.tree()?)?;
            // A step that is prime to the number of rows, so that reads are spread over them.
            let read = |turn: usize, client: usize, number: usize| {
                get_item(((turn * connections + client) * READS + number) * 7_919 % loaded)
            };
            let each = READS / connections;
            ours.run(each, |client, number| read(PAIRS, client, number))?;
            theirs.run(each, |client, number| read(PAIRS, client, number))?;
            let found = pairs(
                PAIRS,
                |turn| ours.run(each, |client, number| read(turn, client, number)),
                |turn| theirs.run(each, |client, number| read(turn, client, number)),
            )?;
            describe(&mut report, rows, connections, &found);
        }
    }
    report.note(format!(
        "peer: hyper that reads the same request and answers the same {} bytes",
        answer(&platform.api)?.len()
    ));
    report.note(format!(
        "{PAIRS} pairs of {READS} reads of 200-byte rows, data in tmpfs"
    ));
    report.print();
    Ok(())
}

/// What the platform answers, so that the peer answers the same.
fn answer(api: &str) -> Result<String> {
    let mut connection = Connection::open(api)?;
    let answer = connection.expect(200, &get_item(7))?;
    Ok(String::from_utf8_lossy(answer.body).into_owned())
}

fn describe(report: &mut Report, rows: usize, connections: usize, found: &[(Window, Window)]) {
    let title = |what: &str| {
        let plural = if connections == 1 { "client" } else { "clients" };
        format!("{what}, {connections} {plural}, {rows} rows")
    };
    let spread = |of: &dyn Fn(&(Window, Window)) -> f64| Spread::of(found.iter().map(of));
    let ratio = spread(&|(ours, peer)| ours.cpu_micros() / peer.cpu_micros());
    report.figure(Figure::spread(title("CPU a read, platform / hyper"), ratio, "×").at_most(4.0));
    report.figure(Figure::spread(
        title("CPU a read, platform"),
        spread(&|(ours, _)| ours.cpu_micros()),
        "µs",
    ));
    report.figure(Figure::spread(
        title("CPU a read, hyper"),
        spread(&|(_, peer)| peer.cpu_micros()),
        "µs",
    ));
    report.figure(Figure::spread(
        title("p50, platform"),
        spread(&|(ours, _)| ours.p50()),
        "µs",
    ));
    report.figure(Figure::spread(
        title("p50, hyper"),
        spread(&|(_, peer)| peer.p50()),
        "µs",
    ));
    let p99 = spread(&|(ours, _)| micros(&ours.times, 0.99));
    report.figure(Figure::spread(title("p99, platform"), p99, "µs"));
}
