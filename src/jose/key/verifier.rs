//! Which of the library's algorithms a key's numbers are used with.

use aws_lc_rs::signature::{
    self, EcdsaVerificationAlgorithm, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};

use super::{KeyRefused, members::decoded};
use crate::jose::{Algorithm, Curve, KeyMaterial};

pub(super) fn verifiers(
    material: &KeyMaterial,
    own: Option<Algorithm>,
    allowed: &[Algorithm],
) -> Result<Vec<(Algorithm, ParsedPublicKey)>, KeyRefused> {
    let fitting = allowed.iter().copied().filter(|algorithm| fits(material, *algorithm));
    let chosen: Vec<_> = fitting
        .filter(|fitting| own.is_none_or(|own| own == *fitting))
        .collect();
    if chosen.is_empty() {
        let expected = allowed.iter().copied().filter(|algorithm| fits(material, *algorithm));
        return Err(KeyRefused::AlgorithmMismatch {
            found: own.map_or_else(|| "no algorithm".to_owned(), |own| own.to_string()),
            expected: Algorithm::names(expected),
        });
    }
    chosen
        .into_iter()
        .map(|algorithm| Ok((algorithm, parsed(material, algorithm)?)))
        .collect()
}

fn fits(material: &KeyMaterial, algorithm: Algorithm) -> bool {
    match verification(algorithm) {
        Verification::Ec(curve, _) => matches!(material, KeyMaterial::Ec { curve: own, .. } if *own == curve),
        Verification::Rsa(_) => matches!(material, KeyMaterial::Rsa { .. }),
    }
}

fn parsed(material: &KeyMaterial, algorithm: Algorithm) -> Result<ParsedPublicKey, KeyRefused> {
    match (material, verification(algorithm)) {
        (KeyMaterial::Ec { x, y, .. }, Verification::Ec(_, parameters)) => {
            let mut point = vec![0x04]; // an uncompressed point
            point.extend(decoded("x", x)?);
            point.extend(decoded("y", y)?);
            let parameters: &'static dyn VerificationAlgorithm = parameters;
            ParsedPublicKey::new(parameters, point).map_err(KeyRefused::Rejected)
        }
        (KeyMaterial::Rsa { n, e }, Verification::Rsa(parameters)) => {
            let (n, e) = (decoded("n", n)?, decoded("e", e)?);
            let components = RsaPublicKeyComponents { n, e };
            components
                .to_parsed_public_key(parameters)
                .map_err(KeyRefused::Rejected)
        }
        (KeyMaterial::Ec { .. }, Verification::Rsa(_)) | (KeyMaterial::Rsa { .. }, Verification::Ec(..)) => {
            Err(KeyRefused::AlgorithmMismatch {
                found: algorithm.to_string(),
                expected: "one of the key's type".to_owned(),
            })
        }
    }
}

enum Verification {
    Ec(Curve, &'static EcdsaVerificationAlgorithm),
    Rsa(&'static RsaParameters),
}

fn verification(algorithm: Algorithm) -> Verification {
    match algorithm {
        Algorithm::Es256 => Verification::Ec(Curve::P256, &signature::ECDSA_P256_SHA256_FIXED),
        Algorithm::Es384 => Verification::Ec(Curve::P384, &signature::ECDSA_P384_SHA384_FIXED),
        Algorithm::Ps256 => Verification::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Verification::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Verification::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::Rs256 => Verification::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Verification::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Verification::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
    }
}
