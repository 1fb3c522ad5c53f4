//! Values of settings, and which of them are shown to nobody.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::ConfigError;

/// What is shown in place of a secret.
pub(super) const MASK: &str = "***";
/// No value that comes from a file is larger.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// Where the value of a setting comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// It stands there.
    Text(String),
    /// It is what the file holds, without a line break at its end. Others than the file's owner must not be able to read
    /// it if it is a secret.
    File(PathBuf),
    /// It is what the environment variable holds.
    Env(String),
}

impl Value {
    /// The value itself.
    ///
    /// # Errors
    /// If the file or the variable cannot be read, or others may read the file.
    pub(super) fn resolve(&self, key: &str) -> Result<String, ConfigError> {
        let source = |what: String| ConfigError::Source { key: key.to_owned(), what };
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Env(name) => std::env::var(name)
                .map_err(|_| source(format!("the environment variable {name} is not set, or is no text"))),
            Self::File(file) => read(key, file),
        }
    }

    /// What may be shown of it.
    pub(super) fn shown(&self, key: &str) -> String {
        match self {
            Self::Text(_) if is_secret(key) => MASK.to_owned(),
            Self::Text(text) => text.clone(),
            Self::File(file) => format!("file {}", file.display()),
            Self::Env(name) => format!("env {name}"),
        }
    }
}

fn read(key: &str, file: &Path) -> Result<String, ConfigError> {
    let source = |what: String| ConfigError::Source { key: key.to_owned(), what };
    let unreadable = |error: std::io::Error| source(format!("{} cannot be read: {error}", file.display()));
    let opened = File::open(file).map_err(unreadable)?;
    let mode = opened.metadata().map_err(unreadable)?.permissions().mode();
    if is_secret(key) && mode & 0o077 != 0 {
        return Err(ConfigError::ReadableByOthers { key: key.to_owned(), file: file.to_owned() });
    }
    let mut text = String::new();
    // What is no text is not shown: it may be most of a secret.
    let read = opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    let size =
        read.map_err(|error| source(format!("{} cannot be read: {}", file.display(), error.kind())))?;
    if size as u64 > FILE_BYTES_MAX {
        return Err(source(format!("{} is larger than {FILE_BYTES_MAX} bytes", file.display())));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// A value is not known to be a secret without the name of its setting, so none is shown.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str(MASK),
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
        }
    }
}

/// Whether the value of a setting must not be shown.
pub(super) fn is_secret(key: &str) -> bool {
    const PARTS: &[&str] = &["password", "passphrase", "secret", "key.pem", "oauthbearer.config", "jaas"];
    PARTS.iter().any(|part| key.contains(part))
}

/// The settings as they may be shown.
pub(super) fn masked(settings: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    let shown = |key: &str, value| if is_secret(key) { MASK } else { value };
    settings.iter().map(|(key, value)| (key.as_str(), shown(key, value))).collect()
}
