//! What a verified service-account token must say before it attests anything.
//!
//! It must never be asked about claims whose signature was not checked, and never take a name from one claim that
//! another claim contradicts.

use std::time::{Duration, SystemTime};

use super::subject::{Subject, is_subdomain, is_uid};
use crate::{
    attest::{AttestRefusal, Attributes, CLOCK_LEEWAY},
    jose::{ClaimRefused, Claims, NumericDate, Object, excerpt},
};

/// The rules of one cluster.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) cluster: String,
    pub(super) unbound: Unbound,
}

/// What is done with tokens that no pod's life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unbound {
    /// They are taken: whoever may create tokens of a service account is that account.
    Accepted,
    /// They are refused.
    Refused,
}

/// What the rules found in order.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) named: Named,
    pub(super) token_id: Option<String>,
    pub(super) attributes: Attributes,
    pub(super) expires: SystemTime,
    pub(super) stands_until: SystemTime,
}

/// Whom the token names, which the API server must name as well.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) subject: String,
    pub(super) account_uid: String,
    /// Name and id of the pod.
    pub(super) pod: Option<(String, String)>,
}

impl Rules {
    /// Judges verified claims; `typ` is that of the header which the same signature covers.
    pub(super) fn accept(
        &self,
        claims: &Claims,
        typ: Option<&str>,
        now: SystemTime,
    ) -> Result<Accepted, AttestRefusal> {
        refuse_other_kind(typ)?;
        self.refuse_other_issuer(claims)?;
        let moments = Moments::read(claims)?;
        moments.refuse_early(now)?;
        self.refuse_other_audience(claims)?;
        let token_id = token_id(claims)?;
        let (named, attributes) = self.facts(claims)?;
        let stands_until = moments.stands_until(now)?;
        Ok(Accepted {
            named,
            token_id,
            attributes,
            expires: moments.expires,
            stands_until,
        })
    }

    fn refuse_other_issuer(&self, claims: &Claims) -> Result<(), AttestRefusal> {
        let found = claims.required_text("iss").map_err(refused)?;
        if found == self.issuer {
            return Ok(());
        }
        Err(wrong("iss", found, &format!("`{}`", self.issuer)))
    }

    /// Takes our audience only as the sole one: a token for the API server as well could be played back to it
    /// (WIMSE-WIP-2), and whoever else is named could present it to us (T-37).
    fn refuse_other_audience(&self, claims: &Claims) -> Result<(), AttestRefusal> {
        let found = claims.audience().map_err(refused)?;
        if found.sole() == Some(self.audience.as_str()) {
            return Ok(());
        }
        let shown: Vec<String> = found
            .iter()
            .take(SHOWN)
            .map(|one| format!("`{}`", excerpt(one)))
            .collect();
        Err(AttestRefusal::AudienceMismatch {
            expected: self.audience.clone(),
            found: shown.join(", "),
        })
    }

    /// Reads who it is: the claim `kubernetes.io` and the subject must say the same.
    fn facts(&self, claims: &Claims) -> Result<(Named, Attributes), AttestRefusal> {
        let text = claims.required_text("sub").map_err(refused)?;
        let subject =
            Subject::parse(text).ok_or_else(|| wrong("sub", text, "`system:serviceaccount:<namespace>:<name>`"))?;
        let object = part(claims.root(), PRIVATE, PRIVATE)?;
        let account = part(object, "serviceaccount", "kubernetes.io.serviceaccount")?;
        let namespace = required(object, "namespace", "kubernetes.io.namespace")?;
        let name = required(account, "name", "kubernetes.io.serviceaccount.name")?;
        if subject != (Subject { namespace, name }) {
            let expected = format!(
                "`system:serviceaccount:{}:{}`, as `kubernetes.io` says",
                excerpt(namespace),
                excerpt(name)
            );
            return Err(wrong("sub", text, &expected));
        }
        let account_uid = uid(account, "kubernetes.io.serviceaccount.uid")?;
        let mut attributes = Attributes::default();
        attributes.insert(CLUSTER, self.cluster.as_str())?;
        attributes.insert(NAMESPACE, namespace)?;
        attributes.insert(SERVICE_ACCOUNT, name)?;
        attributes.insert(SERVICE_ACCOUNT_UID, account_uid)?;
        let pod = self.pod(object)?;
        if let Some((name, uid)) = &pod {
            attributes.insert(POD, name.as_str())?;
            attributes.insert(POD_UID, uid.as_str())?;
        }
        if let Some(node) = optional(object, "node", "kubernetes.io.node")? {
            attributes.insert(NODE, subdomain(node, "kubernetes.io.node.name")?)?;
        }
        let named = Named {
            subject: text.to_owned(),
            account_uid: account_uid.to_owned(),
            pod,
        };
        Ok((named, attributes))
    }

