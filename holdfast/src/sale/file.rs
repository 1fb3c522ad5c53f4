//! A sale in a file: TOML, or JSON if its name ends so. `id` and the terms, as the API takes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use holdfast_contracts::limits::{
    DURATION_MS_MAX, EXTEND_MAX, SALE_ID_BYTES_MAX, SALE_SKUS_MAX, SKU_BYTES_MAX,
};
use holdfast_contracts::murmur2::partition_of;
use holdfast_contracts::{LogTime, SaleTerms};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// What a sale consists of.
const KEYS: [&str; 12] = [
    "id",
    "skus",
    "hold_ttl_ms",
    "payment_window_ms",
    "units_per_customer_max",
    "units_per_reservation_max",
    "extend_max",
    "hold_total_max_ms",
    "offer_ttl_ms",
    "opens_at",
    "closes_at",
    "waitlist",
];

/// Names that are less alike are not worth a suggestion.
const ALIKE_MIN: f64 = 0.8;

/// Something wrong with a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Flaw {
    /// JSON pointer to it.
    pub(crate) pointer: String,
    pub(crate) detail: String,
}

/// A sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SaleFile {
    pub(crate) id: String,
    skus: Vec<String>,
    terms: SaleTerms,
}

impl SaleFile {
    /// Reads a file and says everything that is wrong with it.
    ///
    /// # Errors
    /// If it cannot be read, or is neither TOML nor JSON.
    pub(crate) fn read(path: &Path, partitions: u32) -> Result<(Option<Self>, Vec<Flaw>), Failure> {
        let shown = path.display();
        let refused = |error: String| Failure::usage(format!("{shown}: {}", error.trim_end()));
        let text = fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
        let value: Value = if path.extension().is_some_and(|it| it == "json") {
            serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?
        } else {
            toml::from_str(&text).map_err(|error| refused(error.to_string()))?
        };
        Ok(Self::check(&value, partitions))
    }

    /// The sale that a document describes, and everything that is wrong with it.
    pub(crate) fn check(value: &Value, partitions: u32) -> (Option<Self>, Vec<Flaw>) {
        let mut check = Check { flaws: Vec::new() };
        let Some(members) = value.as_object() else {
            check.flaw("", "a sale is a table of terms");
            return (None, check.flaws);
        };
        check.names(members);
        let defaults = SaleTerms::default();
        let terms = SaleTerms {
            hold_ttl_ms: check.number(members, "hold_ttl_ms", defaults.hold_ttl_ms),
            payment_window_ms: check.number(members, "payment_window_ms", defaults.payment_window_ms),
            units_per_customer_max: check.number(members, "units_per_customer_max", 0),
            units_per_reservation_max: check.number(members, "units_per_reservation_max", 0),
            extend_max: check.number(members, "extend_max", defaults.extend_max),
            hold_total_max_ms: check.number(members, "hold_total_max_ms", defaults.hold_total_max_ms),
            offer_ttl_ms: check.number(members, "offer_ttl_ms", defaults.offer_ttl_ms),
            opens_at: check.time(members, "opens_at"),
            closes_at: check.time(members, "closes_at"),
            waitlist: check.flag(members, "waitlist"),
        };
        check.terms(&terms);
        let id = check.id(members);
        let skus = check.skus(members, partitions);
        (Some(Self { id, skus, terms }), check.flaws)
    }

    /// What the API takes.
    pub(crate) fn body(&self) -> Value {
        let terms = &self.terms;
        let mut body = json!({
            "skus": self.skus,
            "hold_ttl_ms": terms.hold_ttl_ms,
            "payment_window_ms": terms.payment_window_ms,
            "units_per_customer_max": terms.units_per_customer_max,
            "units_per_reservation_max": terms.units_per_reservation_max,
            "extend_max": terms.extend_max,
            "hold_total_max_ms": terms.hold_total_max_ms,
            "offer_ttl_ms": terms.offer_ttl_ms,
            "waitlist": terms.waitlist,
        });
        for (name, time) in [("opens_at", terms.opens_at), ("closes_at", terms.closes_at)] {
            if time.0 != 0 {
                body[name] = json!(time.0);
            }
        }
        body
    }
}

