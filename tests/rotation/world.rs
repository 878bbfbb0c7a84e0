//! Two replicas on one store, what kills and pauses them, and the load that they stand under.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use cambio::{
    clock::{Clock as _, FakeClock, unix_seconds},
    jose::{
        Algorithm, Seal, SigningAlgorithm,
        sign::{self, Header},
    },
    mint::{
        KeyRing,
        authority::{Purpose, State},
        keys::store::StoreKeys,
        rotation::{
            Engine, EngineParts, FactReports, Journal, Life, Place as PublicPlace, Replica, ReplicaParts, Rules,
            Unwell, forced::Selection,
        },
    },
    secret::{Secret, SystemRandom},
    spiffe::TrustDomain,
    store::{
        BoxFuture, Store, StoreError,
        forgetful::ForgetfulStore,
        postgres::{PostgresOptions, PostgresStore},
        sqlite::SqliteStore,
    },
};
use serde_json::json;

use crate::{
    server::Server,
    verifiers::{Judgement, Served, Verifier},
};

/// Where the store is.
pub(crate) enum Place {
    Postgres(Box<Server>),
    Sqlite(PathBuf),
}

impl Place {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL",
            Self::Sqlite(_) => "SQLite",
        }
    }
}

/// What happens to a replica in a round.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// Nobody outside reaches us for so many rounds.
    Dark(u64),
    /// A replica is killed after so many milliseconds of its round, and starts again from the store.
    Kill(usize, u64),
    /// Both are, and the store is opened anew.
    KillAll(u64),
    Live,
    /// A replica stands still for so many rounds.
    Pause(usize, u64),
}

/// One process.
struct Process {
    engine: Arc<Engine>,
    replica: Arc<Replica>,
    ring: KeyRing,
    served: Served,
}

/// A token that was signed, until its end.
struct Token {
    text: String,
    ends: SystemTime,
}

/// What loaders share with the judge.
struct Load {
    signed: Mutex<Vec<(usize, String, String, SystemTime)>>,
    refused: AtomicU64,
    rings: Mutex<Vec<Option<KeyRing>>>,
    stop: AtomicBool,
}

pub(crate) struct World {
    place: Place,
    url: String,
    store: Arc<dyn Store>,
    clock: Arc<FakeClock>,
    rules: Rules,
    balancer: Arc<Balancer>,
    journal: Arc<Entries>,
    processes: Vec<Option<Process>>,
    paused: Vec<u64>,
    dark: u64,
    verifiers: Vec<Verifier>,
    tokens: VecDeque<Token>,
    load: Arc<Load>,
    loaders: Vec<tokio::task::JoinHandle<()>>,
    faults: Vec<String>,
    rotations: u64,
    /// The key of each algorithm that signed last.
    signing: BTreeMap<&'static str, String>,
    signed: u64,
    verified: u64,
    waited: u64,
    kills: [u64; 3],
    pauses: u64,
    restarts: u64,
}

fn rules() -> Rules {
    Rules {
        lead: Duration::from_hours(1),
        kept: Duration::from_mins(10),
        jwt: Life {
            authority: Duration::from_hours(36),
            signed: Duration::from_mins(30),
        },
        ..Rules::default()
    }
}

