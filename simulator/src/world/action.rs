//! What can happen in the world, one thing at a time, and how it is written down.
//!
//! An action that cannot happen as the world stands does nothing, so any list of actions is a history, and a history
//! with parts taken out is one too.

use std::fmt::Write as _;

use holdfast_log::simulated::{Reading, Room};

use crate::case::{from_hex, to_hex};

/// One of the two streams of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Which {
    Commands,
    Decisions,
}

/// What becomes of an append in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flight {
    /// It lands. `nth` counts those that may land next; anything but 0 is out of order.
    Lands,
    /// It lands and stays in flight: a retry of the transport.
    LandsTwice,
    /// It lands and its answer is lost.
    LandsUnanswered,
    /// It never lands, and nobody can know.
    IsLost,
    /// It is refused for sure.
    IsTurnedAway,
    /// Nobody waits for it any more, but it may land late.
    IsAbandoned,
    /// Of those nobody waits for any more, one lands.
    LandsLate,
}

/// How a worker that begins gets its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Begin {
    Active,
    Standby,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is named after what it counts or is")]
pub enum Action {
    /// A client appends a command record; the log's clock of this partition says `at`.
    Append { partition: u32, at: u64, payload: Vec<u8> },
    /// The log's clock of this partition.
    Clock { partition: u32, at: u64 },
    /// A worker does up to `most` steps, as long as it gets on. Its wall clock says `wall`.
    Step { host: usize, most: u32, wall: u64 },
    /// One step during which reading a stream goes wrong.
    StepReading { host: usize, wall: u64, which: Which, reading: Reading },
    /// An append in flight comes to something.
    Flight { partition: u32, which: Which, nth: usize, becomes: Flight },
    /// All but the last `back` records that landed become durable.
    Flush { partition: u32, which: Which, back: u64 },
    /// Everything lands and becomes durable.
    Settle { partition: u32 },
    /// The log stops and starts again; `keep` decides what survives of what was not durable.
    CrashLog { keep: u64 },
    /// The log fails for good, until it crashes.
    FailLog,
    /// How much room the log's disk has.
    Room(Room),
    /// A process begins with a worker in this role.
    Start { host: usize, role: Begin },
    /// A process ends, with everything it had in memory.
    Kill { host: usize },
    /// A worker ends and its process goes on.
    Drop { host: usize },
    /// A standby takes over.
    Promote { host: usize },
    /// The process gets the newest build.
    Upgrade { host: usize },
    /// Somebody asks a worker for a checkpoint.
    Checkpoint { host: usize },
    /// Somebody looks at a worker's machine.
    Query { host: usize },
    /// A checkpoint disk writes what waits.
    Write { disk: usize },
    /// A checkpoint disk cannot be written to, or can again.
    Break { disk: usize, broken: bool },
    /// Bytes on a checkpoint disk change.
    Damage { disk: usize },
    /// A checkpoint disk is replaced by an empty one.
    Wipe { disk: usize },
    /// A checkpoint disk is put back to an older checkpoint.
    Older { disk: usize },
    /// A checkpoint disk gets what another one has.
    Ship { from: usize, to: usize },
    /// The log forgets what no checkpoint needs.
    Trim { partition: u32 },
}

const FLIGHTS: [(Flight, &str); 7] = [
    (Flight::Lands, "lands"),
    (Flight::LandsTwice, "lands-twice"),
    (Flight::LandsUnanswered, "lands-unanswered"),
    (Flight::IsLost, "is-lost"),
    (Flight::IsTurnedAway, "is-turned-away"),
    (Flight::IsAbandoned, "is-abandoned"),
    (Flight::LandsLate, "lands-late"),
];
const READINGS: [(Reading, &str); 3] =
    [(Reading::Works, "works"), (Reading::Fails, "fails"), (Reading::Stalls, "stalls")];
const ROOMS: [(Room, &str); 3] =
    [(Room::Plenty, "plenty"), (Room::DecisionsOnly, "decisions-only"), (Room::Nothing, "nothing")];
const STREAMS: [(Which, &str); 2] = [(Which::Commands, "commands"), (Which::Decisions, "decisions")];
const BEGINS: [(Begin, &str); 2] = [(Begin::Active, "active"), (Begin::Standby, "standby")];
const BROKEN: [(bool, &str); 2] = [(true, "breaks"), (false, "works")];

