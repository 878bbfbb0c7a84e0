//! `cambio keys`: shows the signing keys, replaces them in order, or drops a compromised one.
//!
//! Goes through the admin socket, so that every change is in the trail.

pub mod outside_root;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{
    Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use serde_json::{Value, json};

use super::{
    admin_socket::{AdminArguments, AdminSocket},
    environment::Environment,
    exit::Exit,
    failure::{Failure, plain},
    output::{Format, Output},
};
use crate::{jose::SigningAlgorithm, mint::authority::Purpose};

/// Arguments of `cambio keys`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
    #[command(flatten)]
    admin: AdminArguments,
    /// How to print.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub output: Format,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Prints the request for the intermediate that an authority outside is to certify, where the root is outside.
    Csr(outside_root::RequestArguments),
    /// Installs the chain that the authority outside gave for the request.
    InstallChain(outside_root::ChainArguments),
    /// Lists the keys: where each stands, who sees it, and what somebody should look at.
    List,
    /// Drops a compromised key at once, and says who breaks until when.
    Revoke {
        /// The key id, as `list` shows it.
        // One of 64 begins with the hyphen of base64url.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Says that the key is compromised: its successor does not wait for anybody.
        #[arg(long, required = true)]
        compromised: bool,
    },
    /// Prepares successors now; each signs once it was published everywhere for the lead (24 h by default).
    Rotate {
        /// Only keys that sign this; without it all but roots, which others have pinned. The key of checkpoints stays.
        #[arg(long, ignore_case = true, value_parser = purposes())]
        purpose: Option<Purpose>,
        /// Only keys of this algorithm.
        #[arg(long, ignore_case = true, value_parser = algorithms())]
        algorithm: Option<&'static str>,
    },
}

/// Lists, rotates or revokes keys.
pub async fn run(arguments: Arguments, environment: &Environment, output: &mut Output<'_>) -> ExitCode {
    match keys(&arguments, environment, output).await {
        Ok(()) => Exit::Done.into(),
        Err(failure) => failure.report(output).into(),
    }
}

async fn keys(arguments: &Arguments, environment: &Environment, output: &mut Output<'_>) -> Result<(), Failure> {
    let admin = AdminSocket::of(&arguments.admin, environment)?;
    match &arguments.action {
        Action::Csr(asked) => outside_root::request((&admin, asked), arguments.output, output).await?,
        Action::InstallChain(brought) => outside_root::install((&admin, brought), arguments.output, output).await?,
        Action::List => {
            let keys = read(&admin.get(KEYS, &[]).await?)?;
            match arguments.output {
                Format::Json => output.result(&keys)?,
                Format::Text => list(&keys, output)?,
            }
        }
        Action::Revoke { kid, compromised } => {
            let body = json!({ "kid": kid, "compromised": compromised });
            let revoked = admin.post(&format!("{KEYS}/revoke"), &body).await;
            let revoked = read(&revoked.map_err(|failure| failure.hint_first("cambio keys list"))?)?;
            match arguments.output {
                Format::Json => output.result(&revoked)?,
                Format::Text => say_revoked(&revoked, output)?,
            }
        }
        Action::Rotate { purpose, algorithm } => {
            let mut body = json!({});
            let purpose = purpose.map(Purpose::as_str);
            for (name, value) in [("purpose", purpose), ("algorithm", *algorithm)] {
                if let (Some(value), Value::Object(members)) = (value, &mut body) {
                    members.insert(name.to_owned(), value.into());
                }
            }
            let rotated = read(&admin.post(&format!("{KEYS}/rotate"), &body).await?)?;
            match arguments.output {
                Format::Json => output.result(&rotated)?,
                Format::Text => list(&rotated, output)?,
            }
        }
    }
    Ok(())
}

fn purposes() -> impl TypedValueParser<Value = Purpose> {
    let rotated = Purpose::ALL.into_iter().filter(|purpose| *purpose != Purpose::Audit);
    let words = PossibleValuesParser::new(rotated.map(Purpose::as_str));
    words.try_map(|word| {
        let mut known = Purpose::ALL.into_iter();
        let purpose = known.find(|known| known.as_str().eq_ignore_ascii_case(&word));
        purpose.ok_or("is no purpose")
    })
}

fn algorithms() -> impl TypedValueParser<Value = &'static str> {
    let ours = || SigningAlgorithm::ALL.into_iter().map(|one| one.algorithm().as_str());
    let words = PossibleValuesParser::new(ours());
    words.try_map(move |word| {
        let algorithm = ours().find(|known| known.eq_ignore_ascii_case(&word));
        algorithm.ok_or("is no algorithm that a key of ours signs with")
    })
}

