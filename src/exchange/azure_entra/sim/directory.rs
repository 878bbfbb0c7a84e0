//! The simulated directory: who may ask for tokens, and which credentials it trusts.
//!
//! Knows nothing of HTTP and verifies nothing.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use crate::exchange::azure_entra::rules::{
    limits::{self, AdminRefusal, NewCredential},
    refusal::Refusal,
    trust::Credential,
};

/// What an application is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ApplicationKind {
    /// A confidential client that a conditional access policy blocks.
    Blocked,
    /// A confidential client.
    #[default]
    Confidential,
    /// A user-assigned managed identity.
    ManagedIdentity {
        /// Where it lives; some regions take no federated credential.
        region: String,
    },
    /// A public client, which may send no assertion.
    Public,
}

/// An access token that was issued.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    pub(super) tenant: String,
    pub(super) application: String,
    pub(super) resource: String,
    pub(super) expires: SystemTime,
}

/// One application of one tenant.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) kind: ApplicationKind,
    pub(super) credentials: Vec<Credential>,
    /// When each credential was written, in the order of `credentials`.
    written: Vec<SystemTime>,
}

impl Entry {
    /// Tells whether the credential of that name was written at least `propagation` before `now`.
    pub(super) fn is_propagated(&self, name: &str, propagation: Duration, now: SystemTime) -> bool {
        self.credentials
            .iter()
            .zip(&self.written)
            .find(|(credential, _written)| credential.name() == name)
            .and_then(|(_credential, written)| written.checked_add(propagation))
            .is_some_and(|known| known <= now)
    }
}

/// All tenants.
#[derive(Debug, Default)]
pub(super) struct Directory(HashMap<String, HashMap<String, Entry>>);

impl Directory {
    pub(super) fn add_tenant(&mut self, tenant: &str) {
        self.0.entry(tenant.to_owned()).or_default();
    }

    pub(super) fn add_application(&mut self, tenant: &str, client_id: &str, kind: ApplicationKind) {
        let entry = Entry {
            kind,
            ..Entry::default()
        };
        self.0
            .entry(tenant.to_owned())
            .or_default()
            .insert(client_id.to_owned(), entry);
    }

    pub(super) fn add_credential(
        &mut self,
        tenant: &str,
        client_id: &str,
        new: NewCredential,
        now: SystemTime,
    ) -> Result<(), AdminRefusal> {
        let entry = self
            .0
            .get_mut(tenant)
            .and_then(|applications| applications.get_mut(client_id))
            .ok_or(AdminRefusal::ParentMissing)?;
        if let ApplicationKind::ManagedIdentity { region } = &entry.kind {
            limits::region(region)?;
            limits::write_rate(entry.written.iter().max().copied(), now)?;
        }
        let credential = limits::admit(new, &entry.credentials)?;
        entry.credentials.push(credential);
        entry.written.push(now);
        Ok(())
    }

    pub(super) fn remove_credential(&mut self, tenant: &str, client_id: &str, name: &str) -> bool {
        let Some(entry) = self
            .0
            .get_mut(tenant)
            .and_then(|applications| applications.get_mut(client_id))
        else {
            return false;
        };
        let Some(at) = entry
            .credentials
            .iter()
            .position(|credential| credential.name() == name)
        else {
            return false;
        };
        entry.credentials.remove(at);
        entry.written.remove(at);
        true
    }

    pub(super) fn has_tenant(&self, tenant: &str) -> bool {
        self.0.contains_key(tenant)
    }

    pub(super) fn find(&self, tenant: &str, client_id: &str) -> Result<&Entry, Refusal> {
        let applications = self.0.get(tenant).ok_or_else(|| Refusal::TenantNotFound {
            tenant: tenant.to_owned(),
        })?;
        applications.get(client_id).ok_or_else(|| Refusal::ApplicationNotFound {
            application: client_id.to_owned(),
            tenant: tenant.to_owned(),
        })
    }
}