    /// Reads the pod whose end ends the token; without one it is a token of `kubectl create token`, or of a secret.
    fn pod(&self, object: Object<'_>) -> Result<Option<(String, String)>, AttestRefusal> {
        if let Some(pod) = optional(object, "pod", "kubernetes.io.pod")? {
            let name = subdomain(pod, "kubernetes.io.pod.name")?;
            let uid = uid(pod, "kubernetes.io.pod.uid")?;
            return Ok(Some((name.to_owned(), uid.to_owned())));
        }
        match self.unbound {
            Unbound::Accepted => Ok(None),
            Unbound::Refused => Err(AttestRefusal::Claim {
                claim: "kubernetes.io.pod".to_owned(),
                found: "missing".to_owned(),
                expected: "the pod that the token is bound to".to_owned(),
            }),
        }
    }
}

/// The dates of a token.
#[derive(Debug)]
struct Moments {
    issued: SystemTime,
    not_before: Option<SystemTime>,
    expires: SystemTime,
}

impl Moments {
    /// Reads the dates; the tokens of secrets, which never end, have none (T-08).
    fn read(claims: &Claims) -> Result<Self, AttestRefusal> {
        let moments = Self {
            issued: claims.required_numeric_date("iat").map_err(refused)?.moment(),
            not_before: claims.numeric_date("nbf").map_err(refused)?.map(NumericDate::moment),
            expires: claims.required_numeric_date("exp").map_err(refused)?.moment(),
        };
        let life = moments.expires.duration_since(moments.issued).unwrap_or_default();
        if life > MAX_LIFE {
            return Err(AttestRefusal::Claim {
                claim: "exp".to_owned(),
                found: format!("{} s after `iat`", life.as_secs()),
                expected: format!("at most {} s", MAX_LIFE.as_secs()),
            });
        }
        Ok(moments)
    }

    fn refuse_early(&self, now: SystemTime) -> Result<(), AttestRefusal> {
        let begins = self.not_before.map_or(self.issued, |moment| moment.max(self.issued));
        match begins.duration_since(now) {
            Ok(ahead) if ahead > CLOCK_LEEWAY => Err(AttestRefusal::NotYetValid { ahead }),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Returns until when the attestation stands: never longer than the token, whose end is that of its pod.
    fn stands_until(&self, now: SystemTime) -> Result<SystemTime, AttestRefusal> {
        if now >= self.expires + CLOCK_LEEWAY {
            let ago = now.duration_since(self.expires).unwrap_or_default();
            return Err(AttestRefusal::Expired { ago });
        }
        Ok(self.expires.min(now + MAX_STANDING))
    }
}

/// Refuses tokens of other kinds: `typ` is `JWT` or, as Kubernetes has it, absent (JWT-BCP-11).
fn refuse_other_kind(typ: Option<&str>) -> Result<(), AttestRefusal> {
    match typ {
        None => Ok(()),
        Some(typ) if typ.eq_ignore_ascii_case("JWT") => Ok(()),
        Some(other) => Err(wrong("typ", other, "`JWT` or nothing")),
    }
}

fn token_id(claims: &Claims) -> Result<Option<String>, AttestRefusal> {
    match claims.text("jti").map_err(refused)? {
        Some(id) if id.is_empty() || id.len() > MAX_TOKEN_ID_BYTES => Err(AttestRefusal::Claim {
            claim: "jti".to_owned(),
            found: format!("{} bytes long", id.len()),
            expected: format!("1 to {MAX_TOKEN_ID_BYTES} bytes"),
        }),
        id => Ok(id.map(str::to_owned)),
    }
}

fn part<'c>(object: Object<'c>, member: &'static str, path: &str) -> Result<Object<'c>, AttestRefusal> {
    optional(object, member, path)?.ok_or_else(|| at(path, ClaimRefused::Missing { name: member }))
}

fn optional<'c>(object: Object<'c>, member: &'static str, path: &str) -> Result<Option<Object<'c>>, AttestRefusal> {
    object.object(member).map_err(|why| at(path, why))
}

fn required<'c>(object: Object<'c>, member: &'static str, path: &str) -> Result<&'c str, AttestRefusal> {
    object.required_text(member).map_err(|why| at(path, why))
}

fn uid<'c>(object: Object<'c>, path: &str) -> Result<&'c str, AttestRefusal> {
    let found = required(object, "uid", path)?;
    let is = is_uid(found);
    is.then_some(found)
        .ok_or_else(|| wrong(path, found, "a UUID in lower case"))
}