fn word<T: PartialEq>(words: &[(T, &'static str)], it: &T) -> &'static str {
    words.iter().find(|(known, _)| known == it).map_or("?", |(_, word)| word)
}

fn meaning<T: Copy>(words: &[(T, &str)], word: &str) -> Option<T> {
    words.iter().find(|(_, known)| *known == word).map(|(it, _)| *it)
}

impl Action {
    /// The action as one line.
    #[must_use]
    pub fn to_line(&self) -> String {
        match self {
            Self::Append { partition, at, payload } => format!("append {partition} {at} {}", to_hex(payload)),
            Self::Clock { partition, at } => format!("clock {partition} {at}"),
            Self::Step { host, most, wall } => format!("step {host} {most} {wall}"),
            Self::StepReading { host, wall, which, reading } => {
                format!("reading {host} {wall} {} {}", word(&STREAMS, which), word(&READINGS, reading))
            }
            Self::Flight { partition, which, nth, becomes } => {
                format!("flight {partition} {} {nth} {}", word(&STREAMS, which), word(&FLIGHTS, becomes))
            }
            Self::Flush { partition, which, back } => {
                format!("flush {partition} {} {back}", word(&STREAMS, which))
            }
            Self::Settle { partition } => format!("settle {partition}"),
            Self::CrashLog { keep } => format!("crash-log {keep}"),
            Self::FailLog => "fail-log".to_owned(),
            Self::Room(room) => format!("room {}", word(&ROOMS, room)),
            Self::Start { host, role } => format!("start {host} {}", word(&BEGINS, role)),
            Self::Kill { host } => format!("kill {host}"),
            Self::Drop { host } => format!("drop {host}"),
            Self::Promote { host } => format!("promote {host}"),
            Self::Upgrade { host } => format!("upgrade {host}"),
            Self::Checkpoint { host } => format!("checkpoint {host}"),
            Self::Query { host } => format!("query {host}"),
            Self::Write { disk } => format!("write {disk}"),
            Self::Break { disk, broken } => format!("disk {disk} {}", word(&BROKEN, broken)),
            Self::Damage { disk } => format!("damage {disk}"),
            Self::Wipe { disk } => format!("wipe {disk}"),
            Self::Older { disk } => format!("older {disk}"),
            Self::Ship { from, to } => format!("ship {from} {to}"),
            Self::Trim { partition } => format!("trim {partition}"),
        }
    }

    /// Reads what [`Action::to_line`] writes. `None` if it is something else.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (verb, rest) = words.split_first()?;
        let number = |at: usize| rest.get(at)?.parse::<u64>().ok();
        let small = |at: usize| u32::try_from(number(at)?).ok();
        let index = |at: usize| usize::try_from(number(at)?).ok();
        let stream = |at: usize| meaning(&STREAMS, rest.get(at)?);
        Some(match *verb {
            "append" => {
                let payload = from_hex(rest.get(2).copied().unwrap_or(""))?;
                Self::Append { partition: small(0)?, at: number(1)?, payload }
            }
            "clock" => Self::Clock { partition: small(0)?, at: number(1)? },
            "step" => Self::Step { host: index(0)?, most: small(1)?, wall: number(2)? },
            "reading" => {
                let reading = meaning(&READINGS, rest.get(3)?)?;
                Self::StepReading { host: index(0)?, wall: number(1)?, which: stream(2)?, reading }
            }
            "flight" => {
                let becomes = meaning(&FLIGHTS, rest.get(3)?)?;
                Self::Flight { partition: small(0)?, which: stream(1)?, nth: index(2)?, becomes }
            }
            "flush" => Self::Flush { partition: small(0)?, which: stream(1)?, back: number(2)? },
            "settle" => Self::Settle { partition: small(0)? },
            "crash-log" => Self::CrashLog { keep: number(0)? },
            "fail-log" => Self::FailLog,
            "room" => Self::Room(meaning(&ROOMS, rest.first()?)?),
            "start" => Self::Start { host: index(0)?, role: meaning(&BEGINS, rest.get(1)?)? },
            "kill" => Self::Kill { host: index(0)? },
            "drop" => Self::Drop { host: index(0)? },
            "promote" => Self::Promote { host: index(0)? },
            "upgrade" => Self::Upgrade { host: index(0)? },
            "checkpoint" => Self::Checkpoint { host: index(0)? },
            "query" => Self::Query { host: index(0)? },
            "write" => Self::Write { disk: index(0)? },
            "disk" => Self::Break { disk: index(0)?, broken: meaning(&BROKEN, rest.get(1)?)? },
            "damage" => Self::Damage { disk: index(0)? },
            "wipe" => Self::Wipe { disk: index(0)? },
            "older" => Self::Older { disk: index(0)? },
            "ship" => Self::Ship { from: index(0)?, to: index(1)? },
            "trim" => Self::Trim { partition: small(0)? },
            _ => return None,
        })
    }

    /// The action with what a command record says in comments below it, for people.
    pub fn describe(&self, text: &mut String) {
        let _ = writeln!(text, "{}", self.to_line());
        if let Self::Append { at, payload, .. } = self {
            let record = crate::record::Record { append_time_ms: *at, payload: payload.clone() };
            for line in record.described() {
                let _ = writeln!(text, "#   {line}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_reads_back_what_it_prints() {
        let (which, reading) = (Which::Decisions, Reading::Stalls);
        let mut all = vec![
            Action::Append { partition: 2, at: u64::MAX, payload: vec![0, 255] },
            Action::Append { partition: 0, at: 0, payload: Vec::new() },
            Action::Clock { partition: 1, at: 7 },
            Action::Step { host: 3, most: 9, wall: 11 },
            Action::StepReading { host: 1, wall: 5, which, reading },
            Action::Flush { partition: 0, which: Which::Commands, back: 2 },
            Action::Settle { partition: 4 },
            Action::CrashLog { keep: 99 },
            Action::FailLog,
            Action::Kill { host: 1 },
            Action::Drop { host: 1 },
            Action::Promote { host: 1 },
            Action::Upgrade { host: 1 },
            Action::Checkpoint { host: 1 },
            Action::Query { host: 1 },
            Action::Write { disk: 1 },
            Action::Damage { disk: 1 },
            Action::Wipe { disk: 1 },
            Action::Older { disk: 1 },
            Action::Ship { from: 1, to: 2 },
            Action::Trim { partition: 1 },
        ];
        let becomes = FLIGHTS.map(|(becomes, _)| Action::Flight { partition: 0, which, nth: 1, becomes });
        all.extend(becomes);
        all.extend(ROOMS.map(|(room, _)| Action::Room(room)));
        all.extend(BEGINS.map(|(role, _)| Action::Start { host: 0, role }));
        all.extend(BROKEN.map(|(broken, _)| Action::Break { disk: 0, broken }));
        for action in all {
            assert_eq!(Action::from_line(&action.to_line()), Some(action));
        }
        assert_eq!(Action::from_line("dance 1"), None);
        assert_eq!(Action::from_line("kill"), None);
    }
}
