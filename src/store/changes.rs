//! Word that something in the store changed, for whoever keeps a copy of it.
//!
//! Only a hint to look at once: it never carries what changed, may come for nothing, and may get lost with a connection.
//! Whoever rests on a copy looks from time to time as well.

use tokio::sync::watch;

/// Tells when the authorities, the locks or the revocations changed, whichever process changed them.
#[derive(Clone, Debug)]
pub struct Changes {
    authorities: watch::Receiver<u64>,
    locks: watch::Receiver<u64>,
    revocations: watch::Receiver<u64>,
}

impl Default for Changes {
    /// Returns one that nobody gives word to: all its methods wait for ever.
    fn default() -> Self {
        let nobody = || watch::channel(0).1;
        Self {
            authorities: nobody(),
            locks: nobody(),
            revocations: nobody(),
        }
    }
}

impl Changes {
    /// Returns when the authorities may have changed since this was made, or since the last return.
    ///
    /// Never returns once the store is gone: then nothing changes any more.
    pub async fn authorities(&mut self) {
        changed(&mut self.authorities).await;
    }

    /// Returns when the locks may have changed since this was made, or since the last return.
    ///
    /// Never returns once the store is gone: then nothing changes any more.
    pub async fn locks(&mut self) {
        changed(&mut self.locks).await;
    }

    /// Returns when the revocations may have changed since this was made, or since the last return.
    ///
    /// Never returns once the store is gone: then nothing changes any more.
    pub async fn revocations(&mut self) {
        changed(&mut self.revocations).await;
    }
}

async fn changed(receiver: &mut watch::Receiver<u64>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Where a store gives word.
#[derive(Debug, Default)]
pub(in crate::store) struct Notices {
    authorities: watch::Sender<u64>,
    locks: watch::Sender<u64>,
    revocations: watch::Sender<u64>,
}

impl Notices {
    pub(in crate::store) fn subscribe(&self) -> Changes {
        Changes {
            authorities: self.authorities.subscribe(),
            locks: self.locks.subscribe(),
            revocations: self.revocations.subscribe(),
        }
    }

    pub(in crate::store) fn authorities(&self) {
        self.authorities.send_modify(count);
    }

    pub(in crate::store) fn locks(&self) {
        self.locks.send_modify(count);
    }

    pub(in crate::store) fn revocations(&self) {
        self.revocations.send_modify(count);
    }
}

fn count(times: &mut u64) {
    *times = times.wrapping_add(1);
}
