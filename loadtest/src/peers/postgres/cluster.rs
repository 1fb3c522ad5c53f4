//! A database cluster of our own: created, started on a port, and owned by somebody who is not root.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Signal, geteuid};
use tokio::process::Command;

use crate::peers::daemon::{Daemon, Kind};
use crate::peers::error::PeersError;

/// Who everybody is inside of the database.
pub(super) const SUPERUSER: &str = "postgres";

/// The user that the package makes. PostgreSQL does not run as root.
const USER: &str = "postgres";
/// Where Debian has the programs of each version, which are not on the path.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Smart shutdown would wait for clients; fast does not. Quit leaves everything as it is.
const KIND: Kind = Kind { name: "postgres", end: Signal::INT, abort: Signal::QUIT };
/// Connections beside those that reserve.
const CONNECTIONS_SPARE: u32 = 16;

/// Durability as it is by default, said aloud, and everything else in favour of many small commits.
const SETTINGS: [&str; 13] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "wal_level=minimal",
    "max_wal_senders=0",
    "shared_buffers=512MB",
    "wal_buffers=16MB",
    "max_wal_size=8GB",
    "checkpoint_timeout=30min",
    "jit=off",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "log_min_messages=warning",
];

/// A cluster that does not run.
pub(super) struct Cluster {
    programs: PathBuf,
    home: PathBuf,
    owner: Option<Owner>,
}

/// Who it runs as, where we are root.
#[derive(Debug, Clone, Copy)]
struct Owner {
    user: u32,
    group: u32,
}

/// Creates a cluster below a directory that its owner can reach.
pub(super) async fn create(directory: &Path) -> Result<Cluster, PeersError> {
    let programs = programs().ok_or(PeersError::Missing { program: "initdb", package: "postgresql" })?;
    let owner = if geteuid().is_root() {
        Some(owner().ok_or(PeersError::Missing { program: "the user postgres", package: "postgresql" })?)
    } else {
        None
    };
    let home = directory.join("postgres");
    prepare(&home, owner).map_err(|source| PeersError::Prepare("making a directory", source))?;
    let cluster = Cluster { programs, home, owner };
    let mut initdb = cluster.command("initdb");
    initdb.args(["--username", SUPERUSER, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]);
    let made = initdb.stdin(Stdio::null()).output().await;
    let made =
        made.map_err(|source| PeersError::Start { program: cluster.programs.join("initdb"), source })?;
    if made.status.success() {
        return Ok(cluster);
    }
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    Err(PeersError::Failed { program: "initdb", what: format!("ended with {}", made.status), said })
}

impl Cluster {
    /// Starts it for so many connections.
    pub(super) fn start(&self, address: SocketAddr, connections: u32) -> Result<Daemon, PeersError> {
        let mut command = self.command("postgres");
        command.arg("-p").arg(address.port().to_string());
        command.arg("-c").arg(format!("max_connections={}", connections + CONNECTIONS_SPARE));
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        Daemon::start(KIND, command, &self.home.with_extension("talk"))
    }

    /// A program of PostgreSQL that works on this cluster.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-D").arg(self.home.join("data")).current_dir(&self.home).kill_on_drop(false);
        if let Some(Owner { user, group }) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }
}

fn prepare(home: &Path, owner: Option<Owner>) -> std::io::Result<()> {
    fs::create_dir(home)?;
    if let Some(Owner { user, group }) = owner {
        if let Some(above) = home.parent() {
            // Through, and no further.
            fs::set_permissions(above, fs::Permissions::from_mode(0o711))?;
        }
        chown(home, Some(user), Some(group))?;
    }
    Ok(())
}

/// Where the programs are: Debian's newest, or the first that are on the path.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let number = |it: &fs::DirEntry| it.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
    let mut versions: Vec<_> =
        versions.filter_map(|it| Some((number(&it)?, it.path().join("bin")))).collect();
    versions.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let newest_first = versions.into_iter().rev().map(|(_, bin)| bin);
    newest_first.chain(std::env::split_paths(&path)).find(|bin| bin.join("initdb").exists())
}

fn owner() -> Option<Owner> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').next() == Some(USER))?;
    let mut fields = line.split(':').skip(2);
    Some(Owner { user: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
}
