//! The picture for a small terminal: figures without frames, what matters most on top.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::{Scene, header, lines, stock_bar, stock_text, told};
use crate::live::words::{grouped, ms};

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, scene: &Scene<'_>) {
    let mut text = vec![header(scene)];
    text.extend(figures(scene));
    if let Some(stock) = &scene.now.stock {
        text.push(stock_text(stock, scene.palette));
        text.push(stock_bar(stock, area.width, scene.palette));
    }
    let height = u16::try_from(text.len()).unwrap_or(u16::MAX);
    let [top, rest] = Layout::vertical([Constraint::Length(height), Constraint::Fill(1)]).areas(area);
    lines(frame, top, text);
    let said = told(scene, rest);
    lines(frame, rest, said);
}

fn figures(scene: &Scene<'_>) -> Vec<Line<'static>> {
    let now = scene.now;
    let mut text = Vec::new();
    if let Some(last) = now.seconds.last() {
        text.push(Line::raw(format!("due {}/s  sent {}/s", grouped(last.due), grouped(last.sent))));
        let (answered, in_flight) = (grouped(last.answered), grouped(last.in_flight));
        text.push(Line::raw(format!("answered {answered}/s  in flight {in_flight}")));
        let felt = &last.felt;
        let (p50, p99, p999) = (ms(felt.p50), ms(felt.p99), ms(felt.p999));
        text.push(Line::raw(format!("p50 {p50}  p99 {p99}  p99.9 {p999} ms")));
    }
    let status = |(status, number): (&String, &u64)| {
        let style = scene.palette.status(status);
        Span::styled(format!("{status} {}  ", grouped(*number)), style)
    };
    text.push(now.statuses.iter().map(status).collect::<Vec<_>>().into());
    text
}