fn list(shown: &Value, output: &mut Output<'_>) -> Result<(), Failure> {
    output.result(format_args!(
        "{:<45}{:<19}{:<11}{:<11}NEXT",
        "KEY", "PURPOSE", "ALGORITHM", "STATE"
    ))?;
    for key in elements(shown, "keys") {
        let (kid, purpose) = (text(key, "kid"), text(key, "purpose"));
        let (algorithm, state) = (text(key, "algorithm"), text(key, "state"));
        let next = next(key);
        output.result(format_args!("{kid:<45}{purpose:<19}{algorithm:<11}{state:<11}{next}"))?;
        for place in elements(key, "places") {
            let seen = place.get("seen").and_then(Value::as_str);
            let seen = seen.map_or_else(|| "not seen".to_owned(), |at| format!("seen {}", plain(at)));
            output.result(format_args!("  {}: {seen}", text(place, "place")))?;
        }
        for replica in elements(key, "replicas") {
            let publishes = replica.get("publishes").and_then(Value::as_bool) == Some(true);
            let says = if publishes {
                "publishes it"
            } else {
                "does not publish it"
            };
            output.result(format_args!("  replica {}: {says}", text(replica, "replica")))?;
        }
    }
    for alarm in elements(shown, "alarms").filter_map(Value::as_str) {
        output.note(format_args!("alarm: {}", plain(alarm)));
    }
    if let Some(unreachable) = shown.get("unreachable").and_then(Value::as_object) {
        for (place, why) in unreachable {
            let why = why.as_str().unwrap_or_default();
            output.note(format_args!("{} cannot be looked at: {}", plain(place), plain(why)));
        }
    }
    if let Some(failure) = shown.get("failure").and_then(Value::as_str) {
        output.note(format_args!("the last round failed: {}", plain(failure)));
    }
    Ok(())
}

fn next(key: &Value) -> String {
    let at = |name: &str| key.get(name).and_then(Value::as_str).map(plain);
    if let Some(waits) = at("waits_for") {
        return format!("waits for its {waits}");
    }
    if let Some(at) = at("earliest_activation") {
        return format!("may sign from {at}");
    }
    if let Some(at) = at("removed_after") {
        return format!("published until {at}");
    }
    if text(key, "algorithm") == "outside" {
        return format!("ends {}", text(key, "expires"));
    }
    at("successor_signs").map_or_else(|| "-".to_owned(), |at| format!("successor signs from {at}"))
}

fn say_revoked(revoked: &Value, output: &mut Output<'_>) -> Result<(), Failure> {
    let kid = text(revoked, "kid");
    let successor = revoked.get("successor").and_then(Value::as_str).map(plain);
    match successor {
        Some(successor) => output.result(format_args!("{kid} is dropped, {successor} signs in its place"))?,
        None => output.result(format_args!("{kid} is dropped"))?,
    }
    if let Some(refused) = revoked.get("refused").filter(|refused| refused.is_object()) {
        let (what, until) = (text(refused, "what"), text(refused, "until"));
        output.result(format_args!(
            "refused from now on: {what}; the last of them ends {until}"
        ))?;
    }
    if let Some(unknown) = revoked.get("unknown").filter(|unknown| unknown.is_object()) {
        let (what, until) = (text(unknown, "what"), text(unknown, "until"));
        output.result(format_args!("may be refused until {until}: {what}"))?;
        for party in elements(unknown, "relying_parties").filter_map(Value::as_str) {
            output.result(format_args!("  {}", plain(party)))?;
        }
    }
    Ok(())
}

fn elements<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: &Value, name: &str) -> String {
    plain(value.get(name).and_then(Value::as_str).unwrap_or("-"))
}

fn read(body: &str) -> Result<Value, Failure> {
    let body = serde_json::from_str(body).context("the gateway's answer cannot be read");
    body.map_err(Failure::from)
}

