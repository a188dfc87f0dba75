//! A PostgreSQL server of a test's own: a temporary directory, a Unix socket, an unprivileged user, no flushing (but for benches).

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use database::Location;

/// Where Debian keeps the programs.
const DEBIAN: &str = "/usr/lib/postgresql/15/bin";

/// A guard against hanging, never a measurement.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server; it ends with the test.
pub struct Postgres {
    dir: tempfile::TempDir,
    programs: PathBuf,
    /// Whether what it says is on the disk is on the disk.
    flushes: bool,
    child: Option<Child>,
}

impl Postgres {
    /// A fresh server; absent when none is installed, which with `CI=true` fails the test instead.
    pub fn start() -> Option<Postgres> {
        Postgres::start_as(false)
    }

    /// As [`Postgres::start`], with flushing: for benches.
    pub fn start_flushing() -> Option<Postgres> {
        Postgres::start_as(true)
    }

    fn start_as(flushes: bool) -> Option<Postgres> {
        let Some(programs) = programs() else {
            let text = "PostgreSQL 15 is not installed (Debian: postgresql-15)";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
            eprintln!("skipped: {text}");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let mut server = Postgres {
            dir,
            programs,
            flushes,
            child: None,
        };
        let made = server
            .command("initdb")
            .args(["--auth=trust", "--username=cc", "--no-sync"])
            .args(["--no-instructions", "--encoding=UTF8", "--locale=C.UTF-8"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "initdb: {said}");
        server.up();
        Some(server)
    }

    /// Starts the server; it answers when this returns.
    pub fn up(&mut self) {
        let socket = self.dir.path().display().to_string();
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let child = self
            .command("postgres")
            .args(["-k", &socket, "-c", "listen_addresses="])
            .args(["-c", "max_connections=200"])
            .args((!self.flushes).then_some("-F"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let begun = Instant::now();
        while !self.answers() {
            assert!(begun.elapsed() < PATIENCE, "PostgreSQL never answered");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the server at once, as a crash would.
    pub fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            // SIGQUIT: the immediate shutdown.
            let pid = child.id().to_string();
            let _ = Command::new("kill").args(["-QUIT", &pid]).status();
            let _ = child.wait();
        }
    }

    fn answers(&self) -> bool {
        let asked = Command::new(self.programs.join("pg_isready"))
            .args(["--quiet", "--host"])
            .arg(self.dir.path())
            .status();
        asked.is_ok_and(|status| status.success())
    }

    /// Where its socket is.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The address of a database on it.
    pub fn location(&self, database: &str) -> Location {
        location(self.dir.path(), database)
    }

    /// The database that is always there.
    pub fn main(&self) -> Location {
        self.location("postgres")
    }

    /// One more database.
    pub fn create(&self, database: &str) -> Location {
        self.sql("postgres", &format!("CREATE DATABASE {database}"));
        self.location(database)
    }

    /// Runs a statement as an operator would; gives what it prints.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        sql(self.dir.path(), database, statement)
    }

    /// One of the server's programs on this server's data; root gives up its rights first, which `initdb` insists on.
    fn command(&self, program: &str) -> Command {
        let path = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
                .args(["--pdeathsig", "KILL"])
                .arg(path);
            command
        } else {
            Command::new(path)
        };
        command.arg("-D").arg(self.dir.path().join("data"));
        command.current_dir("/");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.down();
    }
}

/// The address of a database on the server whose socket is in this directory.
pub fn location(dir: &Path, database: &str) -> Location {
    let host = dir.display();
    Location::parse(&format!("postgres:///{database}?host={host}&user=cc")).unwrap()
}

/// Runs a statement as an operator would; gives what it prints.
pub fn sql(dir: &Path, database: &str, statement: &str) -> String {
    let quiet = ["-X", "-q", "-A", "-t", "-c", statement];
    let printed = client(dir, database, "psql", &quiet);
    String::from_utf8_lossy(&printed).trim().to_owned()
}

/// Everything a database holds, as text.
pub fn dump(dir: &Path, database: &str) -> Vec<u8> {
    client(dir, database, "pg_dump", &["--inserts"])
}

/// What one of the client programs prints.
fn client(dir: &Path, database: &str, program: &str, arguments: &[&str]) -> Vec<u8> {
    let done = Command::new(programs().unwrap().join(program))
        .args(["-U", "cc", "-d", database, "-h"])
        .arg(dir)
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {arguments:?}: {said}");
    done.stdout
}

fn programs() -> Option<PathBuf> {
    let here = |dir: &Path| dir.join("initdb").exists() && dir.join("psql").exists();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(PathBuf::from(DEBIAN))
        .chain(std::env::split_paths(&on_path))
        .find(|dir| here(dir))
}

fn is_root() -> bool {
    let asked = Command::new("id").arg("-u").output();
    asked.is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}