fn subdomain<'c>(object: Object<'c>, path: &str) -> Result<&'c str, AttestRefusal> {
    let found = required(object, "name", path)?;
    let is = is_subdomain(found);
    is.then_some(found)
        .ok_or_else(|| wrong(path, found, "the name of an object"))
}

fn wrong(claim: &str, found: &str, expected: &str) -> AttestRefusal {
    AttestRefusal::Claim {
        claim: claim.to_owned(),
        found: format!("`{}`", excerpt(found)),
        expected: expected.to_owned(),
    }
}

fn refused(refused: ClaimRefused) -> AttestRefusal {
    let name = match &refused {
        ClaimRefused::Date { name, .. }
        | ClaimRefused::Empty { name }
        | ClaimRefused::Missing { name }
        | ClaimRefused::WrongType { name, .. } => *name,
    };
    at(name, refused)
}

fn at(path: &str, refused: ClaimRefused) -> AttestRefusal {
    let (found, expected) = match refused {
        ClaimRefused::Date { source, .. } => (source.to_string(), "a date".to_owned()),
        ClaimRefused::Empty { .. } => ("empty".to_owned(), "a value".to_owned()),
        ClaimRefused::Missing { .. } => ("missing".to_owned(), "it".to_owned()),
        ClaimRefused::WrongType { found, expected, .. } => (found.to_owned(), expected.to_owned()),
    };
    AttestRefusal::Claim {
        claim: path.to_owned(),
        found,
        expected,
    }
}

/// The claim that holds what only Kubernetes says.
const PRIVATE: &str = "kubernetes.io";

// No name is a dotted-path prefix of another.
const CLUSTER: &str = "k8s.cluster";
const NAMESPACE: &str = "k8s.namespace";
const NODE: &str = "k8s.node";
const POD: &str = "k8s.pod";
const POD_UID: &str = "k8s.pod_uid";
const SERVICE_ACCOUNT: &str = "k8s.service_account";
const SERVICE_ACCOUNT_UID: &str = "k8s.service_account_uid";

/// What the attestor may give.
pub(super) const ATTRIBUTES: &[&str] = &[
    CLUSTER,
    NAMESPACE,
    NODE,
    POD,
    POD_UID,
    SERVICE_ACCOUNT,
    SERVICE_ACCOUNT_UID,
];

/// A name passes to whoever creates the object next; an id never does, and the cluster is what the configuration says.
pub(super) const IMMUTABLE: &[&str] = &[CLUSTER, POD_UID, SERVICE_ACCOUNT_UID];

// TM-54: nobody has a reason to vouch for longer than a day; the EKS webhook asks for exactly that.
const MAX_LIFE: Duration = Duration::from_hours(24);

/// LIMITS.md: an attestation stands 1 h, and for Kubernetes never longer than the token.
const MAX_STANDING: Duration = Duration::from_hours(1);

// T-07.
const MAX_TOKEN_ID_BYTES: usize = 255;

/// How many audiences an error shows.
const SHOWN: usize = 3;
