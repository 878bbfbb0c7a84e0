//! Temporary credentials as a simulated STS issues them.
//!
//! Their values are random; nothing can be derived from them.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    exchange::aws::{Code, Refusal, arn::RoleArn},
    secret::{NoRandomness, Random, Secret},
};

/// Credentials as they were issued.
#[derive(Clone)]
pub(in crate::exchange) struct Issued {
    pub(in crate::exchange) access_key_id: String,
    pub(in crate::exchange) secret_key: Secret,
    pub(in crate::exchange) session_token: Secret,
    pub(in crate::exchange) assumed_role_arn: String,
    pub(in crate::exchange) assumed_role_id: String,
    pub(in crate::exchange) account: String,
    pub(in crate::exchange) expires_at: SystemTime,
}

/// A session that credentials are issued for.
#[derive(Clone, Copy, Debug)]
pub(in crate::exchange) struct RoleSession<'a> {
    /// The role.
    pub(in crate::exchange) role: &'a RoleArn,
    /// The role's unique id.
    pub(in crate::exchange) role_id: &'a str,
    /// What the session is called.
    pub(in crate::exchange) name: &'a str,
    /// How long it lasts.
    pub(in crate::exchange) lasting: Duration,
}

impl Issued {
    /// Draws credentials for a session that begins `now`.
    pub(in crate::exchange) fn draw(
        random: &dyn Random,
        session: RoleSession<'_>,
        now: SystemTime,
    ) -> Result<Self, NoRandomness> {
        let text = |length: usize| {
            let mut bytes = vec![0; length];
            random.fill(&mut bytes).map(|()| STANDARD.encode(bytes))
        };
        let RoleSession {
            role,
            role_id,
            name,
            lasting,
        } = session;
        let RoleArn {
            partition,
            account,
            name: role_name,
        } = role;
        Ok(Self {
            access_key_id: format!("ASIA{}", id(random)?),
            secret_key: Secret::new(text(30)?),
            session_token: Secret::new(text(192)?),
            assumed_role_arn: format!("arn:{partition}:sts::{account}:assumed-role/{role_name}/{name}"),
            assumed_role_id: format!("{role_id}:{name}"),
            account: account.clone(),
            expires_at: now + lasting,
        })
    }
}

/// Returns 16 random characters as they follow the prefix of an AWS id.
pub(in crate::exchange) fn id(random: &dyn Random) -> Result<String, NoRandomness> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut bytes = [0; 16];
    random.fill(&mut bytes)?;
    let letter = |byte: u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('A', char::from);
    Ok(bytes.into_iter().map(letter).collect())
}

/// Returns 36 random characters in the form of a UUID.
pub(in crate::exchange) fn uuid(random: &dyn Random) -> Result<String, NoRandomness> {
    let mut bytes = [0; 16];
    random.fill(&mut bytes)?;
    let text = crate::secret::hex(&bytes);
    let (time, rest) = text.split_at(8);
    let (middle, version) = rest.split_at(4);
    let (version, variant) = version.split_at(4);
    let (variant, node) = variant.split_at(4);
    Ok([time, middle, version, variant, node].join("-"))
}

/// The refusal where no randomness could be had.
pub(in crate::exchange) fn no_randomness(why: NoRandomness) -> Refusal {
    Refusal::unverified(
        Code::InternalFailure,
        "The request processing has failed because of an internal error.",
    )
    .because(why.to_string())
}