impl World {
    pub(crate) async fn new(place: Place) -> Self {
        let url = match &place {
            Place::Postgres(server) => server.database(),
            Place::Sqlite(directory) => {
                let _gone = std::fs::remove_dir_all(directory);
                private(directory);
                format!("sqlite://{}", directory.join("cambio.db").display())
            }
        };
        let rules = rules();
        let store = open(&place, &url).await.expect("the store");
        let mut world = Self {
            place,
            url,
            store,
            clock: FakeClock::at("2026-01-16T14:40:00Z"),
            verifiers: vec![
                Verifier::new("refetches on an unknown key", rules.lead, true),
                Verifier::new("keeps to a fixed time", rules.lead, false),
                Verifier::new("sits behind a slow cache", rules.lead + rules.cached, false),
            ],
            rules,
            balancer: Arc::default(),
            journal: Arc::default(),
            processes: vec![None, None],
            paused: vec![0, 0],
            dark: 0,
            tokens: VecDeque::new(),
            load: Arc::new(Load {
                signed: Mutex::default(),
                refused: AtomicU64::default(),
                rings: Mutex::new(vec![None, None]),
                stop: AtomicBool::default(),
            }),
            loaders: Vec::new(),
            faults: Vec::new(),
            rotations: 0,
            signing: BTreeMap::new(),
            signed: 0,
            verified: 0,
            waited: 0,
            kills: [0; 3],
            pauses: 0,
            restarts: 0,
        };
        for index in 0..2 {
            world.start(index).await;
        }
        for index in 0..2 {
            let (load, clock) = (Arc::clone(&world.load), Arc::clone(&world.clock));
            world
                .loaders
                .push(tokio::spawn(sign_without_a_pause(load, clock, index)));
        }
        world
    }

    async fn start(&mut self, index: usize) {
        let parts = ReplicaParts {
            store: Arc::clone(&self.store),
            source: Arc::new(StoreKeys::new(
                Seal::new(&[7; 32]).expect("a seal"),
                Arc::new(SystemRandom),
            )),
            clock: self.clock.clone(),
            random: Arc::new(SystemRandom),
            trust_domain: TrustDomain::parse("prod.acme.example").expect("a trust domain"),
            issuer: "https://id.acme.example".to_owned(),
            exchange_url: "https://exchange.acme.example:9443".to_owned(),
        };
        let (ring, replica) = Replica::open(parts).await.expect("a replica");
        let seat = u32::try_from(index).expect("a seat");
        let parts = EngineParts {
            name: index.to_string(),
            places: vec![self.balancer.clone()],
            reports: Arc::new(FactReports::seated(Arc::clone(&self.store), seat, 2)),
            journal: self.journal.clone(),
            rules: self.rules.clone(),
        };
        let engine = Arc::new(Engine::new(Arc::clone(&replica), parts));
        self.processes[index] = Some(Process {
            engine,
            replica,
            ring,
            served: Served::begin(self.clock.now()),
        });
        self.restarts += 1;
        self.serve();
    }

    /// The balancer and the load reach what lives and does not stand still.
    fn serve(&mut self) {
        let mut replicas = Vec::new();
        let mut rings = Vec::new();
        let now = self.clock.now();
        for (index, process) in self.processes.iter_mut().enumerate() {
            let up = process.as_mut().filter(|_| self.paused[index] == 0);
            rings.push(up.as_ref().map(|process| process.ring.clone()));
            let Some(process) = up else { continue };
            replicas.push(Arc::clone(&process.replica));
            let published = process.replica.published().load();
            let noted = process.served.note(published.jwks.body(), published.bundle.body(), now);
            if let Err(fault) = noted {
                self.faults.push(format!("replica {index}: {fault}"));
            }
        }
        *self.balancer.replicas.lock().expect("the replicas") = replicas;
        *self.load.rings.lock().expect("the rings") = rings;
    }

    /// One round of every replica, at once; the load goes on meanwhile.
    pub(crate) async fn round(&mut self, time: Duration, fate: Fate) {
        self.clock.advance(time);
        match fate {
            Fate::Dark(rounds) => self.dark = rounds,
            Fate::Pause(index, rounds) if self.paused.iter().all(|rounds| *rounds == 0) => {
                self.paused[index] = rounds;
                self.pauses += 1;
            }
            Fate::Kill(..) | Fate::KillAll(_) | Fate::Live | Fate::Pause(..) => {}
        }
        self.balancer.dark.store(self.dark > 0, Ordering::Relaxed);
        self.dark = self.dark.saturating_sub(1);
        self.serve();
        let kill = match fate {
            Fate::Kill(index, after) => [(index == 0).then_some(after), (index == 1).then_some(after)],
            Fate::KillAll(after) => [Some(after), Some(after)],
            Fate::Dark(_) | Fate::Live | Fate::Pause(..) => [None, None],
        };
        let ticks: Vec<_> = (0..2).map(|index| self.ticked(index, kill[index])).collect();
        let ended = futures_util::future::join_all(ticks).await;
        for (index, end) in ended.into_iter().enumerate() {
            match end {
                End::Killed(phase) => {
                    self.kills[phase] += 1;
                    self.processes[index] = None;
                }
                End::Failed(why) => self.faults.push(format!("replica {index}: {why}")),
                End::Done => {}
            }
        }
        self.serve();
        if self.processes.iter().all(Option::is_none) {
            self.open_anew().await;
        }
        self.count();
        self.judge_signed();
        self.verify();
        for index in 0..2 {
            if self.processes[index].is_none() {
                self.start(index).await;
            }
            if self.paused[index] > 0 {
                self.paused[index] -= 1;
                if self.paused[index] == 0 {
                    self.resume(index).await;
                }
            }
        }
        self.serve();
    }

