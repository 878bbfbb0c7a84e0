//! Evidence of every kind, made before anything is measured, by the simulators of the platforms that issue it.

use std::{fs, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use cambio::{
    attest::{
        AttestorName, Evidence, OwnStore, Possession,
        aws_iam::{
            presigned::sim::{Question, StsSim},
            sim::{AwsAccountSim, Ec2Instance},
        },
        aws_instance::sim::{InstanceSim, RegionSim},
        azure_instance::sim::{AzureMachine, AzureSim, TokenVersion},
        bound_key,
        gcp_instance::sim::{GceSim, Instance},
        joining::{Described, JoinToken, Labels, MachineName, NewKey, Ordered},
        oidc::fixture::{Ci, Job, generic_job, github_job},
    },
    clock::{Clock, FakeClock},
    jose::{SigningAlgorithm, SigningKey},
    secret::SystemRandom,
    sim::{Listen as _, server::Loopback},
    store::Store,
};
use serde_json::{Map, Value, json};

use crate::{
    attestors::{AUDIENCE, Case, MOMENT, NAME, PIECES, Pieces, Signature, challenges, configured, now, opened},
    authorities::{Azure, Domain, pem, session},
    ground::Ground,
};

/// Where evidence is made: platforms of a clock that stands still, on loopback.
struct Place<'g> {
    ground: &'g Ground,
    loopback: Loopback,
    clock: Arc<dyn Clock>,
}

/// Makes the cases of all kinds.
pub(crate) async fn all(ground: &Ground) -> Vec<Case> {
    let tls = ground.certificate.server_config().expect("TLS settings");
    let place = Place {
        ground,
        loopback: Loopback::new(tls, ground.stop.clone()),
        clock: FakeClock::at(MOMENT),
    };
    let mut cases = vec![place.github(), place.generic(), place.kubernetes()];
    cases.extend(place.aws_iam());
    cases.extend([
        place.presigned(),
        place.aws_instance(),
        place.gcp_instance(),
        place.azure_identity(),
        place.azure_attested(),
    ]);
    cases.extend(place.spiffe());
    cases.extend([place.join_token().await, place.bound_key().await]);
    cases
}

fn pieces(make: impl Fn(usize) -> String) -> Pieces {
    Pieces::Tokens((0..PIECES).map(make).collect())
}