const KEYS: &str = "/v1/keys";

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;
    use serde_json::Value;

    use crate::cli::fixture::{Ran, Surroundings};

    async fn listed(world: &Surroundings) -> Value {
        let ran = world.runs(&["keys", "list", "--output", "json"]).await;
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    fn of<'a>(listed: &'a Value, algorithm: &str, state: &str) -> Option<&'a str> {
        let mut keys = listed["keys"].as_array().unwrap().iter();
        let key = keys.find(|key| key["purpose"] == "jwt" && key["algorithm"] == algorithm && key["state"] == state);
        key.and_then(|key| key["kid"].as_str())
    }

    async fn until(world: &Surroundings, algorithm: &str, state: &str) -> Value {
        for _ in 0..100 {
            let listed = listed(world).await;
            if of(&listed, algorithm, state).is_some() {
                return listed;
            }
            world.runs(&["keys", "rotate", "--algorithm", algorithm]).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no {algorithm} key became {state}: {}", listed(world).await)
    }

    fn in_order(ran: &Ran) -> &Ran {
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
        ran
    }

    #[test]
    fn a_key_id_may_begin_with_a_hyphen() {
        for words in [
            ["-Zk3", "--compromised"],
            ["--compromised", "-Zk3"],
            ["--compromised", "--k3"],
        ] {
            let words = ["cambio", "keys", "revoke"].into_iter().chain(words);

            let parsed = crate::cli::Arguments::try_parse_from(words.clone());

            assert!(parsed.is_ok(), "{:?}: {:?}", words.collect::<Vec<_>>(), parsed.err());
        }
        let none = crate::cli::Arguments::try_parse_from(["cambio", "keys", "revoke", "--compromised"]);
        assert!(none.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_rotation_shows_how_far_the_successor_has_come_and_ends_with_it() {
        let world = Surroundings::new().await;
        let first = of(&listed(&world).await, "ES256", "active").unwrap().to_owned();

        let rotated = world
            .runs(&["keys", "rotate", "--purpose", "jwt", "--algorithm", "ES256"])
            .await;
        let rotated = in_order(&rotated);
        assert!(rotated.stdout.contains("may sign from"), "{}", rotated.stdout);
        assert!(rotated.stdout.contains(": seen "), "{}", rotated.stdout);
        assert!(rotated.stdout.contains("publishes it"), "{}", rotated.stdout);
        let observed = until(&world, "ES256", "observed").await;
        let next = of(&observed, "ES256", "observed").unwrap().to_owned();

        world.wait(Duration::from_secs(11)).await;
        world.runs(&["keys", "rotate", "--algorithm", "RS256"]).await;

        let after = listed(&world).await;
        assert_eq!(of(&after, "ES256", "active"), Some(next.as_str()), "{after}");
        assert_eq!(of(&after, "ES256", "retired"), Some(first.as_str()), "{after}");
        let given = world.job_runs(&world.token(), &["creds", "aws-dev"]).await;
        assert_eq!(given.exit, 0, "{}", given.stderr);
        world.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_compromised_key_is_dropped_and_it_is_said_who_breaks() {
        let world = Surroundings::new().await;
        let bad = of(&listed(&world).await, "RS256", "active").unwrap().to_owned();

        let revoked = world.runs(&["keys", "revoke", &bad, "--compromised"]).await;

        let said = &in_order(&revoked).stdout;
        for part in ["is dropped,", "refused from now on", "may be refused until", "aws-dev"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let after = listed(&world).await;
        assert!(!after.to_string().contains(&bad), "{after}");
        let given = world.job_runs(&world.token(), &["creds", "aws-dev"]).await;
        assert_eq!(given.exit, 0, "{}", given.stderr);
        let trail = world.runs(&["audit", "query", "--kind", "change"]).await;
        assert!(
            trail.stdout.contains("it is compromised"),
            "{}{}",
            trail.stdout,
            trail.stderr
        );
        world.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_done_is_refused_with_the_reason() {
        let world = Surroundings::new().await;

        let unknown = world.runs(&["keys", "revoke", "nobody", "--compromised"]).await;
        let none = [
            "keys",
            "rotate",
            "--purpose",
            "x509_intermediate",
            "--algorithm",
            "rs256",
        ];
        let none = world.runs(&none).await;

        assert_eq!((unknown.exit, none.exit), (1, 1));
        assert!(unknown.stderr.contains("cambio keys list"), "{}", unknown.stderr);
        let why = "parameter `purpose` cannot be served: found no active key";
        assert!(none.stderr.contains(why), "{}", none.stderr);
        world.stop().await;
    }

    #[test]
    fn rotate_takes_the_words_of_our_keys_in_any_case_and_no_others() {
        use clap::Parser as _;

        let taken = |option: &str, word: &str| {
            crate::cli::Arguments::try_parse_from(["cambio", "keys", "rotate", option, word]).is_ok()
        };

        for word in ["jwt", "JWT", "x509_intermediate", "x509_root"] {
            assert!(taken("--purpose", word), "{word}");
        }
        for word in ["es256", "ES256", "rs256"] {
            assert!(taken("--algorithm", word), "{word}");
        }
        for (option, word) in [("--purpose", "audit"), ("--purpose", "jtw"), ("--algorithm", "ES384")] {
            assert!(!taken(option, word), "{word}");
        }
    }
}
