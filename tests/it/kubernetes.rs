//! Pods from outside: a cluster's token goes in, an SVID comes out, and no longer once the pod is gone.

use std::sync::Arc;

use cambio::{
    attest::kubernetes::sim::{ClusterSim, Pod},
    clock::{self, FakeClock},
    sim::{Listen as _, Mutation, server::Loopback},
};

use crate::world::{Answer, World};

/// A simulated cluster with a CA of its own, which an attestor of the world's gateway believes.
struct Cluster {
    world: World,
    simulated: Arc<ClusterSim>,
    clock: Arc<FakeClock>,
    _directory: tempfile::TempDir,
    _stop: tokio::sync::watch::Sender<bool>,
}

impl Cluster {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let now = clock::system().now();
        let (loopback, files, switch) = Loopback::throw_away(directory.path(), now).unwrap();
        let bound = loopback.bind().unwrap();
        let clock = FakeClock::at(&clock::rfc3339(now));
        let told: Arc<dyn clock::Clock> = Arc::<FakeClock>::clone(&clock);
        let simulated = Arc::new(ClusterSim::new(bound.url.clone(), "kid-1", told).unwrap());
        (bound.serve)(Arc::clone(&simulated).router());
        simulated.let_review("reviewer");
        let reviewer = directory.path().join("reviewer");
        std::fs::write(&reviewer, "reviewer").unwrap();
        let reach = format!(
            "ca_file = \"{}\"\nallow_addresses = [\"127.0.0.0/8\"]\n",
            files.ca.display()
        );
        let tables = format!(
            "[[attestor]]\nname = \"cluster\"\nkind = \"kubernetes\"\ncluster = \"dev\"\nissuer = \"{0}\"\n{reach}\n\
             [attestor.token_review]\nurl = \"{0}\"\ncredential_file = \"{1}\"\n{reach}\n\
             [[entry]]\nname = \"pod\"\nattestor = \"cluster\"\n\
             match = {{ \"k8s.namespace\" = \"shop\", \"k8s.service_account\" = \"deploy\" }}\n\
             spiffe_id = \"/k8s/dev/shop/deploy\"\n\n\
             [[relying_party]]\nname = \"inner\"\nkind = \"svid\"\naudience = \"https://inner.test\"\n\n\
             [[grant]]\nname = \"pods\"\nentries = [\"pod\"]\nrelying_parties = [\"inner\"]\nttl = \"20m\"\n\
             release = [\"svid\"]\n\n",
            bound.url,
            reviewer.display(),
        );
        let world =
            World::start_with(|configuration| configuration.replacen("[[grant]]", &format!("{tables}[[grant]]"), 1))
                .await;
        Self {
            world,
            simulated,
            clock,
            _directory: directory,
            _stop: switch,
        }
    }

    /// Asks with the token that the kubelet would mount into the pod now.
    async fn ask(&self, pod: &Pod) -> Answer {
        self.clock.set(self.world.now());
        let claims = self.simulated.claims(pod, &self.world.development.issuer);
        let token = self.simulated.sign(&claims).unwrap();
        self.world.exchange(&token, &["inner"]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t_68_a_pod_that_was_deleted_gets_nothing_more() {
    let cluster = Cluster::start().await;
    let pod = cluster.simulated.run("shop", "deploy", "deploy-1");

    let before = cluster.ask(&pod).await;
    cluster.simulated.delete_pod(&pod);
    let after = cluster.ask(&pod).await;

    assert_eq!(before.status, 200, "{}", before.text);
    assert_eq!(
        before.text_at("/spiffe_id"),
        "spiffe://dev.cambio.test/k8s/dev/shop/deploy"
    );
    assert_eq!(
        (after.status, after.code().as_str()),
        (400, "attest.review_refused"),
        "{}",
        after.text
    );
    let entries = cluster.world.trail_of(&after.text_at("/exchange_id")).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["code"], "attest.review_refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_answer_attests_nobody() {
    let cluster = Cluster::start().await;
    let pod = cluster.simulated.run("shop", "deploy", "deploy-1");
    cluster.simulated.mutations().push(Mutation::ServerError);

    let silent = cluster.ask(&pod).await;
    let recovered = cluster.ask(&pod).await;

    assert_eq!(
        (silent.status, silent.code().as_str()),
        (503, "attest.review_unavailable"),
        "{}",
        silent.text
    );
    assert_ne!(silent.header("retry-after"), "");
    assert_eq!(recovered.status, 200, "{}", recovered.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_of_another_service_account_is_nobody() {
    let cluster = Cluster::start().await;
    let other = cluster.simulated.run("shop", "default", "web-1");

    let answer = cluster.ask(&other).await;

    assert_eq!(answer.code(), "identify.no_entry", "{}", answer.text);
}
