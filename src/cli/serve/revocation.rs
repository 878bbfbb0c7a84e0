//! The lists of revoked certificates, kept in step with the store for as long as the process runs.

use std::sync::Arc;

use crate::mint::crl::{REFRESH, Revoker};

/// Looks every 5 s whether something was revoked elsewhere, and signs the lists anew before they get old.
pub(super) async fn keep(revoker: Arc<Revoker>) {
    let mut tick = tokio::time::interval(REFRESH);
    let mut failing = false;
    loop {
        tick.tick().await;
        match revoker.refresh().await {
            Ok(()) => failing = false,
            // Once for each outage: the last lists are served on.
            Err(failed) if !failing => {
                tracing::error!(error = %failed, "the lists of revoked certificates are not renewed");
                failing = true;
            }
            Err(_still) => {}
        }
    }
}
