//! The rules between rooms, as a pure function over the graph of direct dependencies.

/// A member of the workspace and what it names as its dependencies.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) depends: Vec<(String, Kind)>,
}

/// What a dependency is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    /// Tests, examples and benches of the package itself.
    Dev,
}

/// Which rooms a room may import.
enum Sees {
    Rooms(&'static [&'static str]),
    Everything,
}

const CONTRACTS: &str = "holdfast-contracts";
const REFERENCE: &str = "holdfast-contracts-reference";
const LOG: &str = "holdfast-log";
const MEMORY: &str = "holdfast-memory";
const CORE: &str = "holdfast-core";
const ENGINE: &str = "holdfast-engine";
const ARCHIVE: &str = "holdfast-archive";
const ORDERS: &str = "holdfast-orders";
const INTAKE: &str = "holdfast-intake";
const RECONCILER: &str = "holdfast-reconciler";
const LOADTEST: &str = "holdfast-loadtest";
const BINARY: &str = "holdfast";
const SIMULATOR: &str = "holdfast-simulator";
const BENCHES: &str = "holdfast-benches";
const KAFKA_KIT: &str = "holdfast-kafka-kit";
const CRASH: &str = "holdfast-crash";

/// Every room, and what it may import. A new member of the workspace finds its place here first.
const ROOMS: &[(&str, Sees)] = &[
    (CONTRACTS, Sees::Rooms(&[])),
    (REFERENCE, Sees::Rooms(&[])),
    (LOG, Sees::Rooms(&[CONTRACTS])),
    (MEMORY, Sees::Rooms(&[])),
    // Not the log: the machine is handed records and hands back answers.
    (CORE, Sees::Rooms(&[CONTRACTS, MEMORY])),
    (ENGINE, Sees::Rooms(&[CONTRACTS, LOG, MEMORY, CORE])),
    (ARCHIVE, Sees::Rooms(&[CONTRACTS, LOG, MEMORY, CORE, ENGINE])),
    (ORDERS, Sees::Rooms(&[CONTRACTS, LOG, MEMORY, CORE, ENGINE])),
    (INTAKE, Sees::Rooms(&[CONTRACTS, LOG, MEMORY, CORE, ENGINE, ORDERS])),
    // A second opinion shares no arithmetic with the first.
    (RECONCILER, Sees::Rooms(&[CONTRACTS, LOG])),
    (LOADTEST, Sees::Rooms(&[CONTRACTS, LOG])),
    (
        BINARY,
        Sees::Rooms(&[CONTRACTS, LOG, MEMORY, CORE, ENGINE, ARCHIVE, ORDERS, INTAKE, RECONCILER, LOADTEST]),
    ),
    // Starts real brokers and knows nothing of Holdfast.
    (KAFKA_KIT, Sees::Rooms(&[])),
    // Judges from outside: what it shares with the judged is the record format.
    (CRASH, Sees::Rooms(&[CONTRACTS, LOG, KAFKA_KIT])),
    (SIMULATOR, Sees::Everything),
    (BENCHES, Sees::Everything),
];

/// Rooms that are never shipped: others may name them for their tests only.
const TEST_ONLY: &[&str] = &[REFERENCE, SIMULATOR, BENCHES, KAFKA_KIT, CRASH];

/// Big libraries and the one room that may name each. The benches compare with them bare, so they may too.
const HOMES: &[(&str, &str)] = &[
    ("rdkafka", LOG),
    ("rdkafka-sys", LOG),
    ("object_store", ARCHIVE),
    ("rocksdb", ENGINE),
    ("librocksdb-sys", ENGINE),
    ("axum", INTAKE),
    ("axum-extra", INTAKE),
    ("axum-server", INTAKE),
    ("sqlx", ORDERS),
];

/// All that the inventory machine may be made of. None of these has a clock, a thread, a random number or a socket.
const CORE_DEPENDS: &[&str] = &[CONTRACTS, MEMORY, "postcard", "serde", "thiserror", "zerocopy"];

/// Rooms on the hot path, where nothing may be asynchronous.
const WITHOUT_TOKIO: &[&str] = &[CONTRACTS, MEMORY, CORE, ENGINE];

/// What breaks a rule, one sentence each.
pub(crate) fn violations(packages: &[Package]) -> Vec<String> {
    packages
        .iter()
        .flat_map(|package| package.depends.iter().filter_map(|it| arrow(package, it)))
        .chain(packages.iter().filter(|package| room(&package.name).is_none()).map(|package| {
            format!(
                "{} is in no room: say in contracts/tests/rooms/arrows.rs what it may import",
                package.name
            )
        }))
        .collect()
}

