//! What the gateway answered: credentials, refusals, or something that is not ours.
//!
//! Never shows a credential, and never repeats a body that it cannot read: a proxy may have answered.

use std::{fmt, time::SystemTime};

use serde_json::{Map, Value, json};

use super::{
    exit::Exit,
    failure::{Failure, plain},
};
use crate::{
    clock::{rfc3339, unix_seconds},
    manual,
    secret::Secret,
};

/// What came of one request.
#[derive(Debug)]
pub struct Answer {
    /// The request's id, which the trail names.
    pub exchange_id: Option<String>,
    /// Who the gateway takes us for.
    pub spiffe_id: Option<String>,
    /// One result for each relying party, in the order of the request.
    pub results: Vec<(String, Result<Credential, Refusal>)>,
}

/// A credential in its native shape.
pub struct Credential {
    /// The relying party's kind, for example `aws_sts`.
    pub kind: String,
    /// Whether it is a `credential` or the `svid` itself.
    pub form: String,
    /// When it ends, RFC 3339.
    pub expires: Option<String>,
    native: Secret,
}

/// A refusal of the gateway, as far as it tells us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code, for example `authorize.no_grant`.
    pub code: String,
    /// The sentence.
    pub sentence: String,
    /// The relying party's own code, where it refused.
    pub cloud_code: Option<String>,
    /// The request's id.
    pub exchange_id: Option<String>,
    /// The HTTP status.
    pub status: u16,
}

impl Credential {
    /// Takes a credential as it stood in the answer.
    pub fn new(kind: &str, form: &str, expires: Option<String>, native: &Value) -> Self {
        Self {
            kind: plain(kind),
            form: plain(form),
            expires: expires.map(|expires| plain(&expires)),
            native: Secret::new(native.to_string()),
        }
    }

    /// Returns the native JSON, one line.
    pub fn native(&self) -> &Secret {
        &self.native
    }

