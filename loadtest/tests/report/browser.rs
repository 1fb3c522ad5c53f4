//! Opens a page in a browser, as somebody would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Names under which systems have it.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Where the pages and pictures of the documentation are to be put, if somebody wants them.
pub(crate) const PICTURES: &str = "HOLDFAST_REPORT_PICTURES";

/// A page in a directory of its own.
pub(crate) struct Page {
    directory: TempDir,
}

impl Page {
    pub(crate) fn new(html: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("page.html"), html).unwrap();
        Self { directory }
    }

    fn open(&self, arguments: &[String]) -> Output {
        let found = |name: &str| {
            let path = std::env::var_os("PATH")?;
            std::env::split_paths(&path).map(|it| it.join(name)).find(|it| it.is_file())
        };
        let browser: PathBuf =
            NAMES.iter().find_map(|it| found(it)).expect("scripts/setup installs chromium");
        let profile = tempfile::tempdir().unwrap();
        let output = Command::new(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--virtual-time-budget=5000"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(arguments)
            .arg(format!("file://{}", self.directory.path().join("page.html").display()))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// What the page has become when its scripts have run.
    pub(crate) fn dom(&self) -> String {
        String::from_utf8(self.open(&["--dump-dom".into()]).stdout).unwrap()
    }

    /// How it looks in a window of that size.
    pub(crate) fn screenshot(&self, file: &Path, width: u32, height: u32) {
        self.open(&[format!("--screenshot={}", file.display()), format!("--window-size={width},{height}")]);
    }
}

/// What the page says of itself on `<html>`; nothing if it does not say it.
pub(crate) fn told<'a>(dom: &'a str, name: &str) -> Option<&'a str> {
    let head = &dom[dom.find("<html")?..];
    let head = &head[..head.find('>')?];
    let value = head.split_once(&format!("data-{name}=\""))?.1;
    value.split('"').next()
}

pub(crate) fn number(dom: &str, name: &str) -> u64 {
    let value = told(dom, name).unwrap_or_else(|| panic!("the page does not tell its {name}"));
    value.parse().unwrap()
}