impl Place<'_> {
    fn reach(&self) -> String {
        let ca_file = self.ground.path("ca.pem");
        format!(
            "ca_file = \"{}\"\nallow_addresses = [\"127.0.0.0/8\"]\n",
            ca_file.display()
        )
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.ground.path(name);
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    }

    /// A preset with many claims; the keys come from the issuer.
    fn github(&self) -> Case {
        let bound = self.loopback.bind().expect("a port");
        let ci = Ci::new(&bound.url).expect("a key");
        let (discovery, jwks) = (ci.discovery(), ci.jwks());
        let answer = |document: Value| axum::routing::get(async move || axum::Json(document));
        let router = axum::Router::new()
            .route("/.well-known/openid-configuration", answer(discovery))
            .route("/.well-known/jwks", answer(jwks));
        (bound.serve)(router);
        let claims = github_job().facts();
        let claim = |name: &str| claims[name].as_str().expect("a claim").to_owned();
        let (owner, id) = (claim("repository_owner"), claim("repository_owner_id"));
        Case {
            name: "oidc, github_actions, RS256, fetched keys",
            kind: "oidc",
            rests_on: Some((Signature::Rs256, 1)),
            table: format!(
                "preset = \"github_actions\"\nissuer = \"{}\"\nowners = [{{ name = \"{owner}\", id = \"{id}\" }}]\n{}",
                bound.url,
                self.reach()
            ),
            pieces: pieces(|nth| job(github_job(), nth, &ci)),
            store: None,
        }
    }

    fn generic(&self) -> Case {
        let issuer = "https://ci.bench.example";
        let key = SigningKey::generate(SigningAlgorithm::Es256).expect("a key");
        let ci = Ci::with_key(issuer, key);
        let file = self.file("ci-jwks.json", &ci.jwks().to_string());
        Case {
            name: "oidc, generic, ES256, pinned keys",
            kind: "oidc",
            rests_on: Some((Signature::Es256, 1)),
            table: format!(
                "issuer = \"{issuer}\"\njwks_file = \"{file}\"\nclaims = {{ project_id = \"ci.repo_id\" }}\n"
            ),
            pieces: pieces(|nth| job(generic_job(), nth, &ci)),
            store: None,
        }
    }

    fn kubernetes(&self) -> Case {
        use cambio::attest::kubernetes::sim::ClusterSim;
        let issuer = "https://cluster.bench.example";
        let cluster = ClusterSim::new(issuer.to_owned(), "k", Arc::clone(&self.clock)).expect("a cluster");
        let file = self.file("cluster-jwks.json", &cluster.jwks().to_string());
        let pods = pieces(|nth| {
            let pod = cluster.run("shop", "deploy", &format!("deploy-{nth}"));
            cluster.sign(&cluster.claims(&pod, AUDIENCE)).expect("a token")
        });
        Case {
            name: "kubernetes, RS256, pinned keys",
            kind: "kubernetes",
            rests_on: Some((Signature::Rs256, 1)),
            table: format!("cluster = \"prod\"\nissuer = \"{issuer}\"\njwks_file = \"{file}\"\n"),
            pieces: pods,
            store: None,
        }
    }

    /// AWS signs with either of its keys.
    fn aws_iam(&self) -> [Case; 2] {
        let clock = Arc::clone(&self.clock);
        let account = AwsAccountSim::start(&self.loopback, Ec2Instance::example(), clock, Arc::new(SystemRandom));
        let account = account.expect("an account");
        let table = format!(
            "accounts = [{{ account = \"{}\", issuer = \"{}\" }}]\n{}",
            account.instance().account,
            account.issuer(),
            self.reach()
        );
        let case = |name, signature, pieces| Case {
            name,
            kind: "aws_iam",
            rests_on: Some((signature, 1)),
            table: table.clone(),
            pieces,
            store: None,
        };
        let claims = |_nth| account.claims(AUDIENCE);
        let rs256 = pieces(|nth| account.sign(&claims(nth)).expect("a token"));
        let es384 = pieces(|nth| account.sign_es384(&claims(nth)).expect("a token"));
        [
            case("aws_iam, token, RS256", Signature::Rs256, rs256),
            case("aws_iam, token, ES384", Signature::Es384, es384),
        ]
    }

    fn presigned(&self) -> Case {
        let bound = self.loopback.bind().expect("a port");
        let service = Arc::new(StsSim::new(Arc::clone(&self.clock)));
        let session = session();
        service.know(session.clone());
        (bound.serve)(Arc::clone(&service).router());
        let urls = pieces(|_nth| {
            let challenge = challenges().issue(&SystemRandom, now()).expect("a challenge");
            let question = Question {
                host: "sts.eu-central-1.amazonaws.com".to_owned(),
                region: "eu-central-1".to_owned(),
                signed: now(),
                expires: 60,
                challenge: challenge.as_str().to_owned(),
            };
            let url = BASE64_URL_SAFE_NO_PAD.encode(session.presign(&question));
            format!("cambio-aws-v1.{}.{url}", challenge.as_str())
        });
        Case {
            name: "aws_iam, presigned, one new TLS connection to STS",
            kind: "aws_iam",
            rests_on: None,
            table: format!(
                "accounts = [{{ account = \"123456789012\" }}]\n[presigned]\nregions = [\"eu-central-1\"]\nendpoint = \"{}\"\n{}",
                bound.url,
                self.reach()
            ),
            pieces: urls,
            store: None,
        }
    }

    fn aws_instance(&self) -> Case {
        let region = Arc::new(RegionSim::new("eu-central-1", 7).expect("a region"));
        let file = self.file("region.pem", &region.certificate_pem());
        Case {
            name: "aws_instance, PKCS#7, RSA with SHA-256",
            kind: "aws_instance",
            rests_on: Some((Signature::Rs256, 1)),
            table: format!("accounts = [\"123456789012\"]\n[certificate_files]\neu-central-1 = \"{file}\"\n"),
            pieces: pieces(|nth| {
                let id = format!("i-0123456789abcd{nth:03x}");
                let started = "2026-01-16T14:39:00Z";
                InstanceSim::start(Arc::clone(&region), "123456789012", &id, started).rsa2048()
            }),
            store: None,
        }
    }

    fn gcp_instance(&self) -> Case {
        let instance = Instance::example(now());
        let project = instance.project_number;
        let sim = GceSim::start(&self.loopback, instance, Arc::clone(&self.clock)).expect("an instance");
        Case {
            name: "gcp_instance, RS256",
            kind: "gcp_instance",
            rests_on: Some((Signature::Rs256, 1)),
            table: format!(
                "issuer = \"{}\"\nprojects = [\"{project}\"]\n{}",
                sim.issuer(),
                self.reach()
            ),
            pieces: pieces(|nth| {
                let mut claims = sim.claims(AUDIENCE);
                claims["google"]["compute_engine"]["instance_name"] = json!(format!("deploy-{nth}"));
                sim.sign(&claims).expect("a token")
            }),
            store: None,
        }
    }

    fn azure_identity(&self) -> Case {
        let machine = AzureMachine::example();
        let tenant = machine.tenant_id.clone();
        let sim = AzureSim::start(&self.loopback, machine, Arc::clone(&self.clock)).expect("a machine");
        Case {
            name: "azure_instance, managed identity, RS256",
            kind: "azure_instance",
            rests_on: Some((Signature::Rs256, 1)),
            table: format!(
                "tenants = [\"{tenant}\"]\naudience = \"{AUDIENCE}\"\nauthority = \"{}\"\n{}",
                sim.authority(),
                self.reach()
            ),
            pieces: pieces(|nth| {
                let mut claims = sim.claims(AUDIENCE, TokenVersion::One);
                claims.insert("uti".to_owned(), json!(format!("0123456789abcdefABC{nth:03}")));
                sim.sign(&claims).expect("a token")
            }),
            store: None,
        }
    }

    /// The document's signature, its signer's certificate, and the one above that, all RSA.
    fn azure_attested(&self) -> Case {
        let azure = Azure::new();
        let roots = self.file("azure-roots.pem", &pem(azure.root()));
        let intermediates = self.file("azure-intermediates.pem", &pem(azure.intermediate()));
        Case {
            name: "azure_instance, attested document, three RSA signatures",
            kind: "azure_instance",
            rests_on: Some((Signature::Rs256, 3)),
            table: format!(
                "tenants = [\"0f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f\"]\naudience = \"{AUDIENCE}\"\n[attested]\n\
                 subscriptions = [\"8d10da13-8125-4ba9-a717-bf7490507b3d\"]\nroots_file = \"{roots}\"\n\
                 intermediates_file = \"{intermediates}\"\n"
            ),
            pieces: pieces(|_nth| azure.evidence()),
            store: None,
        }
    }

    fn spiffe(&self) -> [Case; 2] {
        let domain = Domain::new();
        let file = self.file("partner.json", &domain.bundle().to_string());
        let case = |name, signatures, pieces| Case {
            name,
            kind: "spiffe",
            rests_on: Some((Signature::Es256, signatures)),
            table: format!(
                "trust_domains = [{{ name = \"partner.example\", bundle_file = \"{file}\" }}]\naudience = \"{AUDIENCE}\"\n"
            ),
            pieces,
            store: None,
        };
        let chains = (0..PIECES).map(|_nth| domain.chain()).collect();
        [
            case("spiffe, JWT-SVID, ES256", 1, pieces(|nth| domain.token(nth))),
            case(
                "spiffe, X.509-SVID, leaf and intermediate on P-256",
                2,
                Pieces::Chains(chains),
            ),
        ]
    }

    async fn join_token(&self) -> Case {
        let (store, url) = self.store("join").await;
        let mut tokens = Vec::new();
        for nth in 0..PIECES {
            tokens.push(
                ordered(&*store, &format!("press-{nth}"))
                    .await
                    .secret()
                    .expose()
                    .to_owned(),
            );
        }
        store.close().await;
        Case {
            name: "join_token, one look into the store",
            kind: "join_token",
            rests_on: None,
            table: String::new(),
            pieces: Pieces::Tokens(tokens),
            store: Some(url),
        }
    }

    async fn bound_key(&self) -> Case {
        let (store, url) = self.store("bound").await;
        let key = SigningKey::generate(SigningAlgorithm::Es256).expect("a key");
        register(&store, &key).await;
        store.close().await;
        let named = (&*bound_key::evidence::issuer(NAME), AUDIENCE);
        Case {
            name: "bound_key, ES256, one look into the store",
            kind: "bound_key",
            rests_on: Some((Signature::Es256, 1)),
            table: String::new(),
            pieces: pieces(|_nth| {
                let made = bound_key::evidence::make(&key, named, &SystemRandom, now());
                made.expect("evidence").expose().to_owned()
            }),
            store: Some(url),
        }
    }

    async fn store(&self, name: &str) -> (Arc<dyn Store>, String) {
        let url = format!("sqlite://{}/{name}.db", self.ground.path(name).display());
        (opened(&url).await, url)
    }
}

