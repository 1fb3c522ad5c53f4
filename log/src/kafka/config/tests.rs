//! Which settings are taken, and that no secret is shown.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

const SECRET: &str = "s3cr3t-of-the-test";

fn with(common: &[(&str, &str)]) -> KafkaConfig {
    let common = common.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    KafkaConfig { common, ..KafkaConfig::new("127.0.0.1:1", "test") }
}

#[test]
fn the_defaults_work_and_ordinary_settings_pass() {
    with(&[]).validate().unwrap();
    let passed = [
        ("compression.codec", "zstd"),
        ("delivery.timeout.ms", "0"),
        ("linger.ms", "2"),
        ("sasl.mechanisms", "SCRAM-SHA-512"),
        ("sasl.password", SECRET),
        ("sasl.username", "intake"),
        ("security.protocol", "sasl_ssl"),
    ];
    with(&passed).validate().unwrap();
    let producer = with(&passed).client(Client::Producer);
    // An alias replaces the default; both together would leave to chance which one counts.
    assert_eq!(producer.get("compression.type"), Some("zstd"));
    assert_eq!(producer.get("compression.codec"), None);
}

#[test]
fn the_more_particular_table_wins() {
    let mut config = with(&[("fetch.wait.max.ms", "5")]);
    config.consumer.insert("fetch.wait.max.ms".to_owned(), "7".to_owned());
    assert_eq!(config.client(Client::Consumer).get("fetch.wait.max.ms"), Some("7"));
    assert_eq!(
        with(&[("fetch.wait.max.ms", "5")]).client(Client::Consumer).get("fetch.wait.max.ms"),
        Some("5")
    );
}

#[test]
fn what_correctness_rests_on_is_refused_under_each_of_its_names_and_in_each_table() {
    let keys = [
        "acks",
        "request.required.acks",
        "enable.idempotence",
        "enable.auto.commit",
        "auto.commit.enable",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "check.crcs",
        "isolation.level",
        "partitioner",
        "group.id",
        "group.instance.id",
        "partition.assignment.strategy",
        "transactional.id",
        "metadata.broker.list",
        "client.id",
    ];
    for key in keys {
        let setting = BTreeMap::from([(key.to_owned(), "1".to_owned())]);
        for place in 0..3 {
            let mut config = with(&[]);
            *[&mut config.common, &mut config.consumer, &mut config.producer][place] = setting.clone();
            let refused = config.validate();
            assert!(
                matches!(&refused, Err(ConfigError::Protected { key: named, why }) if named == key && !why.is_empty()),
                "{key}: {refused:?}"
            );
        }
    }
}

#[test]
fn values_that_cannot_work_are_refused() {
    let too_low = |key: &str, value: &str| {
        let refused = with(&[(key, value)]).validate();
        assert!(
            matches!(&refused, Err(ConfigError::TooLow { key: named, .. }) if named == key),
            "{refused:?}"
        );
    };
    too_low("delivery.timeout.ms", "4999");
    too_low("message.timeout.ms", "1");
    too_low("message.max.bytes", "1000000");
    let twice = with(&[("linger.ms", "1"), ("queue.buffering.max.ms", "2")]).validate();
    assert!(matches!(twice, Err(ConfigError::Twice { .. })), "{twice:?}");
    for (key, value) in
        [("linger.ms", "soon"), ("max.in.flight", "6"), ("ssl.ca.location", "/does/not/exist")]
    {
        let refused = with(&[("security.protocol", "ssl"), (key, value)]).validate();
        assert!(matches!(&refused, Err(ConfigError::Refused { .. })), "{key}: {refused:?}");
    }
}

#[test]
fn a_setting_that_the_library_does_not_know_is_refused_by_name() {
    let refused = with(&[("sasl.pasword", SECRET)]).validate();
    assert_eq!(refused, Err(ConfigError::Unknown { key: "sasl.pasword".to_owned() }));
    let mut config = with(&[]);
    config.producer.insert("lingerms".to_owned(), "1".to_owned());
    assert_eq!(config.validate(), Err(ConfigError::Unknown { key: "lingerms".to_owned() }));
}

#[test]
fn there_are_brokers_and_a_prefix_that_topics_can_have() {
    assert_eq!(KafkaConfig::new(" , ", "test").validate(), Err(ConfigError::NoBrokers));
    for prefix in ["a b", "ä", &"x".repeat(101)] {
        let config = KafkaConfig { topic_prefix: prefix.to_owned(), ..with(&[]) };
        assert_eq!(config.validate(), Err(ConfigError::Prefix(prefix.to_owned())));
    }
    let config = KafkaConfig { topic_prefix: "test-1.".to_owned(), ..with(&[]) };
    config.validate().unwrap();
    assert_eq!(config.topic_name(Topic::InventoryCommands), "test-1.holdfast.inventory.commands.v1");
    assert_eq!(config.dead_letters_topic(), "test-1.holdfast.inventory.commands.v1-dlt");
}

