//! Why a document was not fetched.
//!
//! It must never hold a byte of an answer's body: that was how a prober read other hosts through a server (T-05).

use std::{io, net::IpAddr};

/// An origin cannot be fetched from as it is configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OriginRefused {
    /// The authorities' file holds no certificate.
    #[error("the authorities' file holds {found}, expected certificates in PEM")]
    Authorities {
        /// What was found.
        found: String,
    },
    /// No client could be made, for example because the host has no certificate authorities.
    #[error("no client for `{origin}` can be made")]
    Client {
        /// The origin.
        origin: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The URL is not one that can be fetched from.
    #[error("found `{found}`, expected `https://<host>[:<port>][/<path>]` without {unexpected}")]
    Url {
        /// What was found, shortened and escaped.
        found: String,
        /// What is wrong with it.
        unexpected: &'static str,
    },
}

/// A document was not fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchFailed {
    /// A host has an address that nothing is fetched from.
    #[error(
        "`{host}` resolves to {address}, which is {reason}; expected public addresses or such as `allow_addresses` lists"
    )]
    Address {
        /// The host.
        host: String,
        /// The first of its addresses that is refused.
        address: IpAddr,
        /// What kind of address it is.
        reason: &'static str,
    },
    /// The answer is compressed, although nothing but the plain document was asked for.
    #[error("`{origin}` answered with an encoded body, expected a plain one")]
    Encoded {
        /// The origin.
        origin: String,
    },
    /// The URL is of another origin than the configured one.
    #[error("`{found}` is not of the configured origin `{expected}`")]
    ForeignOrigin {
        /// The URL, shortened and escaped.
        found: String,
        /// The configured origin.
        expected: String,
    },
    /// The body is longer than the limit.
    #[error("`{origin}` answered with more than the {limit} bytes expected at most")]
    Oversized {
        /// The origin.
        origin: String,
        /// The limit.
        limit: usize,
    },
    /// The answer to what was posted has another status.
    #[error("`{origin}` answered {status}, expected 200 or 201")]
    Posted {
        /// The origin.
        origin: String,
        /// The status.
        status: u16,
    },
    /// The answer is a redirect.
    #[error("`{origin}` answered with redirect {status}, expected 200: redirects are not followed")]
    Redirected {
        /// The origin.
        origin: String,
        /// The status.
        status: u16,
    },
    /// The host's name could not be resolved.
    #[error("`{host}` could not be resolved")]
    Resolve {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The answer has another status.
    #[error("`{origin}` answered {status}, expected 200")]
    Status {
        /// The origin.
        origin: String,
        /// The status.
        status: u16,
    },
    /// No whole answer within the time limit.
    #[error("`{origin}` gave no whole answer within {seconds} s")]
    TimedOut {
        /// The origin.
        origin: String,
        /// The limit.
        seconds: u64,
    },
    /// No connection, no trusted certificate, or a broken answer.
    #[error("`{origin}` could not be asked")]
    Transport {
        /// The origin.
        origin: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}
