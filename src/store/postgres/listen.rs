//! Hears from other processes that something changed.
//!
//! Only saves waiting: whoever keeps a copy polls as well, since word may get lost while a connection is down.

use std::{sync::Arc, time::Duration};

use sqlx::postgres::{PgListener, PgPoolOptions};

use super::place::Place;
use crate::store::changes::Notices;

/// Listens for ever.
pub(super) async fn listen(place: Place, notices: Arc<Notices>) {
    loop {
        if let Err(error) = hear(&place, &notices).await {
            tracing::warn!(%error, "the store's notifications are not heard; copies are refreshed by polling");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn hear(place: &Place, notices: &Notices) -> sqlx::Result<()> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(CONNECT)
        .connect_lazy_with(place.options());
    let mut listener = PgListener::connect_with(&pool).await?;
    // A lost connection is told at once, not when it stands again.
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    all(notices);
    while let Some(notification) = listener.try_recv().await? {
        match notification.payload() {
            AUTHORITIES => notices.authorities(),
            LOCKS => notices.locks(),
            REVOCATIONS => notices.revocations(),
            // A newer program's word.
            _ => all(notices),
        }
    }
    Ok(())
}

fn all(notices: &Notices) {
    notices.authorities();
    notices.locks();
    notices.revocations();
}

/// PostgreSQL keeps the channels of different databases apart.
const CHANNEL: &str = "cambio";

/// The statement that gives word, at the end of the transaction it is in.
pub(super) const NOTIFY: &str = "SELECT pg_notify('cambio', $1)";

/// The authorities changed.
pub(super) const AUTHORITIES: &str = "authorities";

/// The locks changed.
pub(super) const LOCKS: &str = "locks";

/// The revocations changed.
pub(super) const REVOCATIONS: &str = "revocations";

/// LIMITS.md: an upstream is given 2 s to connect.
const CONNECT: Duration = Duration::from_secs(2);

/// Often enough that little is missed, seldom enough not to be in the way of a server that comes up.
const AGAIN: Duration = Duration::from_secs(1);
