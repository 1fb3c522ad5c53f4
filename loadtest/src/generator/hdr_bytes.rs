//! Histograms as bytes, for other processes: the V2 form of HDR histograms, in which every count is kept.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize};

use super::histogram;

pub(crate) fn serialize<S: serde::Serializer>(
    told: &Histogram<u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(told, &mut bytes).map_err(S::Error::custom)?;
    bytes.serialize(serializer)
}

/// Only those are taken that can be added to ours without any count changing its place.
pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Histogram<u64>, D::Error> {
    let bytes = Vec::<u8>::deserialize(deserializer)?;
    let told: Histogram<u64> =
        Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(D::Error::custom)?;
    let ours = histogram();
    let bounds = |it: &Histogram<u64>| (it.low(), it.high(), it.sigfig());
    if bounds(&told) == bounds(&ours) {
        Ok(told)
    } else {
        Err(D::Error::custom("a histogram has other bounds"))
    }
}
