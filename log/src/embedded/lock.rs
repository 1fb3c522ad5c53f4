//! One process at a time writes to a log directory.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use super::{OpenError, error::Doing};

/// The file whose lock says who may write to the directory.
const LOCK_FILE: &str = "lock";

/// Held as long as the log may write; given back when it is dropped, or when the process ends in whatever way.
pub(super) struct DirectoryLock(File);

impl DirectoryLock {
    /// # Errors
    ///
    /// [`OpenError::Locked`] if somebody holds the lock, and whatever the file system refuses.
    pub(super) fn take(directory: &Path) -> Result<Self, OpenError> {
        let file = File::create(directory.join(LOCK_FILE)).doing("opening the lock file")?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                Err(OpenError::Locked { directory: directory.display().to_string() })
            }
            Err(TryLockError::Error(source)) => {
                Err(OpenError::Io { doing: "locking the log directory", source })
            }
        }
    }
}

impl Drop for DirectoryLock {
    /// Closing the file would not be enough: the lock belongs to whoever has a copy of the descriptor (flock(2)), and
    /// a child that another thread starts at this moment has one until it runs its own program.
    fn drop(&mut self) {
        // If it fails, closing the file is what is left, and that happens in any case.
        let _unlocked = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn a_lock_that_was_given_back_is_free_even_if_a_child_still_has_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::take(directory.path()).unwrap();
        // What a child has between its start and its own program.
        let of_a_child = lock.0.try_clone().unwrap();
        let refused = DirectoryLock::take(directory.path()).err();
        assert!(matches!(refused, Some(OpenError::Locked { .. })), "{refused:?}");
        drop(lock);
        DirectoryLock::take(directory.path()).unwrap();
        drop(of_a_child);
    }
}
