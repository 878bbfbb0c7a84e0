//! The HTTPS client of the gateway's exchange listener.
//!
//! Never speaks plain HTTP, follows a redirect, or reads an unbounded answer: evidence goes to one place only.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use reqwest::{Certificate, Client, RequestBuilder, Response, redirect};
use serde_json::{Map, Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::{
    answer::{Answer, Refusal},
    client_certificate::ClientCertificateArguments,
    environment::Environment,
    exit::Exit,
    failure::Failure,
};
use crate::{
    attest::challenge::CHALLENGE_CHARACTERS,
    bounded_file::{self, MAX_AUTHORITIES_BYTES},
    http::routes::{bound_keys, challenge, exchange, token, whoami},
    secret::Secret,
};

/// Where the gateway is.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct GatewayArguments {
    /// The gateway's URL, exactly as its `exchange_url` [env: CAMBIO_GATEWAY].
    #[arg(long, value_name = "URL")]
    pub gateway: Option<String>,
    /// The only certificate authorities trusted for the gateway, as PEM; else those of the host [env: CAMBIO_CA_FILE].
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) certificate: ClientCertificateArguments,
}

/// A gateway.
#[derive(Debug)]
pub struct Gateway {
    url: String,
    client: Client,
    means: Means,
}

/// What binds the evidence of a request to its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The client certificate of the connection; a proof beside it would be refused.
    Certificate,
    /// A DPoP proof.
    Proof,
}

/// What a request presents: the evidence, and the proof of possession of its key, unless a certificate is that.
#[derive(Debug)]
pub struct Presented<'a> {
    /// The evidence.
    pub evidence: &'a Secret,
    /// The token of whoever acts for the workload.
    pub actor: Option<&'a Secret>,
    /// The DPoP proof for this request.
    pub proof: Option<Secret>,
}

