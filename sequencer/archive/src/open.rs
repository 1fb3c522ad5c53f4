//! Where an archive is.

use std::io;
use std::path::PathBuf;

/// Why an archive cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Archives of this kind are not in this build.
    #[error("{place} is no archive for this build: give a folder, or file:// and an absolute path")]
    OtherKind {
        /// What was given.
        place: String,
    },
    /// A place that can be read in two ways.
    #[error("{place} is not an absolute path after file://, or has escaped characters: give a plain path")]
    NotPlain {
        /// What was given.
        place: String,
    },
    /// The name of the folder cannot be made absolute.
    #[error("the folder {} cannot be used", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Threads cannot be started.
    #[error("the threads of the archive cannot be started")]
    Threads(#[source] io::Error),
}

/// The folder in a path or a `file://` URL.
pub(crate) fn folder(place: &str) -> Result<PathBuf, OpenError> {
    let Some((scheme, path)) = place.split_once("://") else { return Ok(PathBuf::from(place)) };
    if scheme != "file" {
        return Err(OpenError::OtherKind { place: place.to_owned() });
    }
    if !path.starts_with('/') || path.contains('%') {
        return Err(OpenError::NotPlain { place: place.to_owned() });
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_path_or_a_file_url() {
        for (place, path) in
            [("/srv/archive", "/srv/archive"), ("archive", "archive"), ("file:///srv/a b", "/srv/a b")]
        {
            assert_eq!(folder(place).expect("a folder"), PathBuf::from(path));
        }
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        assert!(matches!(folder("s3://bucket/archive"), Err(OpenError::OtherKind { .. })));
        assert!(matches!(folder("file://host/archive"), Err(OpenError::NotPlain { .. })));
        assert!(matches!(folder("file:///a%20b"), Err(OpenError::NotPlain { .. })));
    }
}
