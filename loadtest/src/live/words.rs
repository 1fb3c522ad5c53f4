//! Figures as people read them.

/// With a comma between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds with one digit, or with none where it says nothing any more.
pub(super) fn ms(time: f64) -> String {
    if time < 1_000.0 { format!("{time:.1}") } else { format!("{time:.0}") }
}

/// So many of so many, in percent.
pub(super) fn percent(part: u64, whole: u64) -> String {
    // Exact up to 2^53, which is more than anybody sends.
    let share = if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 };
    format!("{share:.1} %")
}

/// Cells of a bar of that width.
pub(super) fn cells(part: u64, whole: u64, width: u16) -> usize {
    if whole == 0 {
        return 0;
    }
    let cells = u128::from(part.min(whole)) * u128::from(width) / u128::from(whole);
    usize::try_from(cells).unwrap_or(0)
}

/// Without line breaks and other control characters, which would break a line or a screen.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

/// Broken at spaces into lines of that many characters; a longer word is cut.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for piece in letters.chunks(width.max(1)) {
            let space = usize::from(length > 0);
            if length + space + piece.len() > width && length > 0 {
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            if length > 0 {
                line.push(' ');
                length += 1;
            }
            line.extend(piece);
            length += piece.len();
        }
    }
    if length > 0 {
        lines.push(line);
    }
    lines
}
