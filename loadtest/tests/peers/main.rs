//! The peers as they are: started, loaded, checked and stopped, with a few hundred requests each.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;

use holdfast_loadtest::peers::{self, PeersConfig, PeersError, PeersReport, System, Workload};

const REQUESTS: u64 = 505;

fn compare(systems: &[System]) -> Result<PeersReport, PeersError> {
    peers::run(&PeersConfig {
        systems: systems.to_vec(),
        connections: vec![8],
        requests: Some(REQUESTS),
        repeat: 1,
        ..PeersConfig::new(PathBuf::from("no-such-server"))
    })
}

#[test]
fn every_peer_does_the_work_and_is_found_right() {
    let systems = [System::PostgresRowLock, System::PostgresOptimistic, System::RedisLua];
    let report = compare(&systems).unwrap();
    assert!(report.is_right(), "{}", report.table());
    assert_eq!(report.rows().len(), systems.len() * Workload::ALL.len());
    for row in report.rows() {
        assert_eq!((row.checked.as_str(), row.runs.len()), ("ok", 1), "{row:?}");
        let run = &row.runs[0];
        assert_eq!((run.requests, run.decided), (REQUESTS, REQUESTS), "{row:?}");
        // One customer of each of the five blocks asks once too often.
        let (granted, over_limit) = match row.workload {
            Workload::Accept => (500, 5),
            Workload::SoldOut => (6, run.over_limit),
        };
        assert_eq!((run.granted, run.over_limit), (granted, over_limit), "{row:?}");
        assert!(row.decisions_per_s > 0.0 && row.p50_us > 0 && row.p50_us <= row.p99_us, "{row:?}");
        assert_eq!(row.holdfast_ratio, None);
    }

    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["rows"][2]["system"], "redis-lua");
    assert_eq!(json["rows"][2]["workload"], "accept");
    let table = report.table();
    assert!(table.starts_with('┌') && table.contains("Redis, Lua, AOF always"), "{table}");
}

#[test]
fn a_server_that_cannot_be_started_is_an_error() {
    let error = compare(&[System::Holdfast]).unwrap_err();
    assert!(matches!(error, PeersError::Server(_)), "{error}");
}

#[test]
fn settings_out_of_bounds_are_refused() {
    let good = PeersConfig::new(PathBuf::from("holdfast"));
    assert_eq!(good.validate(), Ok(()));
    let bad = [
        PeersConfig { systems: vec![], ..good.clone() },
        PeersConfig { connections: vec![], ..good.clone() },
        PeersConfig { connections: vec![64, 0], ..good.clone() },
        PeersConfig { requests: Some(99), ..good.clone() },
        PeersConfig { repeat: 0, ..good.clone() },
    ];
    for config in bad {
        assert!(matches!(peers::run(&config), Err(PeersError::Config(_))), "{config:?}");
    }
}
