//! `holdfast-bench`: measures rows of a table, each next to a peer in the same run, and says which goals are met.

mod group;
mod kafka;
mod loadtest;
mod page;
mod processes;
mod row;
mod server;
mod spine;
mod wrk;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use group::{Group, Setup};
use holdfast_benches::counting::Counting;
use holdfast_benches::pipeline::Result;
use row::Row;

#[global_allocator]
static COUNTING: Counting = Counting;

/// Every group there is.
const GROUPS: &[Group] = &[spine::SPINE, kafka::KAFKA, loadtest::LOADTEST];

const USAGE: &str = "\
holdfast-bench GROUP [--json] [--only ROW] [--quick] [--runs N] [--markdown FILE] [--dir DIR]

  GROUP            spine, kafka or loadtest
  --json           one JSON object per row on standard output instead of a table
  --only ROW       only rows whose names begin so
  --quick          small sizes: shows that everything works, measures nothing worth telling
  --runs N         how often each thing is measured; the median counts
  --markdown FILE  also write the group's section of this page
  --dir DIR        where to write; must lie on the disk to be measured (default: the directory for temporary files)

Exits 0 when every row was measured, whether its goal was met or not; 1 when one could not be; 2 when it was asked for
something it does not know.
";

#[derive(Debug, Default)]
struct Options {
    group: Option<String>,
    json: bool,
    only: Option<String>,
    quick: bool,
    runs: Option<u64>,
    markdown: Option<PathBuf>,
    directory: Option<PathBuf>,
    /// Group and name of the one bench that this process is there to measure.
    measure: Option<(String, String)>,
    /// This process is there to be killed after it has written what is to be recovered.
    write_recovery: bool,
}

fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        io::stderr().write_all(USAGE.as_bytes()).ok();
        return ExitCode::from(2);
    };
    match run(&options) {
        Ok(code) => code,
        Err(error) => {
            writeln!(io::stderr(), "holdfast-bench: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options::default();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => options.json = true,
            "--quick" => options.quick = true,
            "--runs" => options.runs = Some(args.next()?.parse().ok().filter(|runs| *runs > 0)?),
            "--only" => options.only = Some(args.next()?),
            "--markdown" => options.markdown = Some(args.next()?.into()),
            "--dir" => options.directory = Some(args.next()?.into()),
            "--measure" => options.measure = Some((args.next()?, args.next()?)),
            "--write-recovery" => options.write_recovery = true,
            name if !name.starts_with('-') && options.group.is_none() => options.group = Some(arg),
            _ => return None,
        }
    }
    Some(options)
}

fn run(options: &Options) -> Result<ExitCode> {
    let directory = options.directory.clone().unwrap_or_else(std::env::temp_dir);
    let setup = Setup { quick: options.quick, runs: options.runs, directory };
    if options.write_recovery {
        spine::recovery::write_and_wait(&setup)?;
        return Ok(ExitCode::SUCCESS);
    }
    let name = options.measure.as_ref().map(|(group, _)| group).or(options.group.as_ref());
    let Some(group) = GROUPS.iter().find(|group| Some(group.name) == name.map(String::as_str)) else {
        io::stderr().write_all(USAGE.as_bytes())?;
        return Ok(ExitCode::from(2));
    };
    match &options.measure {
        Some((_, bench)) => {
            let bench = group.find(bench).ok_or_else(|| format!("no bench is called {bench}"))?;
            Ok(bench.run_here(&setup))
        }
        None => run_group(group, options, &setup),
    }
}

fn run_group(group: &Group, options: &Options, setup: &Setup) -> Result<ExitCode> {
    let only = options.only.as_deref();
    let benches = group.select(only);
    if benches.is_empty() {
        let all = group.benches.iter().flat_map(|bench| bench.rows).copied().collect::<Vec<_>>();
        writeln!(io::stderr(), "no row begins with {:?}; there are {}", only.unwrap_or(""), all.join(", "))?;
        return Ok(ExitCode::from(2));
    }
    let host = page::Host::here();
    let mut rows = Vec::new();
    for bench in benches {
        writeln!(io::stderr(), "holdfast-bench: measuring {} ...", bench.name)?;
        std::fs::create_dir_all(&setup.directory)?;
        let own = tempfile::tempdir_in(&setup.directory)?;
        let apart = Setup { quick: setup.quick, runs: setup.runs, directory: own.path().to_owned() };
        let mut measured = bench.run_apart(group.name, &apart);
        measured.retain(|row| only.is_none_or(|only| row.row.starts_with(only)));
        if options.json {
            print_rows(&measured)?;
        }
        rows.extend(measured);
    }
    if !options.json {
        io::stdout().write_all(page::table(&rows).as_bytes())?;
    }
    if let Some(page) = &options.markdown {
        page::write_section(page, group.name, &page::section(group.name, &host, &rows))?;
    }
    let all = rows.iter().all(|row| row.error.is_none());
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One JSON object per line.
fn print_rows(rows: &[Row]) -> Result<()> {
    let mut out = io::stdout().lock();
    for row in rows {
        writeln!(out, "{}", serde_json::to_string(row)?)?;
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_has_one_name_and_one_bench() {
        for group in GROUPS {
            let rows: Vec<_> = group.benches.iter().flat_map(|bench| bench.rows).collect();
            assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len());
            for bench in group.benches {
                assert_eq!(group.find(bench.name).map(|found| found.rows), Some(bench.rows));
            }
        }
    }

    #[test]
    fn only_takes_the_benches_that_give_such_rows() {
        let names = |only| spine::SPINE.select(Some(only)).iter().map(|bench| bench.name).collect::<Vec<_>>();
        assert_eq!(names("machine"), ["machine"]);
        assert_eq!(names("log_bytes"), ["durable"]);
        assert_eq!(names("no_such_row"), Vec::<&str>::new());
        assert_eq!(spine::SPINE.select(None).len(), spine::SPINE.benches.len());
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let parse = |args: &[&str]| options(args.iter().map(|arg| (*arg).to_owned()));
        assert!(parse(&["spine", "--json", "--only", "http", "--quick"]).is_some());
        assert!(parse(&["spine", "kafka"]).is_none());
        assert!(parse(&["spine", "--fast"]).is_none());
        assert!(parse(&["spine", "--only"]).is_none());
        assert!(parse(&["kafka", "--runs", "5"]).is_some_and(|options| options.runs == Some(5)));
        assert!(parse(&["kafka", "--runs", "0"]).is_none());
    }
}
