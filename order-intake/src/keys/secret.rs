//! Files with secrets: made once, readable by their owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use holdfast_contracts::ControlKey;

use super::KeyError;

/// No secret is larger.
const SECRET_BYTES_MAX: u64 = 4_096;

/// What a fingerprint is derived for; a key used in this way tells nothing about its other uses.
const FINGERPRINT: &str = "holdfast reservation id key, fingerprint, 1";
const FINGERPRINT_BYTES: usize = 16;

/// The 32 bytes that reservation ids and customers' pseudonyms are derived with.
///
/// Another key gives every customer another pseudonym and every idempotency key another reservation id: whatever was
/// decided with this one cannot be found again.
#[derive(Clone, PartialEq, Eq)]
pub struct IdKey(pub(crate) [u8; 32]);

impl IdKey {
    /// Reads the key. None if there is no such file.
    ///
    /// # Errors
    /// [`KeyError`], also when others may read the file.
    pub fn read(file: &Path) -> Result<Option<Self>, KeyError> {
        read_if_there(file)?.map(|bytes| Self::of(file, &bytes)).transpose()
    }

    /// Reads the key, or makes one if the file is missing. Either way it is durable then.
    ///
    /// # Errors
    /// [`KeyError`], also when others may read the file.
    pub fn open_or_create(file: &Path) -> Result<Self, KeyError> {
        let bytes = read_or_create(file, || {
            let mut key = vec![0; 32];
            getrandom::fill(&mut key).map_err(|_| KeyError::Random)?;
            Ok(key)
        })?;
        let key = Self::of(file, &bytes)?;
        // Whoever made it may have been interrupted before it was.
        let io = |source| KeyError::Io { file: file.to_owned(), source };
        File::open(file).and_then(|key| key.sync_all()).map_err(io)?;
        File::open(directory_of(file)).and_then(|it| it.sync_all()).map_err(io)?;
        Ok(key)
    }

    fn of(file: &Path, bytes: &[u8]) -> Result<Self, KeyError> {
        secret_of(file, bytes).map(Self)
    }

    /// What tells this key from another and says nothing else about it: 32 hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let derived = blake3::derive_key(FINGERPRINT, &self.0);
        derived[..FINGERPRINT_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for IdKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdKey").finish_non_exhaustive()
    }
}

/// Reads the control key from a file of exactly 32 bytes. None if there is no such file: it is never made on the way, for
/// all processes of a log must have the same one.
///
/// # Errors
/// [`KeyError`], also when others may read the file.
pub fn read_control_key(file: &Path) -> Result<Option<ControlKey>, KeyError> {
    let secret = read_if_there(file)?.map(|bytes| secret_of(file, &bytes)).transpose()?;
    Ok(secret.map(|secret| ControlKey::new(&secret)))
}

/// Makes a control key and writes it to a file that is its owner's and durable when this returns.
///
/// # Errors
/// [`KeyError::Exists`] if there is such a file, whatever is in it; [`KeyError`] if it cannot be written.
pub fn create_control_key(file: &Path) -> Result<ControlKey, KeyError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|_| KeyError::Random)?;
    if write_new(file, &secret)? {
        Ok(ControlKey::new(&secret))
    } else {
        Err(KeyError::Exists(file.to_owned()))
    }
}

fn secret_of(file: &Path, bytes: &[u8]) -> Result<[u8; 32], KeyError> {
    let what = || format!("expected exactly 32 bytes, found {}", bytes.len());
    bytes.try_into().map_err(|_| KeyError::Malformed { file: file.to_owned(), what: what() })
}

fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Reads a secret, or writes the one that `make` makes. Of several processes that find none, one makes it.
pub(super) fn read_or_create(
    file: &Path,
    make: impl FnOnce() -> Result<Vec<u8>, KeyError>,
) -> Result<Vec<u8>, KeyError> {
    if let Some(secret) = read_if_there(file)? {
        return Ok(secret);
    }
    let secret = make()?;
    if write_new(file, &secret)? { Ok(secret) } else { read(file) }
}

