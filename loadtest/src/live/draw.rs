//! The picture of a run. It is a function of the snapshot alone, for any size of terminal.

mod panels;
mod rates;
mod small;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph};

use super::words::{cells, grouped, one_line, percent, wrapped};
use super::{Phase, Snapshot, Stock};

/// With less than that there is room for figures only.
const WIDTH_MIN: u16 = 64;
const HEIGHT_MIN: u16 = 20;

/// Everything that is on the screen.
pub(super) struct Scene<'a> {
    pub(super) now: &'a Snapshot,
    /// What was said, the newest last.
    pub(super) messages: &'a [String],
    pub(super) palette: Palette,
    pub(super) keys: Keys,
}

/// Whether somebody can ask for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// Nobody listens.
    Unread,
    /// They can.
    Read,
    /// They have.
    Stop,
}

/// What may be used to set things apart. Nothing is told by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Palette {
    Colours,
    /// For those who set `NO_COLOR`.
    Plain,
}

impl Palette {
    fn of(self, colour: Color) -> Style {
        match self {
            Self::Colours => Style::new().fg(colour),
            Self::Plain => Style::new(),
        }
    }

    fn good(self) -> Style {
        self.of(Color::Green)
    }

    fn refused(self) -> Style {
        self.of(Color::Yellow)
    }

    fn bad(self) -> Style {
        self.of(Color::Red)
    }

    fn bar(self) -> Style {
        self.of(Color::Cyan)
    }

    /// A status as it went for the buyer: got something, was refused, or heard nothing of use.
    fn status(self, status: &str) -> Style {
        match status.bytes().next() {
            Some(b'2' | b'3') => self.good(),
            Some(b'4') => self.refused(),
            _ => self.bad(),
        }
    }
}

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, scene: &Scene<'_>) {
    let area = frame.area();
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        return small::draw(frame, area, scene);
    }
    let rows = [Constraint::Length(1), Constraint::Fill(4), Constraint::Length(9), Constraint::Fill(3)];
    let [top, rates, middle, bottom] = Layout::vertical(rows).areas(area);
    let [left, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(middle);
    let [latency, stock] = Layout::vertical([Constraint::Length(5), Constraint::Length(4)]).areas(left);
    let [errors, messages] = Layout::horizontal([Constraint::Fill(2), Constraint::Fill(3)]).areas(bottom);
    frame.render_widget(header(scene), top);
    rates::draw(frame, rates, scene);
    panels::latency(frame, latency, scene);
    panels::stock(frame, stock, scene);
    panels::statuses(frame, right, scene);
    panels::errors(frame, errors, scene);
    panels::messages(frame, messages, scene);
}

fn header<'a>(scene: &Scene<'a>) -> Line<'a> {
    let now = scene.now;
    let mut spans =
        vec![Span::styled(format!(" {}", now.scenario), BOLD), Span::raw(format!("  {}", time(now)))];
    match scene.keys {
        Keys::Unread => {}
        Keys::Read => spans.push(Span::styled("  q stops", DIM)),
        Keys::Stop => spans.push(Span::styled("  stopping", scene.palette.bad())),
    }
    spans.push(Span::styled(format!("  {}", now.target), DIM));
    Line::from(spans)
}

fn time(now: &Snapshot) -> String {
    match now.phase {
        Phase::Preparing | Phase::Waiting => now.phase.name().to_owned(),
        Phase::Running | Phase::Draining | Phase::Auditing | Phase::Done => {
            format!("{}  {} of {} s", now.phase.name(), now.elapsed_s, now.planned_s)
        }
    }
}

/// Draws a frame with a title, and says what is inside it.
fn panel(frame: &mut Frame<'_>, area: Rect, title: &str) -> Rect {
    let block = Block::bordered().border_style(DIM).title(Span::styled(format!(" {title} "), BOLD));
    let inside = block.inner(area);
    frame.render_widget(block, area);
    inside
}

fn lines(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>) {
    frame.render_widget(Paragraph::new(lines), area);
}

/// What is sold, held and left, in words.
fn stock_text(stock: &Stock, palette: Palette) -> Line<'static> {
    let (sold, units) = (stock.sold, stock.units);
    let text = format!("sold {} of {}", grouped(sold), grouped(units));
    if sold > units {
        let over = format!("  OVERSOLD by {}", grouped(sold - units));
        return Line::from(vec![Span::styled(text, BOLD), Span::styled(over, palette.bad().patch(BOLD))]);
    }
    let rest = format!("  held {}  left {}", grouped(stock.held), grouped(stock.left()));
    Line::from(vec![Span::styled(text, BOLD), Span::raw(rest)])
}

/// The same as a bar.
fn stock_bar(stock: &Stock, width: u16, palette: Palette) -> Line<'static> {
    let sold = cells(stock.sold, stock.units, width);
    let held = cells(stock.sold.saturating_add(stock.held), stock.units, width) - sold;
    let left = usize::from(width) - sold - held;
    Line::from(vec![
        Span::styled("█".repeat(sold), palette.good()),
        Span::styled("▒".repeat(held), palette.refused()),
        Span::styled("░".repeat(left), DIM),
    ])
}

/// Faults, what was said, and warnings, so many lines of them as there is room for: the newest, and warnings first of all.
fn told(scene: &Scene<'_>, area: Rect) -> Vec<Line<'static>> {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let palette = scene.palette;
    let faults = scene.now.faults.iter().map(|fault| {
        let until = fault.until_s.map_or(String::new(), |until| format!(" until {until:.1} s"));
        (format!("▲ {:.1} s{until} {}", fault.at_s, fault.what), palette.refused())
    });
    let messages = scene.messages.iter().map(|message| (message.clone(), Style::new()));
    let warnings = scene.now.warnings.iter().map(|warning| (format!("! {warning}"), palette.bad()));
    let all = faults.chain(messages).chain(warnings);
    let mut lines: Vec<_> = all
        .flat_map(|(text, style)| {
            wrapped(&one_line(&text), width).into_iter().map(move |line| Line::styled(line, style))
        })
        .collect();
    lines.split_off(lines.len().saturating_sub(height))
}

/// Those that are most, and how many others there are.
fn most_first<'a>(
    counts: impl Iterator<Item = (&'a str, u64)>,
    rows: usize,
) -> (Vec<(&'a str, u64)>, Option<String>) {
    let mut counts: Vec<_> = counts.filter(|(_, number)| *number > 0).collect();
    counts.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    if counts.len() <= rows {
        return (counts, None);
    }
    let others = counts.split_off(rows.saturating_sub(1));
    let sum = others.iter().map(|(_, number)| number).sum();
    (counts, Some(format!("and {} others, {} times", others.len(), grouped(sum))))
}

/// A number's share of all, as it stands behind it.
fn share(part: u64, whole: u64) -> String {
    format!("{:>8}", percent(part, whole))
}

#[cfg(test)]
mod tests;