    /// Returns a text member of the native JSON.
    pub fn text(&self, name: &str) -> Option<Secret> {
        match serde_json::from_str(self.native.expose()) {
            Ok(Value::Object(mut members)) => match members.remove(name) {
                Some(Value::String(text)) => Some(Secret::new(text)),
                Some(_) | None => None,
            },
            Ok(_) | Err(_) => None,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("kind", &self.kind)
            .field("form", &self.form)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Refusal {
    /// Reads problem details (RFC 9457) or an OAuth error (RFC 6749); `None` for what is neither.
    pub fn read(body: &Value, status: u16) -> Option<Self> {
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(plain);
        let own = body.get("status").and_then(Value::as_u64);
        Some(Self {
            code: text("code")?,
            sentence: text("detail").or_else(|| text("error_description"))?,
            cloud_code: text("cloud_code"),
            exchange_id: text("exchange_id"),
            status: own.and_then(|status| u16::try_from(status).ok()).unwrap_or(status),
        })
    }

    /// Returns how a command ends that was refused so.
    pub fn exit(&self) -> Exit {
        Exit::of_refusal(&self.code, self.status)
    }

    /// Returns the refusal as a failure that says what it means, and how the operator finds it where it is recorded.
    pub fn failure(&self) -> Failure {
        let mut failure = Failure::saying(self.exit(), format_args!("{}: {}", self.code, self.sentence));
        if let Some(code) = &self.cloud_code {
            failure = Failure::saying(self.exit(), format_args!("the relying party's own code is `{code}`"))
                .context(format!("{}: {}", self.code, self.sentence));
        }
        // A caller that proved nothing is counted, not recorded: an operator would look for an entry that is not there.
        let recorded = self.exchange_id.as_ref().filter(|_| manual::is_recorded(&self.code));
        if let Some(id) = recorded {
            failure = failure.hint_first(format!(
                "the gateway's operator sees why with: cambio audit query --exchange-id {id}"
            ));
        }
        self.explained(failure).of_code(&self.code)
    }

    /// Says where the page of the code is, and what is wrong most often.
    pub fn explained(&self, mut failure: Failure) -> Failure {
        // A gateway of another version may have codes that this program has no page for.
        if manual::explanation(&self.code).is_some() {
            failure = failure.hint_first(format!("what it means: cambio check --explain {}", self.code));
        }
        if self.code == "attest.dpop_invalid" && self.sentence.contains("`htu`") {
            failure = failure.hint_first("set CAMBIO_GATEWAY to exactly the gateway's `exchange_url`");
        }
        failure
    }
}

impl Answer {
    /// Reads what `/v1/exchange` answered for `asked`; `None` for what is no such answer.
    pub fn of_exchange(body: &Value, asked: &[String], status: u16) -> Option<Self> {
        let members = |name: &str| body.get(name)?.as_object();
        let (credentials, refusals) = (members("credentials")?, members("refusals")?);
        let details = members("details")?;
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(plain);
        let result = |name: &String| {
            let credential = credentials.get(name).map(|native| described(native, details.get(name)));
            let refusal = || refusals.get(name).and_then(|refusal| Refusal::read(refusal, status));
            match credential {
                Some(credential) => Some((name.clone(), Ok(credential))),
                None => Some((name.clone(), Err(refusal()?))),
            }
        };
        Some(Self {
            exchange_id: text("exchange_id"),
            spiffe_id: text("spiffe_id"),
            results: asked.iter().map(result).collect::<Option<_>>()?,
        })
    }

    /// Reads what `/v1/token` answered with an SVID for `asked`.
    pub fn of_token(body: &Value, asked: &str, exchange_id: Option<String>, now: SystemTime) -> Option<Self> {
        let token = body.get("access_token")?.as_str()?;
        let left = body.get("expires_in")?.as_u64()?;
        let expires = now.checked_add(std::time::Duration::from_secs(left))?;
        let native = json!({ "svid": token, "expires_in": left, "expires_on": unix_seconds(expires) });
        let credential = Credential::new("svid", SVID, Some(rfc3339(expires)), &native);
        Some(Self {
            exchange_id: exchange_id.map(|id| plain(&id)),
            spiffe_id: None,
            results: vec![(asked.to_owned(), Ok(credential))],
        })
    }
}

/// The form of an SVID that is handed out itself.
pub const SVID: &str = "svid";

fn described(native: &Value, detail: Option<&Value>) -> Credential {
    let none = Map::new();
    let detail = detail.and_then(Value::as_object).unwrap_or(&none);
    let text = |name: &str| detail.get(name).and_then(Value::as_str);
    Credential::new(
        text("kind").unwrap_or_default(),
        text("form").unwrap_or_default(),
        text("expires").map(str::to_owned),
        native,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, FakeClock};

    fn answered() -> Value {
        json!({
            "exchange_id": "x1",
            "spiffe_id": "spiffe://a.test/w",
            "credentials": { "aws": { "Version": 1, "SecretAccessKey": "canary" } },
            "details": { "aws": { "kind": "aws_sts", "form": "credential", "expires": "2026-01-16T15:00:00Z" } },
            "refusals": { "gcp": { "code": "authorize.no_grant", "detail": "no\u{1b}grant", "status": 403 } },
        })
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn reads_credentials_and_refusals_in_the_order_asked() {
        let answer = Answer::of_exchange(&answered(), &names(&["gcp", "aws"]), 200).unwrap();

        let (first, refused) = &answer.results[0];
        let refusal = refused.as_ref().unwrap_err();
        assert_eq!((first.as_str(), refusal.sentence.as_str()), ("gcp", "no?grant"));
        assert_eq!(refusal.exit(), Exit::Denied);
        let credential = answer.results[1].1.as_ref().unwrap();
        assert_eq!(credential.kind, "aws_sts");
        assert_eq!(credential.text("SecretAccessKey").unwrap().expose(), "canary");
    }

    #[test]
    fn a_relying_party_without_any_result_is_no_answer() {
        assert!(Answer::of_exchange(&answered(), &names(&["azure"]), 200).is_none());
    }

    fn told(code: &str, sentence: &str) -> String {
        let body = json!({ "code": code, "detail": sentence, "exchange_id": "x1", "status": 400 });
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let failure = Refusal::read(&body, 400).unwrap().failure();
        failure.report(&mut crate::cli::output::Output::new(&mut stdout, &mut stderr));
        String::from_utf8(stderr).unwrap()
    }

    #[test]
    fn a_refusal_says_what_it_means_and_where_it_is_recorded() {
        insta::assert_snapshot!(told("authorize.no_grant", "no grant"), @r"
        error: authorize.no_grant: no grant

        hint: what it means: cambio check --explain authorize.no_grant
        hint: the gateway's operator sees why with: cambio audit query --exchange-id x1
        ");
        insta::assert_snapshot!(told("attest.evidence_malformed", "bad"), @r"
        error: attest.evidence_malformed: bad

        hint: what it means: cambio check --explain attest.evidence_malformed
        ");
        insta::assert_snapshot!(told("later.version", "bad"), @r"
        error: later.version: bad

        hint: the gateway's operator sees why with: cambio audit query --exchange-id x1
        ");
    }

    #[test]
    fn a_proof_for_another_url_says_which_url_to_use() {
        let why =
            "the DPoP proof does not hold: `htu` is `https://localhost/v1/exchange`, expected `https://a/v1/exchange`";

        insta::assert_snapshot!(told("attest.dpop_invalid", why).lines().nth(2).unwrap(), @"hint: set CAMBIO_GATEWAY to exactly the gateway's `exchange_url`");
        assert!(!told("attest.dpop_invalid", "made 61 s ago").contains("CAMBIO_GATEWAY"));
    }

    #[test]
    fn debug_shows_no_secret() {
        let answer = Answer::of_exchange(&answered(), &names(&["aws"]), 200).unwrap();

        assert!(!format!("{answer:?}").contains("canary"));
    }

    #[test]
    fn a_token_answer_says_when_the_svid_ends() {
        let now = FakeClock::at("2026-01-16T14:40:00Z").now();

        let answer = Answer::of_token(&json!({ "access_token": "t", "expires_in": 300 }), "aws", None, now).unwrap();

        let credential = answer.results[0].1.as_ref().unwrap();
        assert_eq!(credential.expires.as_deref(), Some("2026-01-16T14:45:00Z"));
        assert_eq!(credential.text("svid").unwrap().expose(), "t");
    }
}
