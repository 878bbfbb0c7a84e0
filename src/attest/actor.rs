//! What a verified token says about who acts for its subject: `act` and `may_act` (RFC 8693 sections 4.1 and 4.4).
//!
//! Only our own SVIDs are believed when they say that somebody acts. Anybody else's `act` is refused and never passed over:
//! a token that was given to an agent must not count as its user's own.

use serde_json::{Map, Value};

use super::{AttestRefusal, token_claims::wrong};
use crate::{
    jose::{Claims, excerpt},
    spiffe::{SpiffeId, TrustDomain},
};

/// LIMITS.md: so many actors stand one behind the other at most (TM-31).
pub const MAX_ACTORS: usize = 3;

/// What a token says about who acts for its subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delegation {
    /// Who acts already, the current actor first; at most [`MAX_ACTORS`].
    pub actors: Vec<SpiffeId>,
    /// The only one who may; `None` where the token does not say.
    pub may_act: Option<MayAct>,
}

/// The party that may act, as the issuer of the subject's token names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MayAct {
    /// Its issuer; `None` where the token leaves it open.
    pub issuer: Option<String>,
    /// Its subject.
    pub subject: String,
}

impl Delegation {
    /// Reads the claims of an SVID of our own trust domain.
    ///
    /// # Errors
    /// Refuses an `act` that we would not have written.
    pub(in crate::attest) fn of_our_own(claims: &Claims, trust_domain: &TrustDomain) -> Result<Self, AttestRefusal> {
        let mut actors = Vec::new();
        let mut next = claims.get(ACT);
        while let Some(act) = next {
            let members = only(act, ACT, &["sub", ACT])?;
            if actors.len() == MAX_ACTORS {
                return Err(claim(
                    ACT,
                    "a longer chain".to_owned(),
                    format!("at most {MAX_ACTORS} actors"),
                ));
            }
            let found = text(members, ACT, "sub")?;
            let id = SpiffeId::parse(found).map_err(|why| wrong(ACT, found, &format!("a SPIFFE ID: {why}")))?;
            if id.trust_domain() != trust_domain {
                return Err(wrong(ACT, found, &format!("a SPIFFE ID in `{trust_domain}`")));
            }
            actors.push(id);
            next = members.get(ACT);
        }
        Ok(Self {
            actors,
            may_act: may_act(claims)?,
        })
    }

    /// Reads the claims of anybody else's token.
    ///
    /// # Errors
    /// Refuses `act`.
    pub(in crate::attest) fn of_another(claims: &Claims) -> Result<Self, AttestRefusal> {
        match claims.get(ACT) {
            Some(_) => Err(claim(
                ACT,
                "there".to_owned(),
                "none: who acts is believed of our own SVIDs only".to_owned(),
            )),
            None => Ok(Self {
                actors: Vec::new(),
                may_act: may_act(claims)?,
            }),
        }
    }
}

fn may_act(claims: &Claims) -> Result<Option<MayAct>, AttestRefusal> {
    let Some(value) = claims.get(MAY_ACT) else {
        return Ok(None);
    };
    // Any other member would name the party by something that we cannot compare.
    let members = only(value, MAY_ACT, &["iss", "sub"])?;
    let issuer = members.get("iss").map(|_| text(members, MAY_ACT, "iss")).transpose()?;
    Ok(Some(MayAct {
        issuer: issuer.map(str::to_owned),
        subject: text(members, MAY_ACT, "sub")?.to_owned(),
    }))
}

fn only<'a>(value: &'a Value, name: &str, known: &[&str]) -> Result<&'a Map<String, Value>, AttestRefusal> {
    let expected = format!("an object of nothing but `{}`", known.join("` and `"));
    let Value::Object(members) = value else {
        return Err(claim(name, "no object".to_owned(), expected));
    };
    match members.keys().find(|member| !known.contains(&member.as_str())) {
        Some(member) => Err(claim(name, format!("one with `{}`", excerpt(member)), expected)),
        None => Ok(members),
    }
}

fn text<'a>(members: &'a Map<String, Value>, name: &str, member: &str) -> Result<&'a str, AttestRefusal> {
    let text = members.get(member).and_then(Value::as_str);
    text.filter(|text| !text.is_empty()).ok_or_else(|| {
        let found = format!("one without a text as `{member}`");
        claim(name, found, format!("one that names `{member}`"))
    })
}

fn claim(name: &str, found: String, expected: String) -> AttestRefusal {
    AttestRefusal::Claim {
        claim: name.to_owned(),
        found,
        expected,
    }
}

const ACT: &str = "act";
const MAY_ACT: &str = "may_act";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn own(claims: &Value) -> Result<Delegation, AttestRefusal> {
        let claims = Claims::parse(claims.to_string().as_bytes()).unwrap();
        Delegation::of_our_own(&claims, &TrustDomain::parse("acme.example").unwrap())
    }

    fn another(claims: &Value) -> Result<Delegation, AttestRefusal> {
        Delegation::of_another(&Claims::parse(claims.to_string().as_bytes()).unwrap())
    }

    fn chain(depth: usize) -> Value {
        (0..depth).fold(Value::Null, |inner, nth| {
            let mut act = json!({ "sub": format!("spiffe://acme.example/agent/{nth}") });
            if !inner.is_null() {
                act["act"] = inner;
            }
            act
        })
    }

    #[test]
    fn tx_17_the_outermost_actor_is_the_current_one() {
        let read = own(&json!({ "act": chain(2) })).unwrap();

        let ids: Vec<&str> = read.actors.iter().map(SpiffeId::as_str).collect();
        assert_eq!(ids, ["spiffe://acme.example/agent/1", "spiffe://acme.example/agent/0"]);
    }

    #[test]
    fn tm_31_takes_a_chain_of_3_actors_and_refuses_4() {
        assert_eq!(own(&json!({ "act": chain(3) })).unwrap().actors.len(), 3);
        assert!(own(&json!({ "act": chain(4) })).is_err());
    }

    #[test]
    fn an_act_that_is_not_of_our_making_is_refused() {
        for act in [
            json!("spiffe://acme.example/agent/a"),
            json!({}),
            json!({ "sub": 1 }),
            json!({ "sub": "agent" }),
            json!({ "sub": "spiffe://other.example/agent/a" }),
            json!({ "sub": "spiffe://acme.example/agent/a", "exp": 1 }),
            json!({ "sub": "spiffe://acme.example/agent/a", "act": null }),
        ] {
            let refused = own(&json!({ "act": act })).unwrap_err();
            assert_eq!(refused.code(), "attest.claim_invalid", "{act}: {refused}");
        }
    }

    #[test]
    fn somebody_elses_act_is_refused_and_not_passed_over() {
        assert!(another(&json!({ "act": { "sub": "agent" } })).is_err());
        assert_eq!(another(&json!({})).unwrap(), Delegation::default());
    }

    #[test]
    fn tx_19_reads_who_may_act() {
        let read = another(&json!({ "may_act": { "iss": "https://agents.test", "sub": "triage" } })).unwrap();

        let expected = MayAct {
            issuer: Some("https://agents.test".to_owned()),
            subject: "triage".to_owned(),
        };
        assert_eq!(read.may_act, Some(expected));
    }

    #[test]
    fn tx_19_a_may_act_that_cannot_be_compared_is_refused() {
        for may_act in [json!({}), json!({ "client_id": "x", "sub": "y" }), json!(["y"])] {
            assert!(another(&json!({ "may_act": may_act })).is_err(), "{may_act}");
        }
    }
}
