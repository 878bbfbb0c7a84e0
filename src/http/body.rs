//! Reading a request's body: bounded in size and time, parsed strictly.
//!
//! No message here repeats what was sent: it may be a token.

use std::{borrow::Cow, collections::HashMap, time::Duration};

use axum::body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::request_refusal::RequestRefusal;
use crate::jose::strict_json::{self, JsonRefused};

/// Reads a body of at most 64 KiB within 10 s.
///
/// # Errors
/// Refuses more and slower.
pub async fn read(body: Body) -> Result<Vec<u8>, RequestRefusal> {
    let collected = tokio::time::timeout(MAX_TIME, Limited::new(body, MAX_BYTES).collect()).await;
    let too_slow = RequestRefusal::BodyTooSlow {
        limit_seconds: MAX_TIME.as_secs(),
    };
    match collected.map_err(|_elapsed| too_slow)? {
        Ok(bytes) => Ok(bytes.to_bytes().to_vec()),
        Err(failed) if failed.is::<LengthLimitError>() => Err(RequestRefusal::BodyTooLarge { limit_bytes: MAX_BYTES }),
        Err(_broken) => Err(RequestRefusal::BodyInvalid {
            problem: "the body broke off".to_owned(),
        }),
    }
}

/// LIMITS.md: a body has at most 64 KiB (TM-45, T-14).
pub const MAX_BYTES: usize = 64 * 1024;
/// LIMITS.md: a body arrives within 10 s (TM-46).
const MAX_TIME: Duration = Duration::from_secs(10);

