//! A small disk of its own for the data of a process, so that it can be filled.

use std::fs::{File, remove_file};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A file system in memory, mounted on a directory. Unmounted when dropped.
#[derive(Debug)]
pub(super) struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts one, if this process may. Says why not otherwise.
    pub(super) fn mount(at: &Path, bytes: u64) -> Result<Self, String> {
        std::fs::create_dir_all(at).map_err(|error| error.to_string())?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes},mode=0700"), "tmpfs"]).arg(at);
        match mount.stdout(Stdio::null()).stderr(Stdio::null()).status() {
            Ok(status) if status.success() => Ok(Self { at: at.to_owned() }),
            Ok(status) => Err(format!("mount: {status}; it takes an administrator")),
            Err(error) => Err(format!("mount: {error}")),
        }
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }

    /// Takes all the room there is.
    pub(super) fn fill(&self) {
        let Ok(mut file) = File::create(self.ballast()) else { return };
        for size in [1 << 20, 4 << 10, 512, 1] {
            let block = vec![0x5a; size];
            // Until there is no room for a block of this size.
            while file.write_all(&block).is_ok() {}
        }
    }

    /// Gives it back.
    pub(super) fn free(&self) {
        // There is nothing to give back if there was no room even for the file.
        let _ = remove_file(self.ballast());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is just ending may still have files open there.
        let _ = Command::new("umount").arg("-l").arg(&self.at).stderr(Stdio::null()).status();
    }
}
