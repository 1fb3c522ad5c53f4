//! The smaller panels: latencies, stock, answers by status, errors, and what was said.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{DIM, Scene, lines, most_first, panel, share, stock_bar, stock_text, told};
use crate::live::words::{cells, grouped, ms, one_line};
use crate::results::Quantiles;

/// Room for the name of a status, its number and its share.
const STATUS_WIDTH: u16 = 24;

pub(super) fn latency(frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) {
    let inside = panel(frame, area, "ms from when a request was due to its answer");
    let row = |name: &str, of: &Quantiles| {
        let time = |time| if of.count == 0 { "-".to_owned() } else { ms(time) };
        let (p50, p99, p999, max) = (time(of.p50), time(of.p99), time(of.p999), time(of.max));
        Line::raw(format!(" {name:<7}{p50:>9}{p99:>9}{p999:>9}{max:>9}"))
    };
    let nothing = Quantiles::default();
    let last = scene.now.seconds.last().map_or(&nothing, |second| &second.felt);
    let head = Line::styled(format!(" {:<7}{:>9}{:>9}{:>9}{:>9}", "", "p50", "p99", "p99.9", "max"), DIM);
    lines(frame, inside, vec![head, row("now", last), row("so far", &scene.now.felt)]);
}

pub(super) fn stock(frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) {
    let inside = panel(frame, area, "units, as buyers were told");
    let Some(stock) = &scene.now.stock else {
        return lines(frame, inside, vec![Line::styled("not known of this target", DIM)]);
    };
    lines(
        frame,
        inside,
        vec![stock_text(stock, scene.palette), stock_bar(stock, inside.width, scene.palette)],
    );
}

pub(super) fn statuses(frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) {
    let inside = panel(frame, area, "answers");
    let statuses = &scene.now.statuses;
    let all = statuses.values().sum();
    let width = inside.width.saturating_sub(STATUS_WIDTH);
    let (rows, others) = most_first(
        statuses.iter().map(|(status, number)| (status.as_str(), *number)),
        usize::from(inside.height),
    );
    let mut text: Vec<_> = rows
        .into_iter()
        .map(|(status, number)| {
            let style = scene.palette.status(status);
            let name = Span::styled(format!("{:<5}", one_line(status)), style);
            let figures = Span::raw(format!("{:>10}{} ", grouped(number), share(number, all)));
            Line::from(vec![name, figures, Span::styled("█".repeat(cells(number, all, width)), style)])
        })
        .collect();
    text.extend(others.map(|others| Line::styled(others, DIM)));
    lines(frame, inside, text);
}

pub(super) fn errors(frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) {
    let inside = panel(frame, area, "refusals and errors");
    let sum = &scene.now.requests;
    let own = [("(timed out)", sum.timed_out), ("(broken)", sum.broken), ("(never sent)", sum.dropped)];
    let codes = scene.now.codes.iter().map(|(code, number)| (code.as_str(), *number));
    let (rows, others) = most_first(own.into_iter().chain(codes), usize::from(inside.height));
    let mut text: Vec<_> = rows
        .into_iter()
        .map(|(code, number)| {
            let style = if code.starts_with('(') { scene.palette.bad() } else { scene.palette.refused() };
            let number = Span::raw(format!("{:>10}  ", grouped(number)));
            Line::from(vec![number, Span::styled(one_line(code), style)])
        })
        .collect();
    text.extend(others.map(|others| Line::styled(others, DIM)));
    lines(frame, inside, text);
}

pub(super) fn messages(frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) {
    let inside = panel(frame, area, "faults, messages, warnings");
    let text = told(scene, inside);
    lines(frame, inside, text);
}
