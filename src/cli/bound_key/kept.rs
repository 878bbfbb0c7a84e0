//! This machine's key on its disk.
//!
//! Never shows the key, never leaves half a file, and never loses a key that the gateway may know already.

use std::path::Path;

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::StateArguments;
use crate::{
    attest::bound_key::evidence,
    cli::{
        environment::Environment,
        exit::Exit,
        failure::Failure,
        proof_key::{self, KeyDirectory},
    },
    jose::{SigningAlgorithm, SigningKey},
    secret::Secret,
};

/// The directory that keeps the key.
#[derive(Debug)]
pub(super) struct State(KeyDirectory);

/// The key, and what its holder must know to use it.
pub(super) struct Kept {
    key: SigningKey,
    issuer: String,
    audience: String,
}

impl State {
    /// Opens the directory of the arguments or the environment.
    pub(super) fn open(arguments: &StateArguments, environment: &Environment) -> Result<Self, Failure> {
        let named = arguments.state_dir.as_deref();
        let named = named.or_else(|| environment.variable(STATE_DIR).map(Path::new));
        let base = named.ok_or_else(|| {
            Failure::saying(Exit::Usage, "no directory for this machine's key is named")
                .hint("give --state-dir PATH, or set CAMBIO_STATE_DIR")
        })?;
        let directory = KeyDirectory::at(base);
        let directory = directory.with_context(|| format!("`{}` cannot keep a key", base.display()))?;
        Ok(Self(directory))
    }

    /// Returns whether this machine has a key.
    pub(super) fn is_registered(&self) -> Result<bool, Failure> {
        Ok(self.0.read_bytes(CURRENT)?.is_some())
    }

    /// Returns this machine's key.
    pub(super) fn kept(&self) -> Result<Kept, Failure> {
        let bytes = self.0.read_bytes(CURRENT)?.ok_or_else(|| {
            Failure::saying(Exit::Unattested, "this machine has no key")
                .hint("register one with: cambio bound-key register --join-token-file PATH")
        })?;
        let path = self.0.path_of(CURRENT);
        Ok(Kept::read(&bytes).with_context(|| format!("`{}` is broken", path.display()))?)
    }

    /// Returns the key that shall take the place of this machine's key; once made it stays until it does.
    pub(super) fn next(&self, environment: &Environment) -> Result<SigningKey, Failure> {
        let key = self.0.named(NEXT, &*environment.random)?;
        self.0.flush(NEXT)?;
        Ok(key)
    }

    /// Keeps a key in the place of the one before.
    pub(super) fn keep(&self, kept: &Kept, environment: &Environment) -> Result<(), Failure> {
        self.0.replace(CURRENT, &kept.written()?, &*environment.random)?;
        self.0.remove(NEXT);
        Ok(())
    }
}

impl Kept {
    /// Takes a key with what the gateway answered.
    pub(super) fn of(key: SigningKey, answer: &Value) -> Result<Self, Failure> {
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        let found = (text("issuer"), text("audience"), text("thumbprint"));
        match found {
            (Some(issuer), Some(audience), Some(thumbprint)) if thumbprint == key.thumbprint().to_string() => {
                Ok(Self { key, issuer, audience })
            }
            (_, _, _) => Err(Failure::saying(
                Exit::Failed,
                "the gateway's answer is not about this key, expected its issuer, audience and thumbprint",
            )),
        }
    }

    /// Makes evidence for one request.
    pub(super) fn evidence(&self, environment: &Environment) -> Result<Secret, Failure> {
        let named = (self.issuer.as_str(), self.audience.as_str());
        let made = evidence::make(&self.key, named, &*environment.random, environment.clock.now());
        Ok(made.context("no evidence can be made")?)
    }

    fn written(&self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        let pkcs8 = Zeroizing::new(BASE64_STANDARD.encode(self.key.to_pkcs8()?.as_slice()));
        let text = json!({ "audience": self.audience, "issuer": self.issuer, "pkcs8": pkcs8.as_str() });
        Ok(Zeroizing::new(text.to_string().into_bytes()))
    }

    fn read(bytes: &[u8]) -> anyhow::Result<Self> {
        // No cause is told: it would repeat what stands there.
        let found: Option<Value> = serde_json::from_slice(bytes).ok();
        let text = |name: &str| found.as_ref().and_then(|found| found.get(name)?.as_str());
        let parts = text("pkcs8").zip(text("issuer")).zip(text("audience"));
        let ((pkcs8, issuer), audience) =
            parts.context("found other content than `register` writes, expected `pkcs8`, `issuer` and `audience`")?;
        let pkcs8 = BASE64_STANDARD.decode(pkcs8).map(Zeroizing::new).ok();
        let pkcs8 = pkcs8.context("found no base64 in `pkcs8`, expected a key")?;
        Ok(Self {
            key: SigningKey::from_pkcs8(SigningAlgorithm::Es256, &pkcs8)
                .context("found no P-256 key in `pkcs8`, expected one")?,
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
        })
    }
}

/// Tells whether a machine's key is in a state directory, which is not made by looking.
pub fn is_there(base: &Path) -> bool {
    base.join("cambio").join(CURRENT).exists()
}

/// Makes a key.
pub(super) fn generate() -> Result<SigningKey, Failure> {
    Ok(proof_key::generate()?)
}

/// The variable that names the state directory.
pub const STATE_DIR: &str = "CAMBIO_STATE_DIR";
const CURRENT: &str = "bound.json";
const NEXT: &str = "bound-next.key";
