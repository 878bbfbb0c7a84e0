//! A throw-away PostgreSQL server for tests: one a process, a database for each test.
//!
//! Where no PostgreSQL is installed, tests that need one are left out, say so, and are counted; with the variable
//! `TESTS_NEED_POSTGRES` they fail instead.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A running server.
pub(crate) struct Server {
    programs: PathBuf,
    directory: PathBuf,
    port: u16,
    /// Ends the server once its input ends, which is when this process does, however it does.
    guardian: Option<(Child, ChildStdin)>,
}

/// Returns the server of this process, or says why a test is left out.
pub(crate) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    static LEFT_OUT: AtomicUsize = AtomicUsize::new(0);
    match SERVER.get_or_init(|| Server::start("on", true)) {
        Ok(server) => Some(server),
        Err(reason) => {
            let count = LEFT_OUT.fetch_add(1, Ordering::Relaxed) + 1;
            let test = std::thread::current().name().unwrap_or("a test").to_owned();
            assert!(
                std::env::vars().all(|(name, _)| name != "TESTS_NEED_POSTGRES"),
                "{test} needs PostgreSQL: {reason}"
            );
            // Not through the captured output, which nobody sees of a test that passes.
            let _shown = writeln!(std::io::stderr(), "LEFT OUT ({count} so far): {test}: {reason}");
            None
        }
    }
}

impl Server {
    /// Starts a server of its own with `fsync` as given.
    pub(crate) fn start(fsync: &str, guarded: bool) -> Result<Self, String> {
        Self::start_in(&root(), fsync, guarded)
    }

    /// As [`Self::start`], with its files below `place`.
    pub(crate) fn start_in(place: &Path, fsync: &str, guarded: bool) -> Result<Self, String> {
        let programs = programs().ok_or("no `initdb` and `pg_ctl` in the PATH or in /usr/lib/postgresql/*/bin")?;
        let directory = tempfile::Builder::new()
            .prefix("cambio-pg-")
            .tempdir_in(place)
            .map_err(|error| error.to_string())?
            .keep();
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?
            .port();
        let mut server = Self {
            programs,
            directory,
            port,
            guardian: None,
        };
        if is_root() {
            let given = Command::new("chown").arg("postgres").arg(&server.directory).output();
            succeeded("chown", given)?;
        }
        server.initialise(fsync)?;
        if guarded {
            server.guardian = Some(server.guardian()?);
        }
        server.ctl(&["start"])?;
        Ok(server)
    }

