//! Every AADSTS code that the federation rules and the simulator know, and how well it is known.
//!
//! A code that is not listed is passed on as it is: Microsoft says that codes and texts change.

use crate::exchange::azure_entra::rules::Mark;

/// One AADSTS code as the token endpoint uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The number after `AADSTS`.
    pub number: u32,
    /// The OAuth `error` it arrives with; empty where nothing is known.
    pub error: &'static str,
    /// What makes Entra answer with it.
    pub means: &'static str,
    /// How well the code and its `error` are known.
    pub mark: Mark,
    /// How well its text is known.
    pub text: Mark,
}

/// Every code that the federation rules and the simulator know, by number.
pub const CODES: &[Code] = &[
    code(
        50_013,
        "invalid_grant",
        "the assertion is invalid",
        Mark::Documented,
        Mark::FromMemory,
    ),
    code(
        50_166,
        "invalid_request",
        "the issuer's documents could not be had",
        Mark::Observed,
        Mark::Observed,
    ),
    code(
        50_196,
        "",
        "the client asks in a loop, or too often",
        Mark::Documented,
        Mark::FromMemory,
    ),
    code(
        53_003,
        "",
        "conditional access for workload identities blocks it",
        Mark::Documented,
        Mark::FromMemory,
    ),
    code(
        70_003,
        "unsupported_grant_type",
        "not a client credentials grant",
        Mark::Documented,
        Mark::FromMemory,
    ),
    code(
        70_011,
        "invalid_scope",
        "the scope is not one `<resource>/.default`",
        Mark::Documented,
        Mark::Documented,
    ),
    code(
        70_021,
        "invalid_request",
        "no matching credential; often: not propagated yet",
        Mark::Observed,
        Mark::Observed,
    ),
    code(
        70_023,
        "invalid_request",
        "the assertion lives longer than 25 hours",
        Mark::Observed,
        Mark::Observed,
    ),
    code(
        70_025,
        "invalid_client",
        "the application has no federated credential",
        Mark::FromMemory,
        Mark::FromMemory,
    ),
    code(
        90_002,
        "invalid_request",
        "the tenant does not exist",
        Mark::FromMemory,
        Mark::FromMemory,
    ),
    code(
        90_061,
        "invalid_request",
        "the issuer's documents could not be had",
        Mark::Observed,
        Mark::Observed,
    ),
    code(
        500_133,
        "invalid_grant",
        "the assertion is outside its time range",
        Mark::Documented,
        Mark::FromMemory,
    ),
    code(
        501_661,
        "invalid_request",
        "the issuer's documents could not be had",
        Mark::Observed,
        Mark::Observed,
    ),
    code(
        700_016,
        "unauthorized_client",
        "the application is not in the tenant",
        Mark::Observed,
        Mark::Observed,
    ),
    code(
        700_024,
        "invalid_client",
        "the assertion is outside its time range",
        Mark::Observed,
        Mark::Observed,
    ),
    code(
        700_025,
        "invalid_client",
        "a public client may not send an assertion",
        Mark::Documented,
        Mark::FromMemory,
    ),
    code(
        700_027,
        "invalid_client",
        "the assertion's signature is invalid",
        Mark::Documented,
        Mark::FromMemory,
    ),
    code(
        700_211,
        "invalid_client",
        "no credential has the assertion's issuer",
        Mark::Observed,
        Mark::Observed,
    ),
    code(
        700_212,
        "invalid_client",
        "no credential has the assertion's audience",
        Mark::FromMemory,
        Mark::FromMemory,
    ),
    code(
        700_213,
        "invalid_client",
        "no credential has the assertion's subject",
        Mark::Observed,
        Mark::Observed,
    ),
    code(
        700_222,
        "invalid_client",
        "Entra's own tokens cannot be assertions",
        Mark::Observed,
        Mark::FromMemory,
    ),
    code(
        700_229,
        "invalid_client",
        "Entra's own tokens for users cannot be assertions",
        Mark::Observed,
        Mark::Observed,
    ),
    code(
        900_144,
        "invalid_request",
        "a parameter is missing",
        Mark::FromMemory,
        Mark::FromMemory,
    ),
    code(
        7_000_222,
        "invalid_client",
        "the client secret expired",
        Mark::FromMemory,
        Mark::FromMemory,
    ),
    code(
        7_000_272,
        "invalid_client",
        "the issuer does not publish the signing key",
        Mark::Observed,
        Mark::Observed,
    ),
    code(
        7_002_137,
        "invalid_client",
        "no credential has the subject; suggests its form",
        Mark::Observed,
        Mark::FromMemory,
    ),
    code(
        7_002_138,
        "invalid_client",
        "the subject differs in case only",
        Mark::Observed,
        Mark::FromMemory,
    ),
];

/// Finds what is known of a code.
pub fn find(number: u32) -> Option<&'static Code> {
    CODES.iter().find(|code| code.number == number)
}

const fn code(number: u32, error: &'static str, means: &'static str, mark: Mark, text: Mark) -> Code {
    Code {
        number,
        error,
        means,
        mark,
        text,
    }
}