    /// Nothing of the old store is left, as after a kill of the whole process.
    async fn open_anew(&mut self) {
        let old = std::mem::replace(&mut self.store, ForgetfulStore::new());
        old.close().await;
        drop(old);
        for _ in 0..500 {
            match open(&self.place, &self.url).await {
                Ok(store) => {
                    self.store = store;
                    return;
                }
                // A token that is being signed holds the old one for a moment.
                Err(StoreError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(failed) => panic!("the store does not open again: {failed:?}"),
            }
        }
        panic!("the store stays locked");
    }

    /// A replica that stood still is asked to sign before it has done anything else.
    async fn resume(&mut self, index: usize) {
        let now = self.clock.now();
        let Some(process) = &mut self.processes[index] else {
            return;
        };
        // Nobody reached it meanwhile: it begins anew, but never with an older generation.
        process.served.begin_again(now);
        let signed = token(&process.ring, SigningAlgorithm::Es256, &self.clock).await;
        if let Ok((kid, text)) = signed {
            let mut all = self.load.signed.lock().expect("the tokens");
            all.push((index, kid, text, self.clock.now()));
        }
    }

    /// A rotation is another key that signs.
    fn count(&mut self) {
        let up = self.processes.iter().zip(&self.paused);
        let up = up.filter(|(_, paused)| **paused == 0);
        for process in up.filter_map(|(process, _)| process.as_ref()) {
            let set = process.replica.set();
            for key in set.of(Purpose::Jwt).filter(|key| key.state() == State::Active) {
                let before = self
                    .signing
                    .insert(key.public_jwk().algorithm().as_str(), key.id().to_owned());
                self.rotations += u64::from(before.is_some_and(|before| before != key.id()));
            }
        }
    }

    fn ticked(&self, index: usize, kill: Option<u64>) -> impl Future<Output = End> + use<> {
        let engine = self.processes[index]
            .as_ref()
            .map(|process| Arc::clone(&process.engine));
        let engine = engine.filter(|_| self.paused[index] == 0);
        let (journal, store) = (Arc::clone(&self.journal), Arc::clone(&self.store));
        async move {
            let Some(engine) = engine else { return End::Done };
            let Some(after) = kill else {
                let ended = engine.tick().await;
                return ended.map_or_else(|failed| End::Failed(format!("{failed:?}")), |()| End::Done);
            };
            let before = marks(&journal, &*store).await;
            let killed = tokio::select! {
                _ended = engine.tick() => false,
                () = tokio::time::sleep(Duration::from_millis(after) / 4) => true,
            };
            if !killed {
                return End::Done;
            }
            End::Killed(phase(before, marks(&journal, &*store).await))
        }
    }

    /// Forces a rotation; `kill` ends the process that does it after so many quarters of a millisecond.
    pub(crate) async fn force(&mut self, which: u64, kill: Option<u64>) {
        let algorithm = if which == 0 { "ES256" } else { "RS256" };
        let selection = Selection {
            purpose: Some(Purpose::Jwt),
            algorithm: Some(algorithm.to_owned()),
        };
        let up = (0..2).find(|index| self.paused[*index] == 0 && self.processes[*index].is_some());
        let Some(up) = up else { return };
        let Some(process) = &self.processes[up] else { return };
        let engine = Arc::clone(&process.engine);
        // What was fetched a moment ago was fetched before.
        self.clock.advance(Duration::from_secs(1));
        let before = self.marks().await;
        let ended = tokio::select! {
            ended = engine.rotate(&selection) => Some(ended),
            () = tokio::time::sleep(Duration::from_millis(kill.unwrap_or(0)) / 4), if kill.is_some() => None,
        };
        match ended {
            Some(Ok(())) => {}
            Some(Err(failed)) => self.faults.push(format!("a rotation was refused: {failed:?}")),
            None => {
                let phase = phase(before, self.marks().await);
                self.kills[phase] += 1;
                self.processes[up] = None;
                self.serve();
                self.start(up).await;
            }
        }
    }

    /// How many entries there are, and which generation the store is at.
    async fn marks(&self) -> (u64, u64) {
        marks(&self.journal, &*self.store).await
    }

    /// Every replica that somebody reaches must have shown the key for the whole lead.
    fn judge_signed(&mut self) {
        let signed = std::mem::take(&mut *self.load.signed.lock().expect("the tokens"));
        for (by, kid, text, at) in signed {
            self.signed += 1;
            for (index, process) in self.processes.iter().enumerate() {
                let Some(process) = process.as_ref().filter(|_| self.paused[index] == 0) else {
                    continue;
                };
                if let Err(why) = process.served.judge(&kid, at, self.rules.lead) {
                    self.faults
                        .push(format!("replica {by} signed with {kid}, but replica {index} {why}"));
                }
            }
            self.tokens.push_back(Token {
                text,
                ends: at + self.rules.jwt.signed,
            });
        }
    }

    /// New tokens are verified now, all others at their end.
    fn verify(&mut self) {
        let now = self.clock.now();
        let (over, rest): (Vec<_>, Vec<_>) = self
            .tokens
            .drain(..)
            .partition(|token| token.ends <= now || token.ends == now + self.rules.jwt.signed);
        for token in &over {
            for verifier in &mut self.verifiers {
                match verifier.verify(&token.text, now, || self.balancer.fetch()) {
                    Judgement::Accepted => self.verified += 1,
                    Judgement::Waits => self.waited += 1,
                    Judgement::Rejected(why) => {
                        let name = verifier.name;
                        self.faults
                            .push(format!("the verifier that {name} rejected a token: {why}"));
                    }
                }
            }
        }
        let living = over.into_iter().filter(|token| token.ends > now);
        self.tokens = rest.into_iter().chain(living).collect();
    }

    pub(crate) fn rotations(&self) -> u64 {
        self.rotations
    }

    pub(crate) fn faults(&self) -> &[String] {
        &self.faults
    }

    pub(crate) fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    pub(crate) fn summary(&self) -> String {
        let [idle, recorded, swapped] = self.kills;
        format!(
            "after {} rotations: {} tokens signed, {} verifications, {} without keys, {} kills ({idle} before an entry, {recorded} after it, \
             {swapped} after a swap), {} pauses, {} faults",
            self.rotations(),
            self.signed,
            self.verified,
            self.waited,
            idle + recorded + swapped,
            self.pauses,
            self.faults.len()
        )
    }

    pub(crate) async fn finish(mut self) -> Vec<String> {
        self.load.stop.store(true, Ordering::Relaxed);
        for loader in self.loaders.drain(..) {
            loader.await.expect("a loader without a panic");
        }
        self.judge_signed();
        if self.signed == 0 || self.verified == 0 || self.pauses == 0 || self.kills.contains(&0) {
            let summary = self.summary();
            self.faults.push(format!("the run proves too little: {summary}"));
        }
        self.store.close().await;
        self.faults
    }
}

async fn marks(journal: &Entries, store: &dyn Store) -> (u64, u64) {
    (journal.count(), store.authorities().await.expect("rows").generation)
}

/// Where a process was killed: before it recorded anything, after that, or after it had changed something.
fn phase(before: (u64, u64), after: (u64, u64)) -> usize {
    match (after.0 > before.0, after.1 > before.1) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 2,
    }
}