impl Presented<'_> {
    /// Returns a request's body: who asks, and `more`.
    fn body(&self, more: Option<(&str, Value)>) -> Map<String, Value> {
        let token = |token: &Secret| json!({ "token": token.expose() });
        let evidence = Some(("evidence", token(self.evidence)));
        let actor = self.actor.map(|actor| ("actor", token(actor)));
        let members = [evidence, actor, more].into_iter().flatten();
        members.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Gateway {
    /// Takes the gateway of the arguments or the environment.
    ///
    /// # Errors
    /// Refuses where there is none, a URL that is not `https` with nothing after the port, and authorities or a client
    /// certificate that cannot be read.
    pub fn of(arguments: &GatewayArguments, environment: &Environment) -> Result<Self, Failure> {
        let named = arguments.gateway.as_deref().or(environment.variable("CAMBIO_GATEWAY"));
        let url = named.ok_or_else(|| {
            Failure::saying(Exit::Usage, "no gateway is named")
                .hint("give --gateway URL, or set CAMBIO_GATEWAY to the gateway's exchange_url")
        })?;
        let given = arguments.ca_file.clone().map(|file| ("--ca-file", file));
        let ca_file = given.or_else(|| Some(("CAMBIO_CA_FILE", environment.variable("CAMBIO_CA_FILE")?.into())));
        let mut builder = Client::builder()
            .https_only(true)
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(TOTAL);
        if let Some((option, file)) = &ca_file {
            let refused = |failed: anyhow::Error| {
                Failure::new(Exit::Usage, failed).context(format!("{option} names no certificate authorities"))
            };
            let authorities = authorities(file).map_err(refused)?;
            builder = builder.tls_certs_only(authorities);
        }
        let mut means = Means::Proof;
        if let Some(identity) = arguments.certificate.identity(environment)? {
            builder = builder.identity(identity);
            means = Means::Certificate;
        }
        Ok(Self {
            url: address(url)?,
            client: builder.build().context("the HTTPS client cannot be made")?,
            means,
        })
    }

    /// Returns what binds the evidence of this gateway's requests.
    pub fn means(&self) -> Means {
        self.means
    }

    /// Returns the URL of `/v1/exchange`, which a DPoP proof names.
    pub fn exchange_url(&self) -> String {
        format!("{}{}", self.url, exchange::PATH)
    }

    /// Returns the URL of `/v1/token`, which a DPoP proof names.
    pub fn token_url(&self) -> String {
        format!("{}{}", self.url, token::PATH)
    }

    /// Returns the URL of `/v1/whoami`, which a DPoP proof names.
    pub fn whoami_url(&self) -> String {
        format!("{}{}", self.url, whoami::PATH)
    }

    /// Asks who the workload is and what it may have; returns the gateway's JSON.
    ///
    /// # Errors
    /// Fails where the gateway cannot be reached, refuses the evidence, or somebody else answers.
    pub async fn whoami(&self, presented: &Presented<'_>) -> Result<Value, Failure> {
        let body = presented.body(None);
        let request = self.client.post(self.whoami_url()).json(&body);
        let (status, body, _) = self.answered(request, presented.proof.as_ref()).await?;
        match status {
            200 if body.get("attributes").is_some() => Ok(body),
            _ => Err(self.refused(&body, status)),
        }
    }

    /// Exchanges evidence for the native credentials of `relying_parties`.
    ///
    /// # Errors
    /// Fails where the gateway cannot be reached, refuses the request as a whole, or somebody else answers.
    pub async fn exchange(&self, presented: &Presented<'_>, relying_parties: &[String]) -> Result<Answer, Failure> {
        let body = presented.body(Some(("relying_parties", json!(relying_parties))));
        let request = self.client.post(self.exchange_url()).json(&body);
        let (status, body, _) = self.answered(request, presented.proof.as_ref()).await?;
        match Answer::of_exchange(&body, relying_parties, status) {
            Some(answer) => Ok(answer),
            None => Err(self.refused(&body, status)),
        }
    }

    /// Exchanges evidence for the JWT-SVID itself.
    ///
    /// # Errors
    /// Fails where the gateway cannot be reached, refuses, or somebody else answers.
    pub async fn svid(
        &self,
        presented: &Presented<'_>,
        relying_party: &str,
        now: SystemTime,
    ) -> Result<Answer, Failure> {
        let mut form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", presented.evidence.expose()),
            ("subject_token_type", JWT),
            ("requested_token_type", JWT),
            ("audience", relying_party),
        ];
        if let Some(actor) = presented.actor {
            form.extend([("actor_token", actor.expose()), ("actor_token_type", JWT)]);
        }
        let request = self.client.post(self.token_url()).form(&form);
        let (status, body, exchange_id) = self.answered(request, presented.proof.as_ref()).await?;
        let answer = (status == 200).then(|| Answer::of_token(&body, relying_party, exchange_id, now));
        match answer.flatten() {
            Some(answer) => Ok(answer),
            None => Err(self.refused(&body, status)),
        }
    }

    /// Asks for a challenge, which a platform signs; it stands for a minute and serves once.
    ///
    /// # Errors
    /// Fails where the gateway cannot be reached, refuses, or somebody else answers.
    pub async fn challenge(&self) -> Result<String, Failure> {
        let request = self.client.post(format!("{}{}", self.url, challenge::PATH));
        let (status, body, _) = self.answered(request, None).await?;
        // It becomes a header and a part of a URL.
        let plain = |text: &&str| {
            let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            text.len() == CHALLENGE_CHARACTERS && text.bytes().all(byte)
        };
        match body.get("challenge").and_then(Value::as_str).filter(plain) {
            Some(challenge) if status == 200 => Ok(challenge.to_owned()),
            _ => Err(self.refused(&body, status)),
        }
    }

    /// Returns the URL of `/v1/bound-keys`, which a DPoP proof names.
    pub fn bound_keys_url(&self) -> String {
        format!("{}{}", self.url, bound_keys::PATH)
    }

    /// Asks to keep a machine's key; returns what its holder must know.
    ///
    /// # Errors
    /// Fails where the gateway cannot be reached, refuses, or somebody else answers.
    pub async fn keep_key(&self, asked: &Value) -> Result<Value, Failure> {
        let request = self.client.post(self.bound_keys_url()).json(asked);
        let (status, body, _) = self.answered(request, None).await?;
        match status {
            201 => Ok(body),
            _ => Err(self.refused(&body, status)),
        }
    }

    async fn answered(
        &self,
        request: RequestBuilder,
        proof: Option<&Secret>,
    ) -> Result<(u16, Value, Option<String>), Failure> {
        let unreachable = |failed: reqwest::Error| self.unreachable(failed);
        let request = match proof {
            None => request,
            Some(proof) => request.header("dpop", proof.expose()),
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let exchange_id = response.headers().get("cambio-exchange-id");
        let exchange_id = exchange_id.and_then(|id| id.to_str().ok()).map(str::to_owned);
        let body = read(response, MAX_BODY_BYTES).await.map_err(unreachable)?;
        let body = body.and_then(|body| serde_json::from_slice(&body).ok());
        match body {
            Some(body) => Ok((status, body, exchange_id)),
            None => Err(self.foreign(status)),
        }
    }

    fn unreachable(&self, failed: reqwest::Error) -> Failure {
        let untrusted = is_untrusted(&failed);
        let failure = Failure::new(Exit::Unreachable, failed.without_url());
        if untrusted {
            return failure
                .context(format!(
                    "the certificate of the gateway at `{}` is not trusted",
                    self.url
                ))
                .hint("set CAMBIO_CA_FILE, or give --ca-file, to the authority that signed it");
        }
        failure
            .context(format!("the gateway at `{}` cannot be reached", self.url))
            .hint("check --gateway and the network")
    }

    fn refused(&self, body: &Value, status: u16) -> Failure {
        match Refusal::read(body, status) {
            Some(refusal) => refusal.failure().context("the gateway refused the request"),
            None => self.foreign(status),
        }
    }

    /// Not our problem details: a proxy or load balancer, or no gateway at all.
    fn foreign(&self, status: u16) -> Failure {
        let exit = match status {
            502..=504 => Exit::Unreachable,
            _ => Exit::Failed,
        };
        Failure::saying(
            exit,
            format_args!(
                "found status {status} without one of its answers from `{}`, expected a Cambio gateway",
                self.url
            ),
        )
        .hint("check --gateway: it must be the exchange listener, and nothing between may answer for it")
    }
}

/// Reads at most `limit` bytes of a body; `None` where there are more.
pub(super) async fn read(mut response: Response, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>, reqwest::Error> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// Tells whether somebody answered whose certificate was refused.
fn is_untrusted(failed: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(failed);
    while let Some(error) = next {
        // An I/O error names what its inner error is from, and not that error itself.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let refused = match inner {
            Some(inner) => inner.downcast_ref::<rustls::Error>(),
            None => error.downcast_ref::<rustls::Error>(),
        };
        if matches!(refused, Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

fn authorities(file: &Path) -> anyhow::Result<Vec<Certificate>> {
    let unreadable = || format!("the certificate authorities in `{}` cannot be read", file.display());
    let pem = bounded_file::read_or_wait(file, MAX_AUTHORITIES_BYTES).with_context(unreadable)?;
    let found = Certificate::from_pem_bundle(&pem).with_context(unreadable)?;
    if found.is_empty() {
        anyhow::bail!("found no certificate in `{}`, expected at least one", file.display());
    }
    Ok(found)
}

/// Returns scheme, host and port: what DPoP proofs are about.
fn address(text: &str) -> Result<String, Failure> {
    let refused = |found: &dyn std::fmt::Display| {
        Failure::saying(
            Exit::Usage,
            format_args!("the gateway is {found}, expected `https://host` with an optional port"),
        )
    };
    let url = Url::parse(text).map_err(|why| refused(&format_args!("no URL ({why})")))?;
    let bare =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if url.scheme() != "https" || url.path() != "/" || !bare {
        return Err(refused(&format_args!(
            "another kind of URL, of scheme `{}`",
            url.scheme()
        )));
    }
    Ok(url.origin().ascii_serialization())
}

const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const CONNECT: Duration = Duration::from_secs(5);
/// The gateway ends a request after 30 s (LIMITS.md); the rest is for the way.
const TOTAL: Duration = Duration::from_secs(35);
/// 16 credentials of at most some 10 KiB each.
const MAX_BODY_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounded_file::sample;

    #[test]
    fn takes_1_mib_of_authorities_and_refuses_one_byte_more() {
        let (most, more) = (sample::authorities(1024 * 1024), sample::authorities(1024 * 1024 + 1));

        assert!(authorities(most.path()).is_ok());
        let refused = format!("{:#}", authorities(more.path()).unwrap_err());
        assert!(refused.contains("more than the 1048576 bytes"), "{refused}");
    }

    #[test]
    fn a_gateway_is_an_https_origin() {
        assert_eq!(
            address("https://exchange.acme.example:9443/").unwrap(),
            "https://exchange.acme.example:9443"
        );
        assert_eq!(address("https://a.example:443").unwrap(), "https://a.example");
    }

    #[test]
    fn refuses_a_gateway_that_is_no_bare_https_origin() {
        for text in [
            "http://127.0.0.1:9443",
            "https://a.example/v1",
            "https://a.example/?x",
            "https://u:canary@a.example",
            "a.example",
        ] {
            let refused = address(text).unwrap_err();
            assert_eq!(refused.exit(), Exit::Usage, "{text}");
            assert!(!format!("{refused:?}").contains("canary"), "{text}");
        }
    }
}
