//! SPIFFE IDs, and the templates that they are made from.

use cambio::{
    attest::Attributes,
    identify::Template,
    spiffe::{MAX_GENERATED_ID_BYTES, MAX_ID_BYTES, SpiffeId, TrustDomain, is_template_value},
};

use super::can_be_logged;

/// Takes the input for an ID, for the name of a trust domain, for a path, and for a template with a value on the next
/// line.
pub fn hold(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    id(text);
    trust_domain(text);
    let (first, value) = text.split_once('\n').unwrap_or((text, "main"));
    template(first, value);
}

/// An ID is what was read, byte for byte, and is put together from its parts in one way.
fn id(text: &str) {
    let id = match SpiffeId::parse(text) {
        Ok(id) => id,
        Err(refused) => return can_be_logged(&refused),
    };
    assert!(text.len() <= MAX_ID_BYTES);
    assert_eq!((id.as_str(), id.to_string().as_str()), (text, text));
    assert_eq!(format!("spiffe://{}{}", id.trust_domain(), id.path()), text);
    assert!(
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b":/._-".contains(&byte))
    );
    let written = serde_json::to_string(&id).expect("JSON");
    assert_eq!(serde_json::from_str::<SpiffeId>(&written).expect("the same ID"), id);
    if id.path().is_empty() {
        assert_eq!(id.trust_domain().id(), id);
        return;
    }
    let segments = id.path().split('/').skip(1);
    assert!(segments.clone().all(|one| one.len() > 255 || is_template_value(one)));
    assert!(!segments.into_iter().any(|one| matches!(one, "" | "." | "..")));
    generated(id.trust_domain(), id.path());
}

/// What is generated is read as it was meant.
fn generated(trust_domain: &TrustDomain, path: &str) {
    match SpiffeId::generate(trust_domain, path) {
        Ok(id) => {
            assert!(id.as_str().len() <= MAX_GENERATED_ID_BYTES);
            assert_eq!(SpiffeId::parse(id.as_str()).as_ref(), Ok(&id));
            assert_eq!((id.trust_domain(), id.path()), (trust_domain, path));
        }
        Err(refused) => can_be_logged(&refused),
    }
}

fn trust_domain(name: &str) {
    match TrustDomain::parse(name) {
        Ok(read) => {
            assert_eq!(read.as_str(), name);
            assert_eq!(SpiffeId::parse(&format!("spiffe://{name}")).as_ref(), Ok(&read.id()));
            generated(&read, "/ci/acme");
        }
        Err(refused) => can_be_logged(&refused),
    }
}

/// A value never leaves its segment (T-09).
fn template(text: &str, value: &str) {
    let ours = TrustDomain::parse("acme.example").expect("a trust domain");
    generated(&ours, text);
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(refused) => return can_be_logged(&refused),
    };
    if let Some(fixed) = template.fixed() {
        assert_eq!(fixed, text);
    }
    let mut attributes = Attributes::default();
    for name in NAMES {
        if attributes.insert(name, value).is_err() {
            return;
        }
    }
    match template.fill(&attributes) {
        Ok(path) => {
            assert_eq!(path.split('/').count(), text.split('/').count());
            let filled = NAMES.iter().fold(text.to_owned(), |text, name| {
                text.replace(&format!("{{{name}}}"), value)
            });
            assert_eq!(path, filled);
            if SpiffeId::generate(&ours, &path).is_err() {
                let found = "spiffe://acme.example".len() + path.len();
                assert!(found > MAX_GENERATED_ID_BYTES, "`{path}` is no path of an ID");
            }
        }
        Err(refused) => can_be_logged(&refused),
    }
}

const NAMES: [&str; 3] = ["ci.ref", "ci.repo_name", "k8s.namespace"];
