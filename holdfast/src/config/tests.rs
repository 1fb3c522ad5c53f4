use super::*;

/// The file that is shipped.
fn shipped() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/holdfast.toml");
    fs::read_to_string(path).expect("the file is there")
}

#[test]
fn the_shipped_file_says_exactly_the_defaults() {
    assert_eq!(Loaded::parse(&shipped()).expect("it is understood").config, Config::default());
}

/// The settings that a file names, those in comments as `# name = ` included.
fn named(text: &str) -> Vec<String> {
    let mut section = String::new();
    let mut names = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((name, _)) = line.trim_start_matches("# ").split_once(" = ") {
            names.push(format!("{section}{name}"));
        }
    }
    names
}

#[test]
fn the_shipped_file_names_every_setting_once_and_nothing_else() {
    let mut named = named(&shipped());
    named.sort();
    let mut known = keys::known();
    known.sort();
    assert_eq!(named, known);
}

#[test]
fn every_setting_of_the_shipped_file_is_explained_above_it() {
    let text = shipped();
    let lines: Vec<_> = text.lines().collect();
    for pair in lines.windows(2) {
        let is_setting = pair[1].trim_start_matches("# ").split_once(" = ").is_some();
        assert!(!is_setting || pair[0].starts_with('#'), "not explained: {}", pair[1]);
    }
}

#[track_caller]
fn advice(text: &str) -> String {
    let failure = Loaded::parse(text).expect_err("it is refused");
    assert_eq!(failure.exit, crate::failure::Exit::Usage);
    failure.advice.unwrap_or_default()
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_name() {
    assert_eq!(advice("partitons = 4"), "did you mean `partitions`?");
    assert_eq!(advice("[intake]\nwait_default = 3"), "did you mean `intake.wait_default_ms`?");
    assert_eq!(advice("listen = '127.0.0.1:1'"), "did you mean `intake.listen`?");
    assert_eq!(advice("[intake]\ndata_dir = 'x'"), "did you mean `data_dir`?");
    assert_eq!(advice("[qqq]\nzzz = 1"), "config/holdfast.toml lists all settings");
}

#[test]
fn a_wrong_value_is_refused() {
    for text in ["partitions = 0", "partitions = 'four'", "intake = 3", "production = 1", "="] {
        assert!(Loaded::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_partition_count_is_asked_for_only_if_somebody_does() {
    assert_eq!(Loaded::parse("").expect("fine").partitions_asked, None);
    assert_eq!(Loaded::parse("partitions = 4").expect("fine").partitions_asked, Some(4));
}

#[test]
fn production_needs_keys() {
    let mut config = Config { production: true, ..Config::default() };
    assert!(config.validate().is_err());
    config.intake.auth.keys_file = Some("keys.pem".into());
    config.validate().expect("with keys it may run");
}

#[test]
fn the_log_is_opened_with_the_logs_own_defaults() {
    let config = Config::default();
    let opened = config.embedded_log(4, None).expect("fine");
    let own = EmbeddedConfig::new(Layout::inventory(4).expect("fine"));
    assert_eq!(format!("{opened:?}"), format!("{own:?}"));
    let worker = config.sequencer(1, LogId::default()).partitions[0].0.clone();
    assert_eq!(worker, WorkerConfig::new(PartitionId(0)));
}

#[test]
fn every_partition_takes_the_room_that_is_asked_for() {
    let text = "[sequencer]\nroom_for_ids = 3000\nroom_for_holds = 200";
    let config = Loaded::parse(text).expect("fine").config;
    for (_, machine) in config.sequencer(3, LogId::default()).partitions {
        assert_eq!((machine.room_for_ids, machine.room_for_holds), (3_000, 200));
    }
    let (_, usual) = Config::default().sequencer(1, LogId::default()).partitions[0].clone();
    assert_eq!(usual, MachineConfig::new(PartitionId(0), 1, LogId::default()));
    for name in ["room_for_ids", "room_for_holds"] {
        let text = format!("[sequencer]\n{name} = 1000000001");
        Loaded::parse(&text).expect("understood").config.validate().expect_err("that is a slip of the pen");
    }
}
