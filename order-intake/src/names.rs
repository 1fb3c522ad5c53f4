//! What SKUs and sale ids look like.

/// Says what is wrong with a name that may have `bytes_max` bytes.
///
/// Control characters are refused because names end in logs, tables and terminals. The machine would take them.
pub(crate) fn check_name(name: &str, bytes_max: usize) -> Result<(), String> {
    if name.is_empty() || name.len() > bytes_max {
        return Err(format!("1 to {bytes_max} bytes"));
    }
    // Most names are plain ASCII, and this is done for every line of every request.
    let is_plain = name.bytes().all(|byte| matches!(byte, 0x20..0x7f));
    if is_plain || !name.chars().any(char::is_control) { Ok(()) } else { Err("no control characters".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_text() {
        for name in ["A", "A 1/ü🎟", "x".repeat(64).as_str()] {
            assert_eq!(check_name(name, 64), Ok(()), "{name}");
        }
        for name in ["", "x".repeat(65).as_str(), "A\n", "\0", "A\u{7f}", "A\u{85}"] {
            assert!(check_name(name, 64).is_err(), "{name:?}");
        }
    }
}
