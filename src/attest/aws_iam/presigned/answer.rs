//! What STS answers to `GetCallerIdentity`.
//!
//! It must never take an answer that contradicts itself, nor one of another partition than the host's (T-45, T-46).

use super::arn::{Arn, Principal};
use crate::attest::aws_iam::arn::is_account;
use crate::jose::{ClaimRefused, Claims, ClaimsRefused, Object, excerpt};

/// Who signed the question, as AWS says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) arn: Arn,
    /// The id that is never given to another: `AROA..` of a role, `AIDA..` of a user.
    pub(super) unique_id: String,
}

impl Answer {
    /// Reads an answer strictly.
    pub(super) fn read(bytes: &[u8], partition: &str) -> Result<Self, AnswerRefused> {
        let whole = Claims::parse(bytes).map_err(AnswerRefused::Json)?;
        let result = member(whole.root(), "GetCallerIdentityResponse")?;
        let result = member(result, "GetCallerIdentityResult")?;
        let text = |name: &'static str| result.required_text(name).map_err(AnswerRefused::Member);
        let (account, arn, user_id) = (text("Account")?, text("Arn")?, text("UserId")?);
        if !is_account(account) {
            return Err(AnswerRefused::Account {
                found: excerpt(account),
            });
        }
        let named = Arn::parse(arn).ok_or_else(|| AnswerRefused::Arn { found: excerpt(arn) })?;
        if named.account() != account || named.partition() != partition {
            return Err(AnswerRefused::Contradicted {
                found: excerpt(arn),
                expected: format!("account {account} in partition {partition}"),
            });
        }
        let unique_id = unique_id(&named, user_id).ok_or_else(|| AnswerRefused::Contradicted {
            found: excerpt(user_id),
            expected: format!("the id of {named}"),
        })?;
        Ok(Self { arn: named, unique_id })
    }
}

fn member<'a>(object: Object<'a>, name: &'static str) -> Result<Object<'a>, AnswerRefused> {
    let found = object.object(name).map_err(AnswerRefused::Member)?;
    found.ok_or(AnswerRefused::Member(ClaimRefused::Missing { name }))
}

/// Reads the unique id; `None` where it is not one of the ARN's principal.
fn unique_id(arn: &Arn, user_id: &str) -> Option<String> {
    let id = |text: &str, prefix: &str| {
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        (text.starts_with(prefix) && (16..=128).contains(&text.len()) && plain).then(|| text.to_owned())
    };
    match arn.principal() {
        Principal::AssumedRole { session, .. } => {
            let (role, named) = user_id.split_once(':')?;
            id(role, "AROA").filter(|_| named == session)
        }
        Principal::FederatedUser { name } => {
            let (account, named) = user_id.split_once(':')?;
            (account == arn.account() && named == name).then(|| user_id.to_owned())
        }
        Principal::Root => (user_id == arn.account()).then(|| user_id.to_owned()),
        Principal::User { .. } => id(user_id, "AIDA"),
    }
}

