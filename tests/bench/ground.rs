//! What the gateway stands on here: a throw-away CA, a CI issuer, a configuration, and the real program as a process.
//!
//! Everything is production's profile: nothing of `cambio dev` but the CI issuer takes part.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use cambio::{
    clock::{self, Clock},
    http::{
        listener::{Stop, serve_tls},
        tls::Certificate,
    },
    secret::{Random as _, SystemRandom},
    sim::{ci_issuer::CiIssuer, server, world},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use serde_json::{Map, Value};

use crate::load;

/// A directory with all that a gateway needs, and the CI issuer that it believes.
pub(crate) struct Ground {
    pub(crate) directory: PathBuf,
    pub(crate) ci_url: String,
    pub(crate) certificate: Arc<Certificate>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) exchange_port: u16,
    pub(crate) metadata_port: u16,
    ci: Arc<CiIssuer>,
    pub(crate) stop: Stop,
    _switch: tokio::sync::watch::Sender<bool>,
}

pub(crate) const ISSUER: &str = "https://id.bench.example";
pub(crate) const HOST: &str = "id.bench.example";

impl Ground {
    /// Makes everything anew in `directory`, on a real disk.
    pub(crate) fn new(directory: &Path) -> Self {
        let _gone = fs::remove_dir_all(directory);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .expect("a directory");
        certify(directory);
        let mut kek = [0; 32];
        SystemRandom.fill(&mut kek).expect("randomness");
        private(&directory.join("kek"), &kek);
        let certificate =
            Certificate::load(&directory.join("tls.crt"), &directory.join("tls.key")).expect("a certificate");
        let (switch, stop) = Stop::switch();
        let (listener, ci_url) = server::bind().expect("a port");
        let clock = clock::system();
        let ci = CiIssuer::new(
            (ci_url.clone(), ISSUER.to_owned()),
            world::example_job(),
            (Arc::clone(&clock), Arc::new(SystemRandom)),
        );
        let ci = Arc::new(ci.expect("a CI issuer"));
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        let tls = certificate.server_config().expect("TLS settings");
        tokio::spawn(serve_tls(
            listener,
            tls,
            Arc::clone(&ci).router(),
            stop.clone(),
            Duration::ZERO,
        ));
        Self {
            directory: directory.to_owned(),
            ci_url,
            certificate,
            clock,
            exchange_port: free_port(),
            metadata_port: free_port(),
            ci,
            stop,
            _switch: switch,
        }
    }

