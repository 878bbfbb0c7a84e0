//! Challenges: what a workload has its platform sign, so that the evidence is new and meant for us (T-44, TM-06).
//!
//! They are authenticated, not remembered: any replica takes the challenge of any other. It must never take one twice,
//! for which the ledger is asked with the challenge as token id, and never one that is older than a minute.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    error::Unspecified,
    hkdf::{HKDF_SHA256, Salt},
    hmac,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::CLOCK_LEEWAY;
use crate::{
    clock::unix_seconds,
    secret::{Digest, NoRandomness, Random},
};

/// Makes challenges and tells ours from others; cheap to clone.
///
/// Without a key it makes none and takes none, which is what `cambio check` has.
#[derive(Clone, Default)]
pub struct Challenges(Option<Arc<hmac::Key>>);

impl Challenges {
    /// Derives the key from the key-encryption key, which every replica has.
    ///
    /// # Errors
    /// Fails where the library fails.
    pub fn derived(kek: &[u8; 32]) -> Result<Self, ChallengeKeyFailed> {
        let drawn = Salt::new(HKDF_SHA256, &[]).extract(kek);
        let key = drawn.expand(&[LABEL], hmac::HMAC_SHA256).map_err(ChallengeKeyFailed)?;
        Ok(Self(Some(Arc::new(hmac::Key::from(key)))))
    }

    /// Makes a challenge.
    ///
    /// # Errors
    /// Fails without a key, and where the platform gives no randomness.
    pub fn issue(&self, random: &dyn Random, now: SystemTime) -> Result<Challenge, ChallengeFailed> {
        let key = self.0.as_ref().ok_or(ChallengeFailed::NoKey)?;
        let mut bytes = [0; BODY_BYTES + TAG_BYTES];
        let (body, tag) = bytes.split_at_mut(BODY_BYTES);
        let (drawn, expiry) = body.split_at_mut(RANDOM_BYTES);
        random.fill(drawn)?;
        let expires = now + CHALLENGE_LIFE;
        expiry.copy_from_slice(&unix_seconds(expires).to_be_bytes());
        tag.copy_from_slice(hmac::sign(key, body).as_ref());
        Ok(Challenge {
            text: BASE64_URL_SAFE_NO_PAD.encode(bytes),
            expires,
        })
    }

    /// Takes a challenge of ours that still stands.
    ///
    /// # Errors
    /// Refuses what this key did not authenticate, and what is past its minute.
    pub fn open(&self, text: &str, now: SystemTime) -> Result<Challenge, ChallengeRefused> {
        let key = self.0.as_ref().ok_or(ChallengeRefused::NotOurs)?;
        if text.len() != CHALLENGE_CHARACTERS {
            return Err(ChallengeRefused::Length { found: text.len() });
        }
        // The decoder takes one spelling only, so that the text can stand for its bytes in the ledger.
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .map_err(ChallengeRefused::Encoding)?;
        let (body, tag) = bytes.split_at_checked(BODY_BYTES).ok_or(ChallengeRefused::NotOurs)?;
        hmac::verify(key, body, tag).map_err(|Unspecified| ChallengeRefused::NotOurs)?;
        let expiry = body.last_chunk().copied().map_or(0, u64::from_be_bytes);
        let expires = UNIX_EPOCH
            .checked_add(Duration::from_secs(expiry))
            .ok_or(ChallengeRefused::NotOurs)?;
        if expires <= now {
            let ago = now.duration_since(expires).unwrap_or_default();
            return Err(ChallengeRefused::Expired { ago });
        }
        // A replica whose clock is ahead would make challenges that live longer than any should.
        let left = expires.duration_since(now).unwrap_or_default();
        if left > CHALLENGE_LIFE + CLOCK_LEEWAY {
            return Err(ChallengeRefused::Ahead { left });
        }
        Ok(Challenge {
            text: text.to_owned(),
            expires,
        })
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenges([redacted])")
    }
}

/// A challenge of ours; only [`Challenges`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    text: String,
    expires: SystemTime,
}

impl Challenge {
    /// Returns the challenge as it goes over the wire: 75 characters of base64url; it is also the evidence's token id.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns when it ends.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// Returns what stands for it where a platform takes fewer characters.
    pub fn nonce(&self) -> String {
        nonce(&self.text)
    }
}

/// Returns what stands for a challenge where a platform takes fewer characters: the first 32 hex digits of its SHA-256.
///
/// Azure's metadata service signs a nonce of up to 32 alphanumeric characters (its API's specification).
pub fn nonce(challenge: &str) -> String {
    let digits = Digest::of(challenge.as_bytes()).to_string();
    digits.chars().take(NONCE_CHARACTERS).collect()
}

/// No challenge can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeFailed {
    /// There is no key-encryption key to derive one from.
    #[error("found no key for challenges, expected one of the key-encryption key")]
    NoKey,
    /// The platform gave no random bytes.
    #[error("no random bytes for a challenge")]
    Randomness(#[from] NoRandomness),
}

impl ChallengeFailed {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKey => "key.unavailable",
            Self::Randomness(_) => "mint.randomness_unavailable",
        }
    }
}

/// A challenge is not one that counts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeRefused {
    /// It ends later than any that was made by a clock like ours.
    #[error("the challenge stands for another {left:?}, expected at most 90 s: the replicas' clocks differ")]
    Ahead {
        /// How long.
        left: Duration,
    },
    /// It is not base64url.
    #[error("the challenge is not canonical base64url without padding")]
    Encoding(#[source] base64::DecodeError),
    /// It is past its minute.
    #[error("the challenge ended {ago:?} ago, each stands for 60 s")]
    Expired {
        /// How long ago.
        ago: Duration,
    },
    /// It is shorter or longer than any of ours.
    #[error("the challenge has {found} characters, expected {CHALLENGE_CHARACTERS}")]
    Length {
        /// How many.
        found: usize,
    },
    /// Nobody with our key made it.
    #[error("the challenge is not one of this gateway")]
    NotOurs,
}

