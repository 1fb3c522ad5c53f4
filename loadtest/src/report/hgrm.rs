//! A distribution as the text that HdrHistogram's plotter reads.

use std::io::{self, Write};

use hdrhistogram::Histogram;

use super::hdr::to_ms;

/// Lines between a percentile and the one half as far from 100. The other tools' usual value.
const TICKS_PER_HALF: u32 = 5;

/// Writes the percentiles of a histogram of microseconds in HdrHistogram's percentile output format, in milliseconds.
///
/// # Errors
/// Whatever `out` says.
pub fn hgrm(histogram: &Histogram<u64>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF) {
        total += step.count_since_last_iteration();
        let (value, quantile) = (to_ms(step.value_iterated_to()), step.quantile_iterated_to());
        write!(out, "{value:12.3} {quantile:2.12} {total:10}")?;
        // The last line has no fourth column: readers take what they find there for a number.
        if quantile < 1.0 {
            write!(out, " {:14.2}", 1.0 / (1.0 - quantile))?;
        }
        writeln!(out)?;
    }
    let (mean, deviation) = (histogram.mean() / 1_000.0, histogram.stdev() / 1_000.0);
    writeln!(out, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]")?;
    writeln!(out, "#[Max     = {:12.3}, Total count    = {:12}]", to_ms(histogram.max()), histogram.len())?;
    let values = histogram.distinct_values();
    writeln!(out, "#[Buckets = {:12}, SubBuckets     = {values:12}]", histogram.buckets())
}
