//! The names that Kubernetes gives: subjects of service accounts, objects, and their ids.
//!
//! It must never repair a name: a subject of five parts is nobody's, whatever its parts say.

/// A service account as a subject names it: `system:serviceaccount:<namespace>:<name>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subject<'t> {
    pub(super) namespace: &'t str,
    pub(super) name: &'t str,
}

impl<'t> Subject<'t> {
    /// Reads a subject; `None` for every other user, also of the system.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let (namespace, name) = text.strip_prefix("system:serviceaccount:")?.split_once(':')?;
        (is_label(namespace) && is_subdomain(name)).then_some(Self { namespace, name })
    }
}

/// Tells whether this is a DNS label, such as the name of a namespace (RFC 1123).
pub(super) fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_LABEL_BYTES).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Tells whether this is a DNS subdomain, such as the name of a service account, pod or node.
///
/// Kubernetes bounds the whole, not each of its labels.
pub(super) fn is_subdomain(text: &str) -> bool {
    let label = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    text.len() <= MAX_NAME_BYTES && text.split('.').all(label)
}

/// Tells whether this is an object's id: a UUID in lower case, as the API server makes them.
pub(super) fn is_uid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _other => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

// Kubernetes, "Object Names and IDs".
const MAX_LABEL_BYTES: usize = 63;
const MAX_NAME_BYTES: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_namespace_and_name_of_a_service_account() {
        let found = Subject::parse("system:serviceaccount:shop:deploy.v2").unwrap();

        assert_eq!((found.namespace, found.name), ("shop", "deploy.v2"));
    }

    #[test]
    fn t_68_no_other_subject_is_a_service_account() {
        for text in [
            "",
            "system:serviceaccount",
            "system:serviceaccount:",
            "system:serviceaccount:shop",
            "system:serviceaccount:shop:",
            "system:serviceaccount::deploy",
            "system:serviceaccount:shop:deploy:",
            "system:serviceaccount:shop:deploy:admin",
            " system:serviceaccount:shop:deploy",
            "system:serviceaccount:shop:deploy\n",
            "system:ServiceAccount:shop:deploy",
            "system:serviceaccounts:shop:deploy",
            "system:serviceaccount:Shop:deploy",
            "system:serviceaccount:sh.op:deploy",
            "system:serviceaccount:-shop:deploy",
            "system:serviceaccount:shop-:deploy",
            "system:serviceaccount:shop:dep_loy",
            "system:serviceaccount:shop:deploy/admin",
            "system:serviceaccount:shop:*",
            "system:serviceaccount:shop:..",
            "system:serviceaccount:shop:dëploy",
            "system:node:worker-1",
            "system:anonymous",
            "kubernetes-admin",
        ] {
            assert_eq!(Subject::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_namespace_has_63_bytes_and_a_name_253() {
        let subject = |namespace: usize, name: usize| {
            format!("system:serviceaccount:{}:{}", "n".repeat(namespace), "a".repeat(name))
        };

        assert!(Subject::parse(&subject(63, 253)).is_some());
        assert_eq!(Subject::parse(&subject(64, 253)), None);
        assert_eq!(Subject::parse(&subject(63, 254)), None);
    }

    #[test]
    fn an_id_is_a_uuid_in_lower_case() {
        assert!(is_uid("b5a3f1f0-6c1e-4f0a-9b7d-2f1f6a1c0d3e"));
        for text in [
            "",
            "B5A3F1F0-6C1E-4F0A-9B7D-2F1F6A1C0D3E",
            "b5a3f1f06c1e4f0a9b7d2f1f6a1c0d3e",
            "b5a3f1f0-6c1e-4f0a-9b7d-2f1f6a1c0d3",
            "b5a3f1f0-6c1e-4f0a-9b7d-2f1f6a1c0d3g",
            "b5a3f1f0_6c1e_4f0a_9b7d_2f1f6a1c0d3e",
        ] {
            assert!(!is_uid(text), "{text:?}");
        }
    }
}