/// How a round ended.
enum End {
    Done,
    Failed(String),
    Killed(usize),
}

async fn open(place: &Place, url: &str) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match place {
        Place::Postgres(_) => {
            let options = PostgresOptions::new(Secret::new(url));
            Arc::new(PostgresStore::open(&options).await?)
        }
        Place::Sqlite(_) => Arc::new(SqliteStore::open(url).await?),
    })
}

fn private(directory: &std::path::Path) {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = std::fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .expect("a directory");
}

/// The load: tokens of both kinds, one after the other, from whichever replica answers.
async fn sign_without_a_pause(load: Arc<Load>, clock: Arc<FakeClock>, index: usize) {
    while !load.stop.load(Ordering::Relaxed) {
        let ring = load.rings.lock().expect("the rings")[index].clone();
        if let Some(ring) = ring {
            for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::Rs256] {
                let at = clock.now();
                match token(&ring, algorithm, &clock).await {
                    // A token of a moment that has passed meanwhile is judged by nobody: its `iat` is uncertain.
                    Ok((kid, text)) if clock.now() == at => {
                        load.signed.lock().expect("the tokens").push((index, kid, text, at));
                    }
                    Ok(_) => {}
                    Err(_unavailable) => {
                        load.refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

async fn token(
    ring: &KeyRing,
    algorithm: SigningAlgorithm,
    clock: &FakeClock,
) -> Result<(String, String), cambio::mint::MintRefusal> {
    let claims = json!({ "iss": "https://id.acme.example", "sub": "load", "iat": unix_seconds(clock.now()) });
    let written = match algorithm {
        SigningAlgorithm::Es256 => Algorithm::Es256,
        SigningAlgorithm::Rs256 => Algorithm::Rs256,
    };
    let input = |authority: &cambio::mint::authority::Authority| {
        let header = Header {
            algorithm: written,
            key_id: authority.id().to_owned(),
        };
        Ok(sign::signing_input(&header, &claims).expect("claims"))
    };
    let signed = ring.sign(Purpose::Jwt, algorithm, input).await?;
    Ok((signed.key_id, sign::assemble(signed.input, &signed.signature)))
}

/// Sends each request to the next replica.
#[derive(Debug, Default)]
struct Balancer {
    replicas: Mutex<Vec<Arc<Replica>>>,
    turn: AtomicUsize,
    dark: AtomicBool,
}

impl Balancer {
    fn next(&self) -> Option<Arc<Replica>> {
        let replicas = self.replicas.lock().expect("the replicas");
        if self.dark.load(Ordering::Relaxed) || replicas.is_empty() {
            return None;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        replicas.get(turn % replicas.len()).cloned()
    }

    fn fetch(&self) -> Option<Vec<u8>> {
        let replica = self.next()?;
        let published = replica.published().load();
        Some(published.jwks.body().to_vec())
    }
}

impl PublicPlace for Balancer {
    fn name(&self) -> &'static str {
        "issuer"
    }

    fn look(&self) -> BoxFuture<'_, Result<BTreeSet<String>, Unwell>> {
        Box::pin(async {
            let replica = self.next().ok_or("nobody answers")?;
            let published = replica.published().load();
            let read = |body: &[u8]| serde_json::from_slice(body).expect("JSON");
            let bundle = read(published.bundle.body());
            let mut found = cambio::trust::observe::ids(&read(published.jwks.body()), "sig");
            let bundled = cambio::trust::observe::ids(&bundle, "jwt-svid");
            found.retain(|id| bundled.contains(id));
            found.extend(cambio::trust::observe::ids(&bundle, "x509-svid"));
            Ok(found)
        })
    }
}

/// The trail, as far as rotation needs one.
#[derive(Debug, Default)]
struct Entries {
    all: AtomicU64,
}

impl Entries {
    fn count(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }
}

impl Journal for Entries {
    fn record(&self, _detail: String) -> BoxFuture<'_, Result<(), Unwell>> {
        Box::pin(async move {
            // As long as a commit to a disk takes.
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.all.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    }
}
