//! How many requests were due, sent, answered and under way, second by second, and what was done to the server meanwhile.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Block, Sparkline, SparklineBar};

use super::{BOLD, DIM, Scene, lines};
use crate::live::words::grouped;
use crate::results::{FaultMark, Second};

/// Room for a name and a number.
const NAME_WIDTH: u16 = 22;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) {
    let sum = &scene.now.requests;
    let so_far = format!(
        " so far {} due, {} sent, {} answered ",
        grouped(sum.due),
        grouped(sum.sent),
        grouped(sum.answered)
    );
    let block = Block::bordered().border_style(DIM).title(Line::styled(" requests each second ", BOLD));
    let block = block.title_bottom(Line::raw(so_far));
    let inside = block.inner(area);
    frame.render_widget(block, area);

    let room = usize::from(inside.width.saturating_sub(NAME_WIDTH));
    let seconds = &scene.now.seconds;
    let seconds = &seconds[seconds.len().saturating_sub(room)..];
    let rows = [
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ];
    let [due, sent, answered, in_flight, marks] = Layout::vertical(rows).areas(inside);
    // One scale for all rates: whether what was sent is what was due must be seen at a glance.
    let most = seconds.iter().map(|it| it.due.max(it.sent).max(it.answered)).max().unwrap_or(0).max(1);
    let style = scene.palette.bar();
    row(frame, due, &Row { name: "due", unit: "/s", most, style }, seconds, |it| it.due);
    row(frame, sent, &Row { name: "sent", unit: "/s", most, style }, seconds, |it| it.sent);
    let style = scene.palette.good();
    row(frame, answered, &Row { name: "answered", unit: "/s", most, style }, seconds, |it| it.answered);
    let most = seconds.iter().map(|it| it.in_flight).max().unwrap_or(0).max(1);
    let style = scene.palette.refused();
    row(frame, in_flight, &Row { name: "in flight", unit: "", most, style }, seconds, |it| it.in_flight);
    let faults = marks_under(seconds, &scene.now.faults);
    if faults.contains('▲') || faults.contains('─') {
        let [name, line] =
            Layout::horizontal([Constraint::Length(NAME_WIDTH), Constraint::Fill(1)]).areas(marks);
        lines(frame, name, vec![Line::raw(" faults")]);
        lines(frame, line, vec![Line::styled(faults, scene.palette.bad())]);
    }
}

struct Row {
    name: &'static str,
    unit: &'static str,
    /// The number whose bar is full.
    most: u64,
    style: Style,
}

fn row(frame: &mut Frame<'_>, area: Rect, row: &Row, seconds: &[Second], figure: impl Fn(&Second) -> u64) {
    let [name, chart] = Layout::horizontal([Constraint::Length(NAME_WIDTH), Constraint::Fill(1)]).areas(area);
    let last = grouped(seconds.last().map_or(0, &figure));
    // The name stands where the bars do.
    let mut text = vec![Line::raw(""); usize::from(area.height.saturating_sub(1))];
    text.push(Line::raw(format!(" {:<9} {last:>8}{}", row.name, row.unit)));
    lines(frame, name, text);
    let bars = seconds.iter().map(|second| SparklineBar::from(figure(second)).style(row.style));
    frame.render_widget(Sparkline::default().data(bars.collect::<Vec<_>>()).max(row.most), chart);
}

/// A mark under each second in which a fault began, and a stroke under those through which it went on.
pub(super) fn marks_under(seconds: &[Second], faults: &[FaultMark]) -> String {
    let mark = |second: &Second| {
        // Exact for thousands of years.
        let (from, to) = (second.second as f64, second.second as f64 + 1.0);
        let begins = |fault: &FaultMark| fault.at_s >= from && fault.at_s < to;
        let goes_on = |fault: &FaultMark| fault.at_s < from && fault.until_s.is_none_or(|until| until > from);
        if faults.iter().any(begins) {
            '▲'
        } else if faults.iter().any(goes_on) {
            '─'
        } else {
            ' '
        }
    };
    seconds.iter().map(mark).collect()
}