/// The parameters of a form, each at most once (RFC 6749 section 3.2; T-20).
#[derive(Debug)]
pub struct Form(HashMap<String, String>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`; empty parameters count as absent.
    ///
    /// # Errors
    /// Refuses a parameter that stands there twice, and more than 64 of them.
    pub fn parse(body: &[u8]) -> Result<Self, RequestRefusal> {
        let mut parameters = HashMap::new();
        for (count, (name, value)) in pairs(body).enumerate() {
            if count >= MAX_PARAMETERS {
                return Err(RequestRefusal::BodyInvalid {
                    problem: format!("more than {MAX_PARAMETERS} parameters"),
                });
            }
            if parameters.contains_key(&*name) {
                let known = KNOWN
                    .into_iter()
                    .find(|known| *known == &*name)
                    .unwrap_or("an unknown one");
                return Err(RequestRefusal::ParameterInvalid {
                    name: known,
                    problem: "is there more than once".to_owned(),
                });
            }
            parameters.insert(name.into_owned(), value.into_owned());
        }
        parameters.retain(|_, value| !value.is_empty());
        Ok(Self(parameters))
    }

    /// Takes a parameter out.
    pub fn take(&mut self, name: &'static str) -> Option<String> {
        self.0.remove(name)
    }

    /// Takes a parameter out that must be there.
    ///
    /// # Errors
    /// Refuses its absence.
    pub fn required(&mut self, name: &'static str) -> Result<String, RequestRefusal> {
        self.take(name).ok_or_else(|| RequestRefusal::ParameterInvalid {
            name,
            problem: "is missing".to_owned(),
        })
    }
}

/// Reads the names and values of a form.
///
/// Most of a body is a token, in which nothing is encoded: what is not, is taken as it stands, at a tenth of the cost.
fn pairs(body: &[u8]) -> Box<dyn Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> + '_> {
    let Ok(text) = std::str::from_utf8(body) else {
        return Box::new(form_urlencoded::parse(body));
    };
    Box::new(text.split('&').filter(|pair| !pair.is_empty()).filter_map(|pair| {
        if pair.contains('%') || pair.contains('+') {
            return form_urlencoded::parse(pair.as_bytes()).next();
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((name.into(), value.into()))
    }))
}

/// The parameters whose names may be repeated in a message; any other name is the caller's text.
const KNOWN: [&str; 10] = [
    "actor_token",
    "actor_token_type",
    "audience",
    "client_id",
    "grant_type",
    "requested_token_type",
    "resource",
    "scope",
    "subject_token",
    "subject_token_type",
];
const MAX_PARAMETERS: usize = 64;

/// Reads a JSON object strictly: no duplicate keys, depth 16, 2,000 strings (T-40c).
///
/// # Errors
/// Refuses anything else, and members that are not in `known`.
pub fn json_object(body: &[u8], known: &[&str]) -> Result<Map<String, Value>, RequestRefusal> {
    let invalid = |problem: String| RequestRefusal::BodyInvalid { problem };
    let value =
        strict_json::parse(body, &strict_json::Limits::default()).map_err(|refusal| invalid(in_words(&refusal)))?;
    let Value::Object(object) = value else {
        return Err(invalid(format!(
            "the body is {}, expected a JSON object",
            strict_json::type_name(&value)
        )));
    };
    refuse_unknown(&object, known)?;
    Ok(object)
}

/// Says what is wrong without the names of members, which are the caller's text.
fn in_words(refusal: &JsonRefused) -> String {
    match refusal {
        JsonRefused::DuplicateMember { .. } => "found a member twice in one object, expected it once".to_owned(),
        JsonRefused::Depth { .. } | JsonRefused::Strings { .. } | JsonRefused::Syntax(_) | JsonRefused::Utf8(_) => {
            refusal.to_string()
        }
    }
}

/// Refuses members that are not in `known`.
///
/// # Errors
/// Says which are taken.
pub fn refuse_unknown(object: &Map<String, Value>, known: &[&str]) -> Result<(), RequestRefusal> {
    if object.keys().all(|name| known.contains(&name.as_str())) {
        return Ok(());
    }
    Err(RequestRefusal::BodyInvalid {
        problem: format!("there is an unknown member; expected only {}", known.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    #[tokio::test]
    async fn t_14_takes_64_kib_and_refuses_one_byte_more() {
        assert!(read(Body::from(vec![b'a'; MAX_BYTES])).await.is_ok());
        let refused = read(Body::from(vec![b'a'; MAX_BYTES + 1])).await;
        assert_eq!(refused, Err(RequestRefusal::BodyTooLarge { limit_bytes: 65_536 }));
    }

    #[tokio::test(start_paused = true)]
    async fn tm_46_refuses_a_body_that_takes_longer_than_10_s() {
        let never = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());

        assert_eq!(
            read(never).await,
            Err(RequestRefusal::BodyTooSlow { limit_seconds: 10 })
        );
    }

    proptest! {
        #[test]
        fn reads_a_form_as_the_url_standard_says(body in vec(select(b"ab=&%+2f\0\xff\xc3\xa9".to_vec()), 0..40)) {
            prop_assert!(pairs(&body).eq(form_urlencoded::parse(&body)));
        }
    }

    #[test]
    fn t_20_refuses_a_repeated_parameter() {
        let refused = Form::parse(b"subject_token=a&subject_token=b");

        assert!(matches!(
            refused,
            Err(RequestRefusal::ParameterInvalid {
                name: "subject_token",
                ..
            })
        ));
    }

    #[test]
    fn tx_15_an_empty_parameter_counts_as_absent() {
        assert!(Form::parse(b"scope=").unwrap().take("scope").is_none());
    }

    #[test]
    fn takes_64_parameters_and_refuses_65() {
        let form = |count: usize| (0..count).map(|n| format!("p{n}=x")).collect::<Vec<_>>().join("&");

        assert!(Form::parse(form(64).as_bytes()).is_ok());
        assert!(Form::parse(form(65).as_bytes()).is_err());
    }

    #[test]
    fn t_40c_refuses_duplicate_members_and_unknown_ones_without_repeating_them() {
        assert!(json_object(br#"{"evidence":1,"evidence":2}"#, &["evidence"]).is_err());
        for body in [r#"{"canary":1}"#, r#"{"canary":1,"canary":2}"#, "canary"] {
            let refused = json_object(body.as_bytes(), &["evidence"]).unwrap_err();
            assert!(!refused.to_string().contains("canary"), "{body}: {refused}");
        }
    }
}