fn room(name: &str) -> Option<&'static Sees> {
    ROOMS.iter().find(|(room, _)| *room == name).map(|(_, sees)| sees)
}

/// What is wrong with one dependency.
fn arrow(package: &Package, (to, kind): &(String, Kind)) -> Option<String> {
    let (from, to) = (package.name.as_str(), to.as_str());
    let shipped = *kind != Kind::Dev;
    if let Some(home) = HOMES.iter().find(|(library, _)| *library == to).map(|(_, home)| *home)
        && from != home
        && from != BENCHES
    {
        return Some(format!("{from} names {to}, which only {home} may"));
    }
    if from == CORE && shipped && !CORE_DEPENDS.contains(&to) {
        return Some(format!("{from} may not be made of {to}: it is a pure function of its records"));
    }
    if to == "tokio" && shipped && WITHOUT_TOKIO.contains(&from) {
        return Some(format!("{from} is on the hot path and may not be asynchronous"));
    }
    let Some(Sees::Rooms(sees)) = room(from) else { return None };
    if room(to).is_none() || sees.contains(&to) || (!shipped && TEST_ONLY.contains(&to)) {
        return None;
    }
    Some(format!("{from} may not import {to}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The complaints about one package with one dependency.
    fn complaints(from: &str, to: &str, kind: Kind) -> Vec<String> {
        violations(&[Package { name: from.into(), depends: vec![(to.into(), kind)] }])
    }

    #[track_caller]
    fn refused(from: &str, to: &str, kind: Kind) {
        assert_eq!(complaints(from, to, kind).len(), 1, "{from} -> {to}");
    }

    #[track_caller]
    fn allowed(from: &str, to: &str, kind: Kind) {
        assert_eq!(complaints(from, to, kind), Vec::<String>::new(), "{from} -> {to}");
    }

    #[test]
    fn the_chain_may_look_down_and_not_up() {
        let chain = [CONTRACTS, LOG, ENGINE, ORDERS, INTAKE, BINARY];
        for (upper, above) in chain.iter().enumerate() {
            for (lower, below) in chain.iter().enumerate() {
                match lower.cmp(&upper) {
                    std::cmp::Ordering::Less => allowed(above, below, Kind::Normal),
                    std::cmp::Ordering::Greater => refused(above, below, Kind::Normal),
                    std::cmp::Ordering::Equal => {}
                }
            }
        }
    }

    #[test]
    fn a_test_or_a_build_script_is_no_way_around_an_arrow() {
        refused(LOG, ENGINE, Kind::Dev);
        refused(LOG, ENGINE, Kind::Build);
    }

    #[test]
    fn the_machine_is_pure() {
        allowed(CORE, MEMORY, Kind::Normal);
        refused(CORE, LOG, Kind::Normal);
        for library in ["tokio", "rand", "chrono", "tracing", "crossbeam"] {
            refused(CORE, library, Kind::Normal);
            refused(CORE, library, Kind::Build);
        }
        allowed(CORE, "proptest", Kind::Dev);
    }

    #[test]
    fn the_second_opinion_knows_contracts_and_log_only() {
        for second in [RECONCILER, LOADTEST] {
            allowed(second, CONTRACTS, Kind::Normal);
            allowed(second, LOG, Kind::Normal);
            for first in [MEMORY, CORE, ENGINE, ORDERS, INTAKE, BINARY] {
                refused(second, first, Kind::Normal);
            }
        }
    }

    #[test]
    fn what_is_test_only_is_not_shipped() {
        for test_only in TEST_ONLY {
            refused(ENGINE, test_only, Kind::Normal);
            refused(BINARY, test_only, Kind::Normal);
            allowed(ENGINE, test_only, Kind::Dev);
        }
        for room in [CONTRACTS, CORE, ENGINE, INTAKE, BINARY, REFERENCE] {
            allowed(SIMULATOR, room, Kind::Normal);
            allowed(BENCHES, room, Kind::Normal);
        }
    }

    #[test]
    fn each_big_library_has_its_room() {
        for (library, home) in HOMES {
            allowed(home, library, Kind::Normal);
            allowed(BENCHES, library, Kind::Normal);
            for other in [LOADTEST, BINARY, SIMULATOR] {
                refused(other, library, Kind::Normal);
                refused(other, library, Kind::Dev);
            }
        }
    }

    #[test]
    fn the_hot_path_is_not_asynchronous() {
        refused(ENGINE, "tokio", Kind::Normal);
        allowed(INTAKE, "tokio", Kind::Normal);
    }

    #[test]
    fn a_member_without_a_room_is_noticed() {
        let nobody = Package { name: "holdfast-utils".into(), depends: vec![] };
        assert_eq!(violations(&[nobody]).len(), 1);
    }
}
