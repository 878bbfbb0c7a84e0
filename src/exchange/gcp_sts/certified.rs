//! An X.509-SVID as Google takes it: the chain as subject token, and a TLS identity for the connection that brings it.
//!
//! The private key is copied for that one connection and wiped here afterwards.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{
    exchange::{
        CloudRefusal,
        gcp_sts::{CLOUD, request::SubjectToken, rules::certificate},
    },
    mint::X509Svid,
};

/// Makes the subject token of an SVID whose key was made here.
///
/// # Errors
/// Refuses an SVID whose private key is the workload's.
pub(super) fn subject_token(svid: &X509Svid) -> Result<SubjectToken<'static>, CloudRefusal> {
    let refused = |problem: String| CloudRefusal::Preflight {
        cloud: CLOUD,
        code: "invalid_request".to_owned(),
        problem,
    };
    let key = svid
        .private_key_pkcs8()
        .ok_or_else(|| refused("the private key of the SVID is the workload's".to_owned()))?;
    let mut pem = Zeroizing::new(String::new());
    write(&mut pem, "PRIVATE KEY", key);
    for certificate in svid.chain() {
        write(&mut pem, "CERTIFICATE", certificate);
    }
    let identity = reqwest::Identity::from_pem(pem.as_bytes())
        .map_err(|why| refused(format!("the SVID is no TLS identity: {why}")))?;
    Ok(SubjectToken::Certificates {
        list: certificate::subject_token(svid.chain()),
        identity,
    })
}

fn write(pem: &mut String, label: &str, der: &[u8]) {
    let body = Zeroizing::new(STANDARD.encode(der));
    pem.extend(["-----BEGIN ", label, "-----\n"]);
    for (position, character) in body.chars().enumerate() {
        if position > 0 && position % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.extend(["\n-----END ", label, "-----\n"]);
}
