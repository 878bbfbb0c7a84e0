//! What a verified service-account token must say before it attests anything.
//!
//! It must never be asked about claims whose signature was not checked, and never take a name from one claim that
//! another claim contradicts.

use std::time::{Duration, SystemTime};

use super::subject::{Subject, is_subdomain, is_uid};
use crate::{
    attest::{
        AttestRefusal, Attributes, Pins,
        token_claims::{
            Moments, refuse_expired, refuse_other_audience, refuse_other_issuer, refuse_other_kind, refused,
            refused_at, token_id, wrong,
        },
    },
    jose::{ClaimRefused, Claims, Object, excerpt},
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
        refuse_other_issuer(claims, &self.issuer)?;
        let moments = Moments::read(claims)?;
        moments.refuse_early(now)?;
        refuse_other_audience(claims, &self.audience)?;
        let token_id = token_id(claims)?;
        let (named, attributes) = self.facts(claims)?;
        refuse_expired(moments.expires, now)?;
        Ok(Accepted {
            named,
            token_id,
            attributes,
            expires: moments.expires,
            // Never longer than the token, whose end is that of its pod.
            stands_until: moments.expires.min(now + MAX_STANDING),
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

fn part<'c>(object: Object<'c>, member: &'static str, path: &str) -> Result<Object<'c>, AttestRefusal> {
    optional(object, member, path)?.ok_or_else(|| refused_at(path, ClaimRefused::Missing { name: member }))
}

fn optional<'c>(object: Object<'c>, member: &'static str, path: &str) -> Result<Option<Object<'c>>, AttestRefusal> {
    object.object(member).map_err(|why| refused_at(path, why))
}

fn required<'c>(object: Object<'c>, member: &'static str, path: &str) -> Result<&'c str, AttestRefusal> {
    object.required_text(member).map_err(|why| refused_at(path, why))
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

/// Returns what entries must pin: a service account with its namespace, or what runs as it. A namespace alone is whatever
/// anybody deploys into it, and the same name of a service account stands in other namespaces.
pub(super) fn pins() -> Pins {
    Pins {
        everybody: "every service account of the cluster, or of a namespace",
        ids: vec![
            vec![NAMESPACE, SERVICE_ACCOUNT],
            vec![SERVICE_ACCOUNT_UID],
            vec![POD_UID],
        ],
        names: vec![SERVICE_ACCOUNT, POD],
        strangers: None,
    }
}

/// LIMITS.md: an attestation stands 1 h, and for Kubernetes never longer than the token.
const MAX_STANDING: Duration = Duration::from_hours(1);