/// Collects what is wrong.
struct Check {
    flaws: Vec<Flaw>,
}

impl Check {
    fn flaw(&mut self, name: &str, detail: impl Into<String>) {
        let pointer = if name.is_empty() { String::new() } else { format!("/{name}") };
        self.flaws.push(Flaw { pointer, detail: detail.into() });
    }

    fn names(&mut self, members: &Map<String, Value>) {
        for name in members.keys().filter(|name| !KEYS.contains(&name.as_str())) {
            let alike = |key: &&&str| strsim::jaro_winkler(key, name);
            let nearest = KEYS.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
            let hint = nearest.filter(|key| alike(key) >= ALIKE_MIN);
            let hint = hint.map(|key| format!("; did you mean `{key}`?")).unwrap_or_default();
            self.flaw(name, format!("there is no such term{hint}"));
        }
    }

    fn number(&mut self, members: &Map<String, Value>, name: &str, default: u32) -> u32 {
        match members.get(name) {
            None => default,
            Some(value) => value.as_u64().and_then(|it| u32::try_from(it).ok()).unwrap_or_else(|| {
                self.flaw(name, format!("a whole number from 0 to {} is expected, not {value}", u32::MAX));
                default
            }),
        }
    }

    fn flag(&mut self, members: &Map<String, Value>, name: &str) -> bool {
        match members.get(name) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(value) => {
                self.flaw(name, format!("true or false is expected, not {value}"));
                false
            }
        }
    }

    /// Milliseconds since 1970, or a date and time with its zone.
    fn time(&mut self, members: &Map<String, Value>, name: &str) -> LogTime {
        let Some(value) = members.get(name) else { return LogTime(0) };
        let text = value.as_str().and_then(|text| humantime::parse_rfc3339(text).ok());
        let since = text.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let ms = since.and_then(|since| u64::try_from(since.as_millis()).ok()).or_else(|| value.as_u64());
        LogTime(ms.unwrap_or_else(|| {
            self.flaw(
                name,
                format!("milliseconds since 1970 or a time as 2026-11-27T09:00:00Z is expected, not {value}"),
            );
            0
        }))
    }

    fn terms(&mut self, terms: &SaleTerms) {
        let durations = [
            ("hold_ttl_ms", terms.hold_ttl_ms),
            ("payment_window_ms", terms.payment_window_ms),
            ("offer_ttl_ms", terms.offer_ttl_ms),
            ("hold_total_max_ms", terms.hold_total_max_ms),
        ];
        for (name, ms) in durations {
            if !(1..=DURATION_MS_MAX).contains(&ms) {
                self.flaw(name, format!("1 ms to 30 days ({DURATION_MS_MAX} ms) are allowed, not {ms}"));
            }
        }
        for (name, ms) in [("hold_ttl_ms", terms.hold_ttl_ms), ("offer_ttl_ms", terms.offer_ttl_ms)] {
            if ms > terms.hold_total_max_ms {
                self.flaw(name, format!("{ms} is more than hold_total_max_ms, {}", terms.hold_total_max_ms));
            }
        }
        if terms.extend_max > EXTEND_MAX {
            self.flaw(
                "extend_max",
                format!("at most {EXTEND_MAX} extensions are allowed, not {}", terms.extend_max),
            );
        }
        if terms.closes_at.0 != 0 && terms.closes_at <= terms.opens_at {
            self.flaw("closes_at", "the sale would close before it opens");
        }
    }

    fn id(&mut self, members: &Map<String, Value>) -> String {
        let id = members.get("id").and_then(Value::as_str).unwrap_or_default();
        if id.is_empty() || id.len() > SALE_ID_BYTES_MAX {
            self.flaw("id", format!("a text of 1 to {SALE_ID_BYTES_MAX} bytes is expected"));
        }
        id.to_owned()
    }

    fn skus(&mut self, members: &Map<String, Value>, partitions: u32) -> Vec<String> {
        let Some(items) = members.get("skus").and_then(Value::as_array).filter(|items| !items.is_empty())
        else {
            self.flaw("skus", "a list of at least one SKU is expected");
            return Vec::new();
        };
        let mut skus = Vec::new();
        let mut seen = BTreeSet::new();
        let mut by_partition: BTreeMap<_, usize> = BTreeMap::new();
        for (at, item) in items.iter().enumerate() {
            let sku = item.as_str().unwrap_or_default();
            if sku.is_empty() || sku.len() > SKU_BYTES_MAX {
                self.flaw(
                    &format!("skus/{at}"),
                    format!("a text of 1 to {SKU_BYTES_MAX} bytes is expected, not {item}"),
                );
            } else if !seen.insert(sku) {
                self.flaw(&format!("skus/{at}"), format!("{sku} is named twice"));
            } else {
                *by_partition.entry(partition_of(sku, partitions)).or_default() += 1;
                skus.push(sku.to_owned());
            }
        }
        for (partition, count) in by_partition.into_iter().filter(|(_, count)| *count > SALE_SKUS_MAX) {
            self.flaw(
                "skus",
                format!(
                    "{count} SKUs lie in partition {partition} of {partitions}; {SALE_SKUS_MAX} are allowed"
                ),
            );
        }
        skus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaws(value: &Value) -> Vec<String> {
        SaleFile::check(value, 4).1.into_iter().map(|flaw| flaw.pointer).collect()
    }

    #[test]
    fn a_sale_needs_an_id_and_skus_and_nothing_else() {
        let (file, flaws) = SaleFile::check(&json!({"id": "s", "skus": ["A1"]}), 4);
        assert_eq!(flaws, []);
        let file = file.unwrap();
        assert_eq!(file.terms, SaleTerms::default());
        assert!(file.terms.are_valid());
    }

    #[test]
    fn everything_that_is_wrong_is_said() {
        let sale = json!({"id": "", "skus": ["A1", "A1", ""], "hold_ttl": 1, "hold_ttl_ms": 0, "waitlist": 1,
            "opens_at": "2026-11-27T09:00:00Z", "closes_at": "2026-11-27T08:00:00Z", "extend_max": -1});
        let mut found = flaws(&sale);
        found.sort();
        let expected = [
            "/closes_at",
            "/extend_max",
            "/hold_ttl",
            "/hold_ttl_ms",
            "/id",
            "/skus/1",
            "/skus/2",
            "/waitlist",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_not_flawed_is_valid_for_the_machine() {
        for (key, value) in [("hold_ttl_ms", 2_592_000_000u64), ("extend_max", 15), ("offer_ttl_ms", 1)] {
            let mut sale = json!({"id": "s", "skus": ["A1"], "hold_total_max_ms": 2_592_000_000u64});
            sale[key] = json!(value);
            let (file, flaws) = SaleFile::check(&sale, 4);
            assert_eq!(flaws, [], "{key}");
            assert!(file.unwrap().terms.are_valid(), "{key}");
            sale[key] = json!(value + 2_592_000_000);
            let (_, flaws) = SaleFile::check(&sale, 4);
            assert!(!flaws.is_empty(), "{key}");
        }
    }

    #[test]
    fn a_time_may_be_written_for_people() {
        let sale = json!({"id": "s", "skus": ["A1"], "opens_at": "2023-11-14T22:13:20Z"});
        assert_eq!(SaleFile::check(&sale, 4).0.unwrap().body()["opens_at"], json!(1_700_000_000_000u64));
    }
}