/// An answer is not one to `GetCallerIdentity`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerRefused {
    /// The account is not 12 digits.
    #[error("the answer's account is `{found}`, expected 12 digits")]
    Account {
        /// What was found.
        found: String,
    },
    /// The ARN is not one of a principal.
    #[error("the answer's ARN is `{found}`, expected that of a user, a session or an account")]
    Arn {
        /// What was found.
        found: String,
    },
    /// Its parts are not of one principal.
    #[error("the answer says `{found}`, expected {expected}")]
    Contradicted {
        /// What was found.
        found: String,
        /// What the rest of the answer says.
        expected: String,
    },
    /// It is not strict JSON.
    #[error("the answer is no strict JSON object")]
    Json(#[source] ClaimsRefused),
    /// A part is missing, empty or of another type.
    #[error("the answer is not what GetCallerIdentity answers")]
    Member(#[source] ClaimRefused),
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn good() -> Value {
        json!({ "GetCallerIdentityResponse": {
            "GetCallerIdentityResult": {
                "Account": "123456789012",
                "Arn": "arn:aws:sts::123456789012:assumed-role/deploy/i-0123456789abcdef0",
                "UserId": "AROAEXAMPLEEXAMPLEID1:i-0123456789abcdef0",
            },
            "ResponseMetadata": { "RequestId": "01234567-89ab-cdef-0123-456789abcdef" },
        }})
    }

    fn changed(member: &str, value: Value) -> Value {
        let mut answer = good();
        answer["GetCallerIdentityResponse"]["GetCallerIdentityResult"][member] = value;
        answer
    }

    fn read(answer: &Value) -> Result<Answer, AnswerRefused> {
        Answer::read(answer.to_string().as_bytes(), "aws")
    }

    #[test]
    fn reads_who_it_is() {
        let answer = read(&good()).unwrap();

        assert_eq!(answer.arn.canonical(), "arn:aws:iam::123456789012:role/deploy");
        assert_eq!(answer.unique_id, "AROAEXAMPLEEXAMPLEID1");
    }

    #[test]
    fn reads_users_root_and_federated_users() {
        for (arn, user_id) in [
            ("arn:aws:iam::123456789012:user/alice", "AIDAEXAMPLEEXAMPLEID1"),
            ("arn:aws:iam::123456789012:root", "123456789012"),
            ("arn:aws:sts::123456789012:federated-user/bob", "123456789012:bob"),
        ] {
            let mut answer = changed("Arn", json!(arn));
            answer["GetCallerIdentityResponse"]["GetCallerIdentityResult"]["UserId"] = json!(user_id);
            assert_eq!(read(&answer).unwrap().unique_id, user_id, "{arn}");
        }
    }

    #[test]
    fn t_45_refuses_what_is_missing_empty_or_of_another_type() {
        for member in ["Account", "Arn", "UserId"] {
            for value in [
                json!(null),
                json!(""),
                json!(123_456_789_012_u64),
                json!(["a"]),
                json!({}),
            ] {
                assert!(read(&changed(member, value.clone())).is_err(), "{member}: {value}");
            }
        }
        for text in [
            "",
            "{}",
            "[]",
            "null",
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"/>",
            "<html></html>",
            r#"{"GetCallerIdentityResponse":{}}"#,
            r#"{"GetCallerIdentityResponse":[]}"#,
            r#"{"GetCallerIdentityResponse":{"GetCallerIdentityResult":null}}"#,
            r#"{"Account":"123456789012","Arn":"arn:aws:iam::123456789012:root","UserId":"123456789012"}"#,
        ] {
            assert!(Answer::read(text.as_bytes(), "aws").is_err(), "{text}");
        }
    }

    #[test]
    fn t_45_refuses_a_member_that_is_there_twice() {
        let text = good().to_string();
        let twice = text.replace(
            "\"Account\":\"123456789012\"",
            "\"Account\":\"210987654321\",\"Account\":\"123456789012\"",
        );
        assert_ne!(text, twice);

        let refused = Answer::read(twice.as_bytes(), "aws").unwrap_err();

        assert!(matches!(refused, AnswerRefused::Json(_)), "{refused}");
    }

    #[test]
    fn t_46_refuses_an_answer_that_contradicts_itself() {
        for (member, value) in [
            ("Account", "210987654321"),
            ("Account", "12345678901"),
            (
                "Arn",
                "arn:aws:sts::210987654321:assumed-role/deploy/i-0123456789abcdef0",
            ),
            (
                "Arn",
                "arn:aws-cn:sts::123456789012:assumed-role/deploy/i-0123456789abcdef0",
            ),
            ("Arn", "arn:aws:sts::123456789012:assumed-role/deploy/../x"),
            ("Arn", "arn:aws:sts::123456789012:assumed-role/deploy/other"),
            ("UserId", "AROAEXAMPLEEXAMPLEID1:other"),
            ("UserId", "AROAEXAMPLEEXAMPLEID1"),
            ("UserId", "AIDAEXAMPLEEXAMPLEID1:i-0123456789abcdef0"),
            ("UserId", "AROA:i-0123456789abcdef0"),
            ("UserId", "AROAEXAMPLEEXAMPLE/D1:i-0123456789abcdef0"),
            ("UserId", "AROAEXAMPLEEXAMPLEID1:i-0123456789abcdef0:x"),
        ] {
            assert!(read(&changed(member, json!(value))).is_err(), "{member}: {value}");
        }
    }
}