    /// Signs the token of one run of the example job; each has its own `jti`.
    pub(crate) fn token(&self) -> String {
        self.ci.token(world::example_job()).expect("a token")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns a client of the exchange listener.
    pub(crate) fn client(&self) -> load::Client {
        load::Client::new(&self.path("ca.pem"), self.exchange_port)
    }

    /// Writes the configuration: `grants` grants, one for each pair of an entry and a relying party, then `more`.
    pub(crate) fn configure(&self, grants: usize, more: &str) {
        let mut text = self.tables();
        text.push_str(more);
        let side = (1..=grants).find(|side: &usize| side * side >= grants).unwrap_or(1);
        for nth in 1..side {
            let _infallible = write!(
                text,
                "[[entry]]\nname = \"e{nth}\"\nattestor = \"github\"\nmatch = {{ \"ci.repo_id\" = \"90{nth}\" }}\n\
                 spiffe_id = \"/ci/other/{nth}\"\n\
                 [[relying_party]]\nname = \"r{nth}\"\nkind = \"svid\"\naudience = \"https://r{nth}.example\"\n",
            );
        }
        for nth in 1..grants {
            let name = |letter: &str, nth: usize, first: &str| match nth {
                0 => first.to_owned(),
                nth => format!("{letter}{nth}"),
            };
            let (entry, party) = (name("e", nth / side, "shop-deploy"), name("r", nth % side, "svid"));
            let _infallible = write!(
                text,
                "[[grant]]\nname = \"g{nth}\"\nentries = [\"{entry}\"]\nrelying_parties = [\"{party}\"]\nttl = \"20m\"\n\
                 match = {{ \"ci.event\" = \"push\", \"ci.environment\" = \"env-{nth}\" }}\n",
            );
        }
        fs::write(self.path("cambio.toml"), text).expect("a configuration");
    }

    fn tables(&self) -> String {
        let job = world::example_job();
        let claim = |name: &str| text_of(&job, name);
        let directory = self.directory.display();
        format!(
            "trust_domain = \"bench.example\"\nissuer = \"{ISSUER}\"\n\
             exchange_url = \"https://exchange.bench.example:{}\"\n\
             [listen]\nmetadata = \"127.0.0.1:{}\"\nexchange = \"127.0.0.1:{}\"\nadmin = \"unix:{directory}/admin.sock\"\n\
             [tls]\ncertificate_file = \"{directory}/tls.crt\"\nkey_file = \"{directory}/tls.key\"\n\
             [store]\nurl = \"{}\"\n[keys]\nkek_file = \"{directory}/kek\"\n\
             [limits]\nper_source = {{ rate = 10000, burst = 100000 }}\nper_workload = {{ rate = 10000, burst = 100000 }}\n\
             [[attestor]]\nname = \"github\"\nkind = \"oidc\"\npreset = \"github_actions\"\nissuer = \"{}\"\n\
             owners = [{{ name = \"{}\", id = \"{}\" }}]\nca_file = \"{directory}/ca.pem\"\n\
             allow_addresses = [\"127.0.0.0/8\"]\n\
             [[entry]]\nname = \"shop-deploy\"\nattestor = \"github\"\nspiffe_id = \"/ci/acme/shop/deploy\"\n\
             match = {{ \"ci.repo_id\" = \"{}\", \"ci.ref\" = \"{}\" }}\n\
             [[relying_party]]\nname = \"svid\"\nkind = \"svid\"\naudience = \"https://svid.example\"\n\
             [[relying_party]]\nname = \"svid-es\"\nkind = \"svid\"\naudience = \"https://es.example\"\nalgorithm = \"ES256\"\n\
             [[grant]]\nname = \"g0\"\nentries = [\"shop-deploy\"]\nrelying_parties = [\"svid\", \"svid-es\"]\nttl = \"20m\"\n\
             match = {{ \"ci.event\" = \"{}\" }}\n",
            self.exchange_port,
            self.metadata_port,
            self.exchange_port,
            self.store(),
            self.ci_url,
            claim("repository_owner"),
            claim("repository_owner_id"),
            claim("repository_id"),
            claim("ref"),
            claim("event_name"),
        )
    }

    /// Returns the store's URL.
    pub(crate) fn store(&self) -> String {
        format!("sqlite://{}/store/cambio.db", self.directory.display())
    }

    /// Starts the program on core 0 and waits until it is ready; returns also how long that took.
    pub(crate) fn start(&self, binary: &Path, fresh: bool) -> (Server, Duration) {
        self.start_behind(&["taskset", "-c", "0"], binary, fresh)
    }

    /// Starts the program behind another one, which becomes it (`taskset`) or watches it (`strace`).
    pub(crate) fn start_behind(&self, before: &[&str], binary: &Path, fresh: bool) -> (Server, Duration) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("server.log"))
            .expect("a log");
        let (first, rest) = before.split_first().expect("a program");
        let mut command = Command::new(first);
        command
            .args(rest)
            .arg(binary)
            .args(["serve", "--config"])
            .arg(self.path("cambio.toml"));
        if fresh {
            command.arg("--accept-new-issuer-keys");
        }
        let began = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program");
        let socket = self.path("admin.sock");
        loop {
            if load::admin(&socket, "/ready").is_some_and(|(status, _)| status == 200) {
                break;
            }
            if let Some(status) = child.try_wait().expect("the program's state") {
                let log = fs::read_to_string(self.path("server.log")).unwrap_or_default();
                panic!("the gateway ended with {status}: {log}");
            }
            assert!(began.elapsed() < Duration::from_mins(1), "not ready within a minute");
            std::thread::sleep(Duration::from_micros(500));
        }
        (Server { child }, began.elapsed())
    }
}

/// The running program; killed when dropped.
pub(crate) struct Server {
    child: Child,
}

impl Server {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGKILL, as a power cut would.
    pub(crate) fn kill(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }

    /// Asks it to stop and waits until it has ended in order, which may take the drain of 20 s.
    pub(crate) fn stop(mut self) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(
            asked.is_ok_and(|status| status.success()),
            "the gateway cannot be told to stop"
        );
        let asked = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the program's state") {
                break status;
            }
            assert!(asked.elapsed() < Duration::from_secs(30), "told to stop, it still runs");
            std::thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "told to stop, it ended with {status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns user and system time of a process so far, in microseconds; the kernel counts in ticks of 10 ms.
pub(crate) fn cpu_micros(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process");
    let after_name = stat.rsplit_once(") ").expect("a stat line").1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks: u32 = fields[11].parse::<u32>().expect("utime") + fields[12].parse::<u32>().expect("stime");
    f64::from(ticks) * 10_000.0
}

/// Returns the resident set of a process in MB of 1,000,000 bytes.
pub(crate) fn resident_megabytes(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kibibytes: u32 = line
        .split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number");
    f64::from(kibibytes) * 1024.0 / 1_000_000.0
}

fn text_of(claims: &Map<String, Value>, name: &str) -> String {
    claims.get(name).and_then(Value::as_str).expect("a claim").to_owned()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

fn private(path: &Path, bytes: &[u8]) {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.expect("a file").write_all(bytes).expect("a written file");
}

/// Makes a CA of its own name: `serve` refuses certificates of `cambio dev`.
fn certify(directory: &Path) {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "Cambio bench CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("an authority");
    let mut server = CertificateParams::default();
    server
        .distinguished_name
        .push(DnType::CommonName, "Cambio bench server");
    server.subject_alt_names = vec![
        SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
        SanType::DnsName(HOST.try_into().expect("a name")),
    ];
    let key = KeyPair::generate().expect("a key");
    let certificate = server.signed_by(&key, &authority).expect("a certificate");
    fs::write(directory.join("ca.pem"), authority.pem()).expect("a file");
    fs::write(directory.join("tls.crt"), certificate.pem()).expect("a file");
    private(&directory.join("tls.key"), key.serialize_pem().as_bytes());
}
