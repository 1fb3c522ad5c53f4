//! The page of cases names tests; each of them must exist.

use std::path::Path;

/// What `docs/semantics.md` promises and the workspace does not keep, one sentence each.
pub(crate) fn violations(root: &Path, page: &str) -> Vec<String> {
    let mut violations = Vec::new();
    for row in page.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let named: Vec<_> = row.split('`').filter_map(|part| part.split_once(".rs: ")).collect();
        if named.is_empty() {
            violations.push(format!("no test is named for: {row}"));
        }
        for (file, test) in named {
            let text = std::fs::read_to_string(root.join(file).with_extension("rs")).unwrap_or_default();
            if !text.contains(&format!("fn {test}(")) {
                violations.push(format!("{file}.rs has no test {test}"));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_not_there_is_noticed() {
        let root = crate::package_root();
        let page = |cell: &str| format!("| case | test |\n|---|---|\n| a case | {cell} |\n");
        let here = "`tests/rooms/semantics.rs: a_test_that_is_not_there_is_noticed`";
        assert_eq!(violations(&root, &page(here)), Vec::<String>::new());
        assert_eq!(violations(&root, &page("`tests/rooms/semantics.rs: another`")).len(), 1);
        assert_eq!(violations(&root, &page("`tests/rooms/nowhere.rs: another`")).len(), 1);
        assert_eq!(violations(&root, &page("nothing")).len(), 1);
    }
}
