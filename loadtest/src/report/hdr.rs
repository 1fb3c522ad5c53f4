//! Histograms as text, and what is read off them. The one place that knows how results hold a distribution.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{DeserializeError, Deserializer, Serializer, V2DeflateSerializer};

use crate::results::Quantiles;

const US_PER_MS: f64 = 1_000.0;

/// Why a text is not a histogram.
#[derive(Debug, thiserror::Error)]
pub enum HdrError {
    /// It is not base64.
    #[error("it is not base64")]
    Base64(#[from] base64::DecodeError),
    /// What is in the base64 is not an HDR histogram.
    #[error("it is not an HDR histogram")]
    Histogram(#[from] DeserializeError),
}

/// A histogram as results hold it: V2 with deflate, in base64. Other HDR tools read the same text.
#[must_use]
pub fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).expect("memory takes every histogram");
    STANDARD.encode(bytes)
}

/// The histogram that [`encode`] made a text of: the same counts, and the same bounds.
///
/// # Errors
/// [`HdrError`] if the text is not a histogram.
pub fn decode(text: &str) -> Result<Histogram<u64>, HdrError> {
    let bytes = STANDARD.decode(text.trim())?;
    Ok(Deserializer::new().deserialize(&mut bytes.as_slice())?)
}

/// What results say of a histogram of microseconds, in milliseconds. An empty one is all zeros.
#[must_use]
pub fn quantiles(histogram: &Histogram<u64>) -> Quantiles {
    if histogram.is_empty() {
        return Quantiles::default();
    }
    let at = |quantile| to_ms(histogram.value_at_quantile(quantile));
    Quantiles {
        count: histogram.len(),
        mean: histogram.mean() / US_PER_MS,
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: to_ms(histogram.max()),
    }
}

/// Microseconds as milliseconds. Exact below a few hundred years.
pub(crate) fn to_ms(us: u64) -> f64 {
    us as f64 / US_PER_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_ten_thousand() -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        (1..=10_000).for_each(|us| histogram.record(us * 10).unwrap());
        histogram
    }

    #[test]
    fn a_histogram_survives_being_a_text() {
        let histogram = to_ten_thousand();
        let again = decode(&encode(&histogram)).unwrap();
        assert_eq!(again, histogram);
        assert_eq!((again.low(), again.high()), (histogram.low(), histogram.high()));
    }

    #[test]
    fn quantiles_are_in_milliseconds() {
        let got = quantiles(&to_ten_thousand());
        assert_eq!(got.count, 10_000);
        for (got, wanted) in
            [(got.p50, 50.0), (got.p90, 90.0), (got.p99, 99.0), (got.p999, 99.9), (got.max, 100.0)]
        {
            assert!((got - wanted).abs() / wanted < 0.001, "{got} is not {wanted}");
        }
        assert!((got.mean - 50.005).abs() < 0.05, "{}", got.mean);
    }

    #[test]
    fn nothing_measured_is_all_zeros() {
        let empty = Histogram::new_with_bounds(1, 1_000, 3).unwrap();
        assert_eq!(quantiles(&empty), Quantiles::default());
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        assert!(matches!(decode("%%%"), Err(HdrError::Base64(_))));
        assert!(matches!(decode("aG9sZGZhc3Q="), Err(HdrError::Histogram(_))));
        assert!(matches!(decode(""), Err(HdrError::Histogram(_))));
    }
}
