//! The interval log: a histogram for each second and kind of request, as HdrHistogram's log tools read it.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError, Tag};
use hdrhistogram::serialization::{V2DeflateSerializeError, V2DeflateSerializer};

/// Why a line of the log could not be written.
#[derive(Debug, thiserror::Error)]
pub enum HlogError {
    /// A tag may hold neither spaces nor commas nor line ends.
    #[error("`{0}` cannot be a tag of an interval log")]
    Tag(String),
    /// A histogram could not be put in a line.
    #[error("cannot put a histogram in the interval log")]
    Histogram(#[source] V2DeflateSerializeError),
    /// The log could not be written to.
    #[error("cannot write the interval log")]
    Write(#[source] io::Error),
}

/// Writes an interval log as a run goes.
///
/// Times in it count from T0, which its head tells. Values are microseconds, also the greatest of an interval, which other
/// tools ignore and people read.
pub struct Writer<W: Write> {
    out: W,
    // Kept, because its buffers are as large as the histograms.
    serializer: V2DeflateSerializer,
}

impl<W: Write> Writer<W> {
    /// Begins a log. `started` is T0, `about` a word on what this is the log of.
    ///
    /// # Errors
    /// [`HlogError::Write`].
    pub fn begin(mut out: W, about: &str, started: SystemTime) -> Result<Self, HlogError> {
        let mut serializer = V2DeflateSerializer::new();
        IntervalLogWriterBuilder::new()
            .add_comment("[Histogram log format version 1.3]")
            .add_comment(&format!("[{}; values are microseconds]", about.replace(char::is_control, " ")))
            .with_start_time(started)
            .with_base_time(started)
            .begin_log_with(&mut out, &mut serializer)
            .map_err(HlogError::Write)?;
        out.write_all(
            b"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
        )
        .map_err(HlogError::Write)?;
        Ok(Self { out, serializer })
    }

    /// Adds what was measured in an interval. `start` counts from T0; `tag` is the kind of request. Intervals must come in
    /// the order of their starts, and one in which nothing was measured may be left out or not.
    ///
    /// # Errors
    /// [`HlogError`]; after [`HlogError::Write`] the log may end in half a line.
    pub fn write(
        &mut self,
        start: Duration,
        length: Duration,
        tag: &str,
        histogram: &Histogram<u64>,
    ) -> Result<(), HlogError> {
        let tag = Tag::new(tag).ok_or_else(|| HlogError::Tag(tag.to_owned()))?;
        // Without anything for the head this writes none, and borrows for one line only.
        IntervalLogWriterBuilder::new()
            .begin_log_with(&mut self.out, &mut self.serializer)
            .map_err(HlogError::Write)?
            .write_histogram(histogram, start, length, Some(tag))
            .map_err(|error| match error {
                IntervalLogWriterError::SerializeError(error) => HlogError::Histogram(error),
                IntervalLogWriterError::IoError(error) => HlogError::Write(error),
            })
    }

    /// Ends the log: what was written is handed on, and the place it was written to given back.
    ///
    /// # Errors
    /// [`HlogError::Write`].
    pub fn finish(mut self) -> Result<W, HlogError> {
        self.out.flush().map_err(HlogError::Write)?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;

    fn histogram(us: u64) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        histogram.record(us).unwrap();
        histogram
    }

    #[test]
    fn what_is_logged_can_be_read_back() {
        let started = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
        let mut writer = Writer::begin(Vec::new(), "a\nsale", started).unwrap();
        let second = Duration::from_secs(1);
        writer.write(Duration::ZERO, second, "reserve", &histogram(700)).unwrap();
        writer.write(second, second, "look", &histogram(30)).unwrap();
        let log = writer.finish().unwrap();

        let entries: Vec<LogEntry> = IntervalLogIterator::new(&log).collect::<Result<_, _>>().unwrap();
        let t0 = Duration::from_millis(1_700_000_000_250);
        assert_eq!(entries[..2], [LogEntry::StartTime(t0), LogEntry::BaseTime(t0)]);
        let intervals: Vec<_> = entries[2..]
            .iter()
            .map(|entry| match entry {
                LogEntry::Interval(it) => it,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(intervals.len(), 2);
        assert_eq!(intervals[1].tag().unwrap().as_str(), "look");
        assert_eq!((intervals[1].start_timestamp(), intervals[1].duration()), (second, second));
        for (interval, us) in intervals.iter().zip([700, 30]) {
            let bytes = STANDARD.decode(interval.encoded_histogram()).unwrap();
            let again: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
            assert_eq!(again, histogram(us));
        }
    }

    #[test]
    fn a_tag_that_would_break_the_line_is_refused() {
        let mut writer = Writer::begin(Vec::new(), "a sale", SystemTime::UNIX_EPOCH).unwrap();
        let second = Duration::from_secs(1);
        let refused = writer.write(Duration::ZERO, second, "re,serve", &histogram(1));
        assert!(matches!(refused, Err(HlogError::Tag(tag)) if tag == "re,serve"));
    }
}