fn job(job: Job, nth: usize, ci: &Ci) -> String {
    let job = job
        .for_audience(AUDIENCE)
        .with("jti", format!("job-{nth}"))
        .issued_at(now());
    job.signed_by(ci).expect("a token").expose().to_owned()
}

/// Makes a join token as an operator does.
async fn ordered(store: &dyn Store, machine: &str) -> JoinToken {
    let ordered = Ordered {
        attestor: AttestorName::parse(NAME).expect("a name"),
        machine: Described {
            name: MachineName::parse(machine).expect("a name"),
            labels: Labels::default(),
        },
        life: Duration::from_mins(10),
        made_by: "uid 0".to_owned(),
    };
    let (token, row) = ordered.make(&SystemRandom, now()).expect("a token");
    assert!(store.add_join_tokens(&[row], now()).await.expect("a store"));
    token
}

/// Registers a machine's key as a gateway does.
async fn register(store: &Arc<dyn Store>, key: &SigningKey) {
    let own = OwnStore::default();
    own.begin(Arc::clone(store));
    let attestor = configured("bound_key", "", own);
    let token = ordered(&**store, "press-7").await;
    let evidence = Evidence::new(token.secret().clone(), None, Possession::Bearer);
    let jwk = serde_json::to_value(key.public_jwk("key")).expect("a key");
    let jwk: &Map<String, Value> = jwk.as_object().expect("a key");
    let new = NewKey::new(jwk, key.thumbprint().digest()).expect("a key");
    let keeper = attestor.keeps_keys().expect("a kind that keeps keys");
    let kept = keeper.register(&evidence, &new, now()).await.expect("a registration");
    let uses = [kept.expect("a registration").ledger];
    let committed = store.commit(&uses, Box::new(|_verdicts| Vec::new()), now()).await;
    committed.expect("a commit");
}