#[test]
fn no_secret_is_shown_anywhere() {
    let secrets = [
        "sasl.password",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.key.pem",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem",
    ];
    for key in secrets {
        let config = with(&[(key, SECRET), ("sasl.username", "intake")]);
        for shown in [format!("{config:?}"), format!("{config:#?}"), serde_json::to_string(&config).unwrap()]
        {
            assert!(!shown.contains(SECRET) && shown.contains(key) && shown.contains("intake"), "{shown}");
        }
        assert_eq!(config.mask(&format!("it was {SECRET}!")), "it was ***!");
        let settings = parsed(&format!("bootstrap = 'b:1'\n'{key}' = '{SECRET}'"));
        for shown in [format!("{settings:?}"), serde_json::to_string(&settings).unwrap()] {
            assert!(!shown.contains(SECRET) && shown.contains(key), "{shown}");
        }
    }
    // Refused for its value, which the library repeats in what it says.
    let refused = with(&[("security.protocol", "ssl"), ("ssl.key.pem", SECRET)]).validate().unwrap_err();
    assert!(!refused.to_string().contains(SECRET) && !format!("{refused:?}").contains(SECRET), "{refused}");
}

fn parsed(text: &str) -> KafkaSettings {
    toml::from_str(text).unwrap()
}

#[test]
fn names_may_be_written_with_dots_or_quoted() {
    let settings = parsed(
        "bootstrap = 'a:1,b:2'
        topic_prefix = 'x.'
        profile = 'single'
        security.protocol = 'sasl_ssl'
        'sasl.mechanism' = 'SCRAM-SHA-512'
        sasl.username = 'intake'
        sasl.password = 'x'
        socket.keepalive.enable = false
        [consumer]
        fetch.wait.max.ms = 50
        [producer]
        'linger.ms' = 1",
    );
    assert_eq!(settings.profile, crate::kafka::Profile::Single);
    let config = settings.resolve().unwrap();
    assert_eq!((config.bootstrap.as_str(), config.topic_prefix.as_str()), ("a:1,b:2", "x."));
    assert_eq!(config.common["security.protocol"], "sasl_ssl");
    assert_eq!(config.common["sasl.mechanism"], "SCRAM-SHA-512");
    assert_eq!(config.common["socket.keepalive.enable"], "false");
    assert_eq!(config.consumer["fetch.wait.max.ms"], "50");
    assert_eq!(config.producer["linger.ms"], "1");
    // A name of the library that ends like a reference to a file is none.
    let named = parsed("sasl.oauthbearer.assertion.file = '/a'");
    assert_eq!(named.common["sasl.oauthbearer.assertion.file"], Value::Text("/a".to_owned()));
    // Two processes that are not named are told apart.
    assert_ne!(config.client_id, settings.resolve().unwrap().client_id);
}

#[test]
fn what_is_no_setting_is_refused_when_it_is_read() {
    for text in ["profile = 'best'", "bootstrap = 1", "consumer = 'x'", "linger.ms = 1.5", "linger.ms = [1]"]
    {
        assert!(toml::from_str::<KafkaSettings>(text).is_err(), "{text}");
    }
    assert_eq!(parsed("").resolve(), Err(ConfigError::NoBrokers));
    assert_eq!(
        parsed("bootstrap = 'b:1'\nacks = 1").resolve().unwrap_err().to_string().split(':').next(),
        Some("kafka setting `acks` cannot be changed")
    );
    assert!(matches!(parsed("bootstrap = 'b:1'\nnonsense = 1").resolve(), Err(ConfigError::Unknown { .. })));
}

#[test]
fn secrets_come_from_files_that_nobody_else_may_read_and_from_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!("bootstrap = 'b:1'\nsasl.password = {{ file = '{}' }}", file.display());
    assert_eq!(parsed(&text).resolve().unwrap().common["sasl.password"], SECRET);
    assert!(serde_json::to_string(&parsed(&text)).unwrap().contains("password"), "the place may be shown");
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let refused = parsed(&text).resolve();
        assert!(matches!(&refused, Err(ConfigError::ReadableByOthers { key, .. }) if key == "sasl.password"));
    }
    // A name is no secret.
    let name = format!("bootstrap = 'b:1'\nsasl.username = {{ file = '{}' }}", file.display());
    assert_eq!(parsed(&name).resolve().unwrap().common["sasl.username"], SECRET);
    fs::remove_file(&file).unwrap();
    assert!(matches!(parsed(&text).resolve(), Err(ConfigError::Source { .. })));

    let home = "bootstrap = 'b:1'\nsasl.password = { env = 'CARGO_MANIFEST_DIR' }";
    assert!(parsed(home).resolve().unwrap().common["sasl.password"].ends_with("log"));
    let nowhere = "bootstrap = 'b:1'\nsasl.password = { env = 'HOLDFAST_TEST_NOT_SET' }";
    assert!(matches!(parsed(nowhere).resolve(), Err(ConfigError::Source { .. })));
}
