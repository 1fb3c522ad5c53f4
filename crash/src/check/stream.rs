//! The decisions topic as a conforming reader sees it.

use std::collections::BTreeMap;

use holdfast_contracts::decision::{DecisionBatch, decode_decisions, split_chain};

use super::verdict::{Counts, Findings, Promise};
use crate::evidence::{DumpRecord, Evidence, Place};

/// An output that a reader applies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output<'a> {
    pub(super) record: &'a DumpRecord,
    pub(super) batch: DecisionBatch<'a>,
}

/// The outputs of a partition, by the command record they answer, in the order in which a reader applies them.
pub(super) type Outputs<'a> = BTreeMap<u64, Output<'a>>;

/// Reads the outputs of a partition: takes `out_seq = last + 1`, drops lower ones after comparing them, waits at a gap.
pub(super) fn read<'a>(
    evidence: &'a Evidence,
    partition: u32,
    findings: &mut Findings,
    counts: &mut Counts,
) -> Outputs<'a> {
    let mut reader =
        Reader { partition, last: 0, chain: [0; 16], first: BTreeMap::new(), outputs: BTreeMap::new() };
    let mut expected = None;
    for record in evidence.decisions.of(partition) {
        let place = Place { partition, offset: record.offset, index: 0 };
        if *expected.get_or_insert(0) != record.offset {
            findings.unmet(format!(
                "the dump of decisions of partition {partition} has a hole before offset {}",
                record.offset
            ));
        }
        expected = Some(record.offset + 1);
        match decode_decisions(&record.payload) {
            Ok(batch) => reader.take(Output { record, batch }, findings, counts),
            Err(error) => findings.broken(
                Promise::S7,
                Some(place),
                &[],
                format!("a record of the decisions topic is not a decision record: {error}"),
            ),
        }
    }
    reader.finish(findings);
    reader.outputs
}

struct Reader<'a> {
    partition: u32,
    last: u64,
    chain: [u8; 16],
    /// The first copy of every number, applied or not.
    first: BTreeMap<u64, &'a DumpRecord>,
    outputs: Outputs<'a>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, output: Output<'a>, findings: &mut Findings, counts: &mut Counts) {
        let number = output.batch.envelope.out_seq.0;
        let place = Place { partition: self.partition, offset: output.record.offset, index: 0 };
        counts.add("decision_records", 1);
        if let Some(first) = self.first.get(&number) {
            if first.payload != output.record.payload {
                let what = format!(
                    "output {number} is in the topic twice with other bytes, first at offset {}",
                    first.offset
                );
                findings.broken(Promise::S7, Some(place), &[], what);
            }
        } else {
            self.first.insert(number, output.record);
        }
        if number <= self.last {
            counts.add("duplicate_outputs", 1);
        } else if number == self.last + 1 {
            self.apply(output, place, findings);
        } else {
            // A gap that somebody fills later; what came before it was filled is not applied.
            counts.add("outputs_beyond_gap", 1);
        }
    }

    fn apply(&mut self, output: Output<'a>, place: Place, findings: &mut Findings) {
        let number = output.batch.envelope.out_seq.0;
        self.last = number;
        match split_chain(&output.record.payload) {
            None => findings.broken(
                Promise::S7,
                Some(place),
                &[],
                format!("output {number} does not end with its chain"),
            ),
            Some((body, chain)) => {
                let input = [&self.chain[..], body].concat();
                if blake3::hash(&input).as_bytes()[..16] != chain.0 {
                    let what =
                        format!("the chain of output {number} does not follow from the outputs before it");
                    findings.broken(Promise::S7, Some(place), &[], what);
                }
                self.chain = chain.0;
            }
        }
        let source = output.batch.envelope.source_offset.0;
        if let Some((&before, _)) = self.outputs.last_key_value()
            && before >= source
        {
            let what = format!(
                "output {number} answers command record {source}, but one before it answered {before}"
            );
            findings.broken(Promise::S5, Some(place), &[], what);
        }
        self.outputs.entry(source).or_insert(output);
    }

    fn finish(&self, findings: &mut Findings) {
        let highest = self.first.last_key_value().map_or(0, |(number, _)| *number);
        if highest > self.last {
            let what = format!(
                "outputs end with a gap: a reader stops after {}, but there is a {highest}",
                self.last
            );
            findings.broken(
                Promise::S7,
                Some(Place { partition: self.partition, offset: 0, index: 0 }),
                &[],
                what,
            );
        }
    }
}