/// The library could not derive the key.
#[derive(Debug, thiserror::Error)]
#[error("the cryptographic library failed to derive the key for challenges")]
pub struct ChallengeKeyFailed(#[source] Unspecified);

/// How long a challenge stands (T-44: at most 60 s).
pub const CHALLENGE_LIFE: Duration = Duration::from_mins(1);

/// How many characters a challenge has: 56 bytes in base64url.
pub const CHALLENGE_CHARACTERS: usize = 75;

/// Separates this key from whatever else is ever derived from the same.
const LABEL: &[u8] = b"cambio challenge v1";

const RANDOM_BYTES: usize = 16;
const BODY_BYTES: usize = RANDOM_BYTES + size_of::<u64>();
const TAG_BYTES: usize = 32;

// Azure, specification of the instance metadata service's API: `nonce` of `/attested/document`.
const NONCE_CHARACTERS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Clock as _, FakeClock},
        secret::SystemRandom,
    };

    fn challenges() -> Challenges {
        Challenges::derived(&[7; 32]).unwrap()
    }

    fn now() -> SystemTime {
        FakeClock::at("2026-01-16T14:40:00Z").now()
    }

    fn issued() -> Challenge {
        challenges().issue(&SystemRandom, now()).unwrap()
    }

    fn refused(text: &str, at: SystemTime) -> ChallengeRefused {
        challenges().open(text, at).unwrap_err()
    }

    #[test]
    fn another_replica_with_the_same_key_takes_a_challenge() {
        let made = issued();

        assert_eq!(challenges().open(made.as_str(), now()).unwrap(), made);
        assert_eq!(made.as_str().len(), CHALLENGE_CHARACTERS);
        assert!(!made.as_str().contains('.'));
    }

    #[test]
    fn t_44_a_challenge_stands_for_59_s_and_not_for_60() {
        let made = issued();
        let after = |seconds| now() + Duration::from_secs(seconds);

        assert!(challenges().open(made.as_str(), after(59)).is_ok());
        let late = refused(made.as_str(), after(60));
        assert!(matches!(late, ChallengeRefused::Expired { .. }), "{late}");
    }

    #[test]
    fn a_challenge_of_a_clock_30_s_ahead_is_taken_and_of_31_s_not() {
        let ahead = |seconds| {
            let made = challenges().issue(&SystemRandom, now() + Duration::from_secs(seconds));
            challenges().open(made.unwrap().as_str(), now())
        };

        assert!(ahead(30).is_ok());
        assert!(matches!(ahead(31), Err(ChallengeRefused::Ahead { .. })));
    }

    #[test]
    fn two_challenges_of_one_moment_differ() {
        assert_ne!(issued(), issued());
        assert_ne!(issued().nonce(), issued().nonce());
    }

    #[test]
    fn refuses_every_changed_character_and_every_cut() {
        let made = issued();
        for at in 0..made.as_str().len() {
            let mut changed = made.as_str().to_owned();
            let other = if changed.as_bytes()[at] == b'A' { "B" } else { "A" };
            changed.replace_range(at..=at, other);
            assert!(challenges().open(&changed, now()).is_err(), "{at}: {changed}");
            assert!(challenges().open(made.as_str().split_at(at).0, now()).is_err(), "{at}");
        }
        for text in [
            format!("{}=", made.as_str()),
            format!("{}A", made.as_str()),
            format!(" {}", made.as_str().split_at(1).1),
        ] {
            assert!(challenges().open(&text, now()).is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_a_challenge_of_another_key() {
        let other = Challenges::derived(&[8; 32]).unwrap();
        let made = other.issue(&SystemRandom, now()).unwrap();

        assert!(matches!(refused(made.as_str(), now()), ChallengeRefused::NotOurs));
    }

    #[test]
    fn the_key_is_not_the_key_encryption_key_itself() {
        let made = BASE64_URL_SAFE_NO_PAD.decode(issued().as_str()).unwrap();
        let (body, tag) = made.split_at(BODY_BYTES);
        let kek = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);

        assert!(hmac::verify(&kek, body, tag).is_err());
    }

    #[test]
    fn without_a_key_none_is_made_and_none_is_taken() {
        let none = Challenges::default();

        assert!(matches!(none.issue(&SystemRandom, now()), Err(ChallengeFailed::NoKey)));
        let refused = none.open(issued().as_str(), now()).unwrap_err();
        assert!(matches!(refused, ChallengeRefused::NotOurs));
    }

    #[test]
    fn without_randomness_none_is_made() {
        #[derive(Debug)]
        struct Broken;
        impl Random for Broken {
            fn fill(&self, _out: &mut [u8]) -> Result<(), NoRandomness> {
                Err(NoRandomness)
            }
        }

        let failed = challenges().issue(&Broken, now()).unwrap_err();
        assert!(matches!(failed, ChallengeFailed::Randomness(_)));
    }

    #[test]
    fn a_nonce_has_32_characters_and_is_always_the_same_of_one_challenge() {
        let made = issued();

        assert_eq!(made.nonce().len(), 32);
        assert_eq!(made.nonce(), made.clone().nonce());
        assert!(made.nonce().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", challenges()), "Challenges([redacted])");
    }
}
