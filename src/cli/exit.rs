//! The exit codes, which are part of the interface (ARCHITECTURE section 8).

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The child's own code, or 128 + n for a signal.
    Child(u8),
    /// Wrong configuration: 78 (`EX_CONFIG`).
    Configuration,
    /// Denied by policy: 3.
    Denied,
    /// Done: 0.
    Done,
    /// Failed: 1.
    Failed,
    /// `exec` itself failed or was denied: 125.
    Launcher,
    /// The command of `exec` was not found: 127.
    NotFound,
    /// The command of `exec` cannot be executed: 126.
    NotExecutable,
    /// The relying party refused: 5.
    RelyingParty,
    /// Attestation failed: 4.
    Unattested,
    /// The gateway cannot be reached, or answers 503: 6.
    Unreachable,
    /// Wrong usage: 2.
    Usage,
}

impl Exit {
    /// Returns the number.
    pub fn number(self) -> u8 {
        match self {
            Self::Child(number) => number,
            Self::Configuration => 78,
            Self::Denied => 3,
            Self::Done => 0,
            Self::Failed => 1,
            Self::Launcher => 125,
            Self::NotFound => 127,
            Self::NotExecutable => 126,
            Self::RelyingParty => 5,
            Self::Unattested => 4,
            Self::Unreachable => 6,
            Self::Usage => 2,
        }
    }

    /// Returns what a refusal of the gateway means, by its stable code and HTTP status.
    pub fn of_refusal(code: &str, status: u16) -> Self {
        let step = code.split('.').next().unwrap_or_default();
        match (step, status) {
            (_, 503) => Self::Unreachable,
            ("attest", _) => Self::Unattested,
            ("authorize" | "identify", _) => Self::Denied,
            ("exchange", _) => Self::RelyingParty,
            (_, _) => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.number().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_exit_code_of_its_step() {
        assert_eq!(Exit::of_refusal("attest.evidence_expired", 400).number(), 4);
        assert_eq!(Exit::of_refusal("authorize.no_grant", 403).number(), 3);
        assert_eq!(Exit::of_refusal("identify.no_entry", 403).number(), 3);
        assert_eq!(Exit::of_refusal("authorize.relying_party_unknown", 403).number(), 3);
        assert_eq!(Exit::of_refusal("exchange.cloud_refused", 502).number(), 5);
        assert_eq!(Exit::of_refusal("store.unavailable", 503).number(), 6);
        assert_eq!(Exit::of_refusal("mint.lint_failed", 500).number(), 1);
    }
}
