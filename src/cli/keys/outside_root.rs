//! `cambio keys csr` and `cambio keys install-chain`: how an authority outside certifies our intermediates.
//!
//! Prints nothing secret: the key of a request stays sealed in the store.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::{KEYS, read, text};
use crate::{
    bounded_file,
    cli::{
        admin_socket::AdminSocket,
        failure::Failure,
        output::{Format, Output},
    },
};

/// Arguments of `cambio keys csr`.
#[derive(Debug, Args)]
pub struct RequestArguments {
    /// What the key is for; only x509_intermediate is certified by others.
    #[arg(long)]
    purpose: String,
}

/// Arguments of `cambio keys install-chain`.
#[derive(Debug, Args)]
pub struct ChainArguments {
    /// The chain in PEM: the intermediate first, the root last; the root may be left out once it is pinned.
    file: PathBuf,
    /// Pins the chain's root beside the one that is pinned, which goes once this one was seen everywhere for the lead.
    #[arg(long)]
    new_root: bool,
}

/// Prints the request that waits on stdout, and on stderr what is to be certified.
pub(super) async fn request(
    (admin, arguments): (&AdminSocket, &RequestArguments),
    format: Format,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let body = json!({ "purpose": arguments.purpose });
    let request = read(&admin.post(&format!("{KEYS}/csr"), &body).await?)?;
    match format {
        Format::Json => output.result(&request)?,
        Format::Text => {
            let csr = request.get("csr").and_then(Value::as_str);
            output.result(csr.context("the gateway's answer holds no request")?.trim_end())?;
            explain(&request, output);
        }
    }
    Ok(())
}

fn explain(request: &Value, output: &mut Output<'_>) {
    let none = Value::Null;
    let wanted = request.get("wanted").unwrap_or(&none);
    let days = |name: &str| wanted.get(name).and_then(Value::as_u64).unwrap_or(0) / DAY;
    output.note(format_args!("key {} waits for a chain; certify:", text(request, "kid")));
    output.note(format_args!("  Subject           {}", text(wanted, "subject")));
    output.note(format_args!(
        "  BasicConstraints  {}",
        text(wanted, "basic_constraints")
    ));
    output.note(format_args!("  KeyUsage          {}", text(wanted, "key_usage")));
    output.note(format_args!("  URI               {}", text(wanted, "uri")));
    output.note(format_args!(
        "  valid             {} to {} days from its installation on, not beyond its issuer",
        days("least_seconds"),
        days("most_seconds")
    ));
    output.note("then: cambio keys install-chain FILE");
}

/// Installs a chain.
pub(super) async fn install(
    (admin, arguments): (&AdminSocket, &ChainArguments),
    format: Format,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let body = json!({ "chain": chain(&arguments.file)?, "new_root": arguments.new_root });
    let installed = admin.post(&format!("{KEYS}/chain"), &body).await;
    let installed = installed.map_err(|failure| failure.hint("cambio keys csr --purpose x509_intermediate"))?;
    let installed = read(&installed)?;
    match format {
        Format::Json => output.result(&installed)?,
        Format::Text => {
            let (kid, root) = (text(&installed, "kid"), text(&installed, "root"));
            let until = text(&installed, "expires");
            output.result(format_args!("{kid} is certified under the root {root} until {until}"))?;
        }
    }
    Ok(())
}

fn chain(file: &Path) -> Result<String, Failure> {
    let unreadable = || format!("`{}` cannot be read", file.display());
    let bytes = bounded_file::read_or_wait(file, MAX_BYTES).with_context(unreadable)?;
    let text = String::from_utf8(bytes).with_context(unreadable);
    text.map_err(Failure::from)
}

/// As much as the gateway reads of a chain.
const MAX_BYTES: u64 = 32 * 1024;
const DAY: u64 = 24 * 60 * 60;

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests {
    use serde_json::Value;

    use crate::cli::fixture::Surroundings;

    async fn outside() -> Surroundings {
        Surroundings::with(|configuration| format!("{configuration}\n[x509]\nroot = \"outside\"\n")).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_request_is_on_stdout_alone_and_what_is_wanted_beside_it() {
        let world = outside().await;

        let text = world.runs(&["keys", "csr", "--purpose", "x509_intermediate"]).await;
        let json = world
            .runs(&["keys", "csr", "--purpose", "x509_intermediate", "--output", "json"])
            .await;
        let listed = world.runs(&["keys", "list"]).await;

        assert_eq!((text.exit, json.exit, listed.exit), (0, 0, 0), "{}", text.stderr);
        assert!(
            text.stdout.starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"),
            "{}",
            text.stdout
        );
        assert!(
            text.stdout.ends_with("-----END CERTIFICATE REQUEST-----\n"),
            "{}",
            text.stdout
        );
        for part in [
            "pathLen 0",
            "cRLSign",
            "spiffe://dev.cambio.test",
            "6 to 30 days",
            "CN=Cambio intermediate ",
        ] {
            assert!(text.stderr.contains(part), "{part}: {}", text.stderr);
        }
        let json: Value = serde_json::from_str(&json.stdout).unwrap();
        assert!(
            text.stderr.contains(json["kid"].as_str().unwrap()),
            "the same key waits"
        );
        assert!(listed.stdout.contains("waits for its chain"), "{}", listed.stdout);
        assert!(listed.stderr.contains("waits for a chain"), "{}", listed.stderr);
        world.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_refused_chain_ends_with_1_and_says_what_was_found() {
        let world = outside().await;
        let file = world.directory.path().join("chain.pem");
        let path = file.to_str().unwrap();
        let install = async |content: &str| {
            std::fs::write(&file, content).unwrap();
            world.runs(&["keys", "install-chain", path, "--new-root"]).await
        };

        let absent = world.runs(&["keys", "install-chain", path]).await;
        let text = install("canary").await;
        let fits = install(&" ".repeat(32 * 1024)).await;
        let longer = install(&" ".repeat(32 * 1024 + 1)).await;

        for refused in [&absent, &text, &fits, &longer] {
            assert_eq!((refused.exit, refused.stdout.as_str()), (1, ""), "{}", refused.stderr);
        }
        assert!(absent.stderr.contains("cannot be read"), "{}", absent.stderr);
        assert!(text.stderr.contains("chain.malformed"), "{}", text.stderr);
        assert!(text.stderr.contains("cambio keys csr"), "{}", text.stderr);
        assert!(!text.stderr.contains("canary"));
        assert!(fits.stderr.contains("holds no certificate"), "{}", fits.stderr);
        assert!(
            longer.stderr.contains("more than the 32768 bytes expected at most"),
            "{}",
            longer.stderr
        );
        world.stop().await;
    }
}