    fn initialise(&self, fsync: &str) -> Result<(), String> {
        let data = self.data();
        let data = data.to_string_lossy();
        let made = self
            .run("initdb")
            .args([
                "-D",
                &data,
                "--no-sync",
                "-U",
                "cambio",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
            ])
            .output();
        succeeded("initdb", made)?;
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\nmax_connections = 300\n\
             shared_buffers = '32MB'\nfsync = {fsync}\nmax_wal_senders = 4\n",
            self.port,
            self.directory.display()
        );
        let file = self.data().join("postgresql.conf");
        let mut text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
        text.push_str(&settings);
        fs::write(&file, text).map_err(|error| error.to_string())
    }

    /// A shell that waits for its input to end, stops the server, and removes its directory.
    fn guardian(&self) -> Result<(Child, ChildStdin), String> {
        let as_user = if is_root() { "runuser -u postgres -- " } else { "" };
        let script = format!(
            "trap '' INT TERM HUP; read _; {as_user}'{}' -D '{}' -m immediate stop >/dev/null 2>&1; rm -rf '{}'",
            self.programs.join("pg_ctl").display(),
            self.data().display(),
            self.directory.display()
        );
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let input = child.stdin.take().ok_or("the guardian has no input")?;
        Ok((child, input))
    }

    /// Runs `pg_ctl`.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Result<(), String> {
        self.ctl_of(&self.data(), arguments)
    }

    fn ctl_of(&self, data: &Path, arguments: &[&str]) -> Result<(), String> {
        let log = self.directory.join("log");
        let done = self
            .run("pg_ctl")
            .arg("-D")
            .arg(data)
            .arg("-l")
            .arg(&log)
            .args(["-w", "-t", "60", "-s"])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            .status();
        match done {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!(
                "pg_ctl {arguments:?}: {status}: {}",
                fs::read_to_string(&log).unwrap_or_default()
            )),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Makes a synchronous standby, running beside this server; returns where its files are.
    #[cfg_attr(not(test), expect(dead_code, reason = "the store's own tests use it"))]
    pub(crate) fn standby(&self) -> Result<PathBuf, String> {
        let data = self.directory.join("standby");
        let copied = self
            .run("pg_basebackup")
            .arg("-h")
            .arg(&self.directory)
            .args([
                "-p",
                &self.port.to_string(),
                "-U",
                "cambio",
                "--checkpoint=fast",
                "--no-sync",
                "-R",
                "-D",
            ])
            .arg(&data)
            .output();
        succeeded("pg_basebackup", copied)?;
        // Beside the first one it neither listens on its port nor on its socket.
        let alone = format!("-c listen_addresses='' -c unix_socket_directories='{}'", data.display());
        self.ctl_of(&data, &["-o", &alone, "start"])?;
        self.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.ctl(&["reload"])?;
        for _tenths in 0..100 {
            if self.sql("postgres", "SELECT sync_state FROM pg_stat_replication") == "sync" {
                return Ok(data);
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        Err("the standby does not follow within 10 s".to_owned())
    }

    /// Ends this server as a power cut would, and lets the standby take its address.
    #[cfg_attr(not(test), expect(dead_code, reason = "the store's own tests use it"))]
    pub(crate) fn lose_to(&mut self, standby: &Path) -> Result<(), String> {
        self.ctl(&["-m", "immediate", "stop"])?;
        self.ctl_of(standby, &["-m", "fast", "stop"])?;
        fs::remove_dir_all(self.data()).map_err(|error| error.to_string())?;
        fs::rename(standby, self.data()).map_err(|error| error.to_string())?;
        self.ctl(&["start"])?;
        self.ctl(&["promote"])
    }

    /// Runs one of PostgreSQL's programs as a user that may.
    pub(crate) fn run(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(&self.directory);
        command
    }

    /// Lets the server take TLS connections with this certificate.
    #[cfg_attr(
        not(feature = "dev"),
        expect(dead_code, reason = "certificates are made with `dev` only")
    )]
    pub(crate) fn serve_tls(&self, certificate: &str, key: &str) {
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let file = self.data().join(name);
            fs::write(&file, text).expect("a file");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its mode");
            if is_root() {
                let given = Command::new("chown").arg("postgres").arg(&file).output();
                succeeded("chown", given).expect("its owner");
            }
        }
        self.sql("postgres", "ALTER SYSTEM SET ssl = on");
        self.ctl(&["-m", "fast", "restart"]).expect("the server");
    }

    /// Makes a database; returns its URL over the server's socket.
    pub(crate) fn database(&self) -> String {
        static DATABASES: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// Returns the URL of a database over the server's socket.
    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "postgres:///{database}?host={}&port={}&user=cambio",
            self.directory.display(),
            self.port
        )
    }

    /// Runs statements, and returns what they print.
    pub(crate) fn sql(&self, database: &str, statements: &str) -> String {
        let done = self
            .run("psql")
            .arg("-h")
            .arg(&self.directory)
            .args(["-p", &self.port.to_string(), "-U", "cambio", "-d", database])
            .args(["-v", "ON_ERROR_STOP=1", "-X", "-q", "-A", "-t", "-c", statements])
            .output();
        succeeded("psql", done).expect("the statements run")
    }

    /// Returns where the server's files are.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Returns the directory of socket, data and log.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the port on the loopback address.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Server {
    /// A server without a guardian ends with the test that started it.
    fn drop(&mut self) {
        if self.guardian.is_some() {
            return;
        }
        let _stopped = self.ctl(&["-m", "immediate", "stop"]);
        let _removed = fs::remove_dir_all(&self.directory);
    }
}

/// Memory where there is some: durability is not what these tests wait for.
fn root() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        let mut versions: Vec<_> = versions.flatten().map(|version| version.path().join("bin")).collect();
        versions.sort();
        directories.extend(versions.into_iter().rev());
    }
    let has_all = |directory: &PathBuf| {
        ["initdb", "pg_ctl", "psql"]
            .iter()
            .all(|one| directory.join(one).exists())
    };
    directories.into_iter().find(has_all)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn succeeded(program: &str, done: std::io::Result<Output>) -> Result<String, String> {
    let done = done.map_err(|error| format!("{program}: {error}"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&done.stderr)))
}
