//! The report as a table.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{Percentiles, Report};

impl Report {
    /// A table, and the faults in words below it.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["what the buyers were told", "", ""]);
        for (name, faults) in self.verdict.rows() {
            table.add_row([name.to_owned(), faults.to_string(), mark(faults == 0).to_owned()]);
        }
        for (name, figure, good) in self.figures() {
            table.add_row([name.to_owned(), figure, good.map_or("", mark).to_owned()]);
        }
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let verdict = if self.exact { "exact" } else { "NOT exact" };
        let faults: String = self.faults.iter().map(|it| format!("\n- {it}")).collect();
        format!("{table}\nThe sale was {verdict}.{faults}")
    }

    fn figures(&self) -> Vec<(&'static str, String, Option<bool>)> {
        let counts = &self.counts;
        let figure = |number: usize| number.to_string();
        let mut rows = vec![
            ("units sold", format!("{} of {}", counts.units_sold, self.config.units), None),
            (
                "the server counts",
                format!("{} sold, {} left", self.server.committed, self.server.available),
                Some(self.server.agrees),
            ),
            ("requests", figure(counts.requests), None),
            ("reservations granted", figure(counts.granted), None),
            (
                "  confirmed, released, expired",
                format!("{}, {}, {}", counts.confirmed, counts.released, counts.expired),
                None,
            ),
            ("refused: sold out, by sequencer", figure(counts.sold_out_by_sequencer), None),
            ("refused: sold out, by gate", figure(counts.sold_out_by_gate), None),
            ("refused: limit", figure(counts.limit_refusals), None),
            ("refused: key used for another body", figure(counts.key_conflicts), None),
            ("told again", figure(counts.told_again), None),
            ("tries without an answer", figure(counts.unanswered_tries), None),
            ("decisions and reservations read back", figure(counts.read_back), None),
        ];
        for kill in &self.kills {
            let when =
                format!("at {} ms, {} promised, {} sold", kill.at_ms, kill.units_promised, kill.units_sold);
            rows.push(("kill -9", when, None));
            rows.push(("  answered before", figure(kill.answered_before), None));
            rows.push(("  decided before, heard of after", figure(kill.decided_unheard), None));
            let back = kill.first_answer_after_ms.map_or("never".to_owned(), |ms| format!("{ms} ms"));
            rows.push(("  ready, first answer after", format!("{} ms, {back}", kill.ready_after_ms), None));
        }
        rows.push(("reserve: p50, p99, max", percentiles(&self.latency.reserve), None));
        rows.push(("confirm, release: p50, p99, max", percentiles(&self.latency.confirm_release), None));
        rows.push((
            "sale, audit",
            format!("{} ms, {} ms", self.durations_ms.sale, self.durations_ms.audit),
            None,
        ));
        rows.push((
            "the server ended in good order",
            if self.server.ended_in_order { "yes" } else { "no" }.to_owned(),
            Some(self.server.ended_in_order),
        ));
        rows
    }
}

fn mark(good: bool) -> &'static str {
    if good { "ok" } else { "FAULT" }
}

/// In milliseconds with one digit.
fn percentiles(it: &Percentiles) -> String {
    let ms = |us: u64| format!("{}.{}", us / 1_000, us % 1_000 / 100);
    format!("{}, {}, {} ms", ms(it.p50_us), ms(it.p99_us), ms(it.max_us))
}