/// Writes a secret to a file that is its owner's. False if there is one already, which stays as it is.
fn write_new(file: &Path, secret: &[u8]) -> Result<bool, KeyError> {
    let io = |source| KeyError::Io { file: file.to_owned(), source };
    let directory = directory_of(file);
    fs::create_dir_all(directory).map_err(io)?;
    // Written aside and linked into place whole: nobody reads half a key, and nobody's key is replaced.
    let aside = directory.join(format!(".{}.{}", std::process::id(), nonce()?));
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(io)?;
    let linked = new
        .write_all(secret)
        .and_then(|()| new.sync_all())
        .and_then(|()| fs::hard_link(&aside, file))
        .and_then(|()| File::open(directory)?.sync_all());
    fs::remove_file(&aside).map_err(io)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(io(error)),
    }
}

fn nonce() -> Result<u64, KeyError> {
    getrandom::u64().map_err(|_| KeyError::Random)
}

/// Reads a secret. None if there is no such file.
pub(super) fn read_if_there(file: &Path) -> Result<Option<Vec<u8>>, KeyError> {
    match read(file) {
        Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, KeyError> {
    let io = |source| KeyError::Io { file: file.to_owned(), source };
    let opened = File::open(file).map_err(io)?;
    let mode = opened.metadata().map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeyError::ReadableByOthers(file.to_owned()));
    }
    let mut bytes = Vec::new();
    opened.take(SECRET_BYTES_MAX).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("deep/er/id.key");
        let first = IdKey::open_or_create(&file).unwrap();
        let again = IdKey::open_or_create(&file).unwrap();
        assert_eq!(first.0, again.0);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("id.key");
        IdKey::open_or_create(&file).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(IdKey::open_or_create(&file), Err(KeyError::ReadableByOthers(_))));
        }
    }

    #[test]
    fn a_control_key_is_made_when_that_is_asked_for_and_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("deep/control.key");
        assert_eq!(read_control_key(&file).unwrap(), None);
        assert!(!file.exists());
        let made = create_control_key(&file).unwrap();
        assert_eq!(read_control_key(&file).unwrap(), Some(made));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(create_control_key(&file), Err(KeyError::Exists(_))));
        assert_eq!(read_control_key(&file).unwrap(), Some(made));
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        assert_ne!(create_control_key(&directory.path().join("other.key")).unwrap(), made);
    }

    #[test]
    fn a_control_key_that_others_may_read_or_of_another_length_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("control.key");
        create_control_key(&file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read_control_key(&file), Err(KeyError::ReadableByOthers(_))));
        let short = directory.path().join("short.key");
        read_or_create(&short, || Ok(vec![1; 33])).unwrap();
        assert!(matches!(read_control_key(&short), Err(KeyError::Malformed { .. })));
    }

    #[test]
    fn a_fingerprint_is_that_of_one_key_and_not_the_key() {
        let (one, other) = (IdKey([7; 32]), IdKey([8; 32]));
        assert_eq!(one.fingerprint(), one.clone().fingerprint());
        assert_ne!(one.fingerprint(), other.fingerprint());
        assert_eq!(one.fingerprint().len(), 2 * FINGERPRINT_BYTES);
        assert!(!one.fingerprint().contains("0707"), "the key shows: {}", one.fingerprint());
    }

    #[test]
    fn a_missing_key_is_only_made_when_that_is_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("id.key");
        assert_eq!(IdKey::read(&file).unwrap(), None);
        assert!(!file.exists());
        let made = IdKey::open_or_create(&file).unwrap();
        assert_eq!(IdKey::read(&file).unwrap(), Some(made));
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("id.key");
        read_or_create(&file, || Ok(vec![1; 31])).unwrap();
        assert!(matches!(IdKey::open_or_create(&file), Err(KeyError::Malformed { .. })));
    }
}
