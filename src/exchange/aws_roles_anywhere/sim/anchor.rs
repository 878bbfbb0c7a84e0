//! What stands in the account: trust anchors, profiles, revocation lists, and how they come to be and change.
//!
//! Source where no other stands: clouds.md 2.1 and 2.2 [D botocore rolesanywhere 2018-05-10].

use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject as _};

use super::{Crl, Profile, RolesAnywhereSim, TrustAnchor, not_found, path};
use crate::exchange::{
    aws::{
        arn,
        sim::credentials::{no_randomness, uuid},
    },
    aws_roles_anywhere::rules::{
        Code, Refusal, certificate, limits,
        mapping::{Field, Mappings},
        resource::Kind,
    },
};

/// A trust anchor to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTrustAnchor {
    /// Its name.
    pub name: String,
    /// One or two certificates in PEM.
    pub bundle: String,
    /// Whether it is enabled.
    pub enabled: bool,
}

/// A profile to be created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewProfile {
    /// Its name.
    pub name: String,
    /// The roles that it may be used for.
    pub role_arns: Vec<String>,
    /// The longest session.
    pub duration_seconds: Option<i64>,
    /// Whether callers may name their session.
    pub accept_role_session_name: bool,
    /// Whether a request must bring instance properties.
    pub require_instance_properties: bool,
    /// An inline session policy.
    pub session_policy: Option<String>,
    /// Managed session policies.
    pub managed_policy_arns: Vec<String>,
    /// Whether it is enabled.
    pub enabled: bool,
}

/// A revocation list to be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCrl {
    /// Its name.
    pub name: String,
    /// DER or PEM.
    pub list: Vec<u8>,
    /// The trust anchor that it is for.
    pub trust_anchor_arn: String,
    /// Whether it is enabled.
    pub enabled: bool,
}

/// What an update changes; `None` leaves as it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    pub(super) name: Option<String>,
    pub(super) enabled: Option<bool>,
}

impl RolesAnywhereSim {
    /// Creates a trust anchor and returns its ARN.
    ///
    /// # Errors
    /// `ValidationException`: name, length, no or a third certificate `[M]`, one that is no authority.
    pub fn create_trust_anchor(&self, new: NewTrustAnchor) -> Result<String, Refusal> {
        limits::name(&new.name)?;
        let certificates = bundle(&new.bundle)?;
        let (id, now) = self.fresh()?;
        let arn = self.place.arn(Kind::TrustAnchor.name(), &id);
        let mut state = self.lock();
        quota(state.anchors.len(), limits::TRUST_ANCHORS, "trust anchors")?;
        let anchor = TrustAnchor {
            id: id.clone(),
            arn: arn.clone(),
            name: new.name,
            pem: new.bundle,
            certificates,
            enabled: new.enabled,
            created: now,
            updated: now,
        };
        state.anchors.insert(id, anchor);
        Ok(arn)
    }

    /// Replaces a trust anchor's bundle.
    ///
    /// # Errors
    /// As for creation, and `ResourceNotFoundException`.
    pub fn replace_bundle(&self, id: &str, pem: &str) -> Result<(), Refusal> {
        let certificates = bundle(pem)?;
        let now = self.clock.now();
        let mut state = self.lock();
        let anchor = state.anchors.get_mut(id).ok_or_else(|| not_found("TrustAnchor", id))?;
        pem.clone_into(&mut anchor.pem);
        anchor.certificates = certificates;
        anchor.updated = now;
        Ok(())
    }

    /// Creates a profile and returns its ARN.
    ///
    /// # Errors
    /// `ValidationException`: name, roles, duration, policies.
    pub fn create_profile(&self, new: NewProfile) -> Result<String, Refusal> {
        self.check_profile(&new)?;
        let (id, now) = self.fresh()?;
        let arn = self.place.arn(Kind::Profile.name(), &id);
        let mut state = self.lock();
        quota(state.profiles.len(), limits::PROFILES, "profiles")?;
        let profile = Profile {
            id: id.clone(),
            arn: arn.clone(),
            name: new.name,
            role_arns: new.role_arns,
            duration_seconds: new.duration_seconds,
            accept_role_session_name: new.accept_role_session_name,
            require_instance_properties: new.require_instance_properties,
            session_policy: new.session_policy,
            managed_policy_arns: new.managed_policy_arns,
            mappings: Mappings::default(),
            enabled: new.enabled,
            created: now,
            updated: now,
        };
        state.profiles.insert(id, profile);
        Ok(arn)
    }

    /// Checks what a profile says about itself.
    pub(super) fn check_profile(&self, new: &NewProfile) -> Result<(), Refusal> {
        limits::name(&new.name)?;
        limits::length("roleArns", new.role_arns.len(), &(0..=limits::PROFILE_ROLES))?;
        let policies = new.managed_policy_arns.len();
        limits::length("managedPolicyArns", policies, &(0..=limits::PROFILE_POLICIES))?;
        new.duration_seconds.map_or(Ok(()), limits::duration)?;
        if let Some(policy) = &new.session_policy {
            limits::length("sessionPolicy", policy.chars().count(), &limits::SESSION_POLICY)?;
        }
        for role in &new.role_arns {
            if arn::role_arn(role)?.account != self.place.account {
                return Err(Refusal::malformed(format!("role `{role}` is of another account")));
            }
        }
        Ok(())
    }

    /// Imports a revocation list and returns its ARN.
    ///
    /// # Errors
    /// `ValidationException`: name, length, not a list, a third one `[M]`; `ResourceNotFoundException` for the anchor.
    pub fn import_crl(&self, new: NewCrl) -> Result<String, Refusal> {
        limits::name(&new.name)?;
        let der = list(&new.list)?;
        let (id, now) = self.fresh()?;
        let arn = self.place.arn(Kind::Crl.name(), &id);
        let mut state = self.lock();
        let anchor_arn = new.trust_anchor_arn;
        if !state.anchors.values().any(|anchor| anchor.arn == anchor_arn) {
            return Err(not_found("TrustAnchor", &anchor_arn));
        }
        let of_anchor = state.crls.values().filter(|crl| crl.anchor_arn == anchor_arn).count();
        quota(of_anchor, limits::CRLS_OF_AN_ANCHOR, "CRLs of the trust anchor")?;
        let crl = Crl {
            id: id.clone(),
            arn: arn.clone(),
            name: new.name,
            anchor_arn,
            der,
            enabled: new.enabled,
            created: now,
            updated: now,
        };
        state.crls.insert(id, crl);
        Ok(arn)
    }

    /// Replaces a revocation list.
    ///
    /// # Errors
    /// As for import.
    pub fn update_crl(&self, id: &str, data: &[u8]) -> Result<(), Refusal> {
        let der = list(data)?;
        let now = self.clock.now();
        let mut state = self.lock();
        let crl = state.crls.get_mut(id).ok_or_else(|| not_found("Crl", id))?;
        crl.der = der;
        crl.updated = now;
        Ok(())
    }

    /// Replaces the attribute mappings of one field of a profile.
    ///
    /// # Errors
    /// As `PutAttributeMapping`: `ValidationException`, `ResourceNotFoundException`.
    pub fn put_mapping(&self, profile_arn: &str, field: &str, specifiers: Vec<String>) -> Result<(), Refusal> {
        let field = Field::parse(field)?;
        let mut state = self.lock();
        let profile = state.profiles.values_mut().find(|profile| profile.arn == profile_arn);
        let profile = profile.ok_or_else(|| not_found("Profile", profile_arn))?;
        profile.mappings.put(field, specifiers)
    }

    /// Enables or disables a trust anchor.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn enable_trust_anchor(&self, id: &str, enabled: Enabled) -> Result<(), Refusal> {
        let change = Change {
            enabled: Some(enabled == Enabled::Active),
            ..Change::default()
        };
        self.change(Kind::TrustAnchor, id, change)
    }

    /// Enables or disables a profile.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn enable_profile(&self, id: &str, enabled: Enabled) -> Result<(), Refusal> {
        let change = Change {
            enabled: Some(enabled == Enabled::Active),
            ..Change::default()
        };
        self.change(Kind::Profile, id, change)
    }

    /// Changes the name of an object, or whether it is enabled.
    pub(super) fn change(&self, kind: Kind, id: &str, change: Change) -> Result<(), Refusal> {
        change.name.as_deref().map_or(Ok(()), limits::name)?;
        let now = self.clock.now();
        let mut state = self.lock();
        let (name, enabled, updated) = match kind {
            Kind::Crl => {
                let one = state.crls.get_mut(id).ok_or_else(|| not_found("Crl", id))?;
                (&mut one.name, &mut one.enabled, &mut one.updated)
            }
            Kind::Profile => {
                let one = state.profiles.get_mut(id).ok_or_else(|| not_found("Profile", id))?;
                (&mut one.name, &mut one.enabled, &mut one.updated)
            }
            Kind::TrustAnchor => {
                let one = state.anchors.get_mut(id).ok_or_else(|| not_found("TrustAnchor", id))?;
                (&mut one.name, &mut one.enabled, &mut one.updated)
            }
        };
        if let Some(changed) = change.name {
            *name = changed;
        }
        *enabled = change.enabled.unwrap_or(*enabled);
        *updated = now;
        Ok(())
    }

    fn fresh(&self) -> Result<(String, SystemTime), Refusal> {
        let id = uuid(&*self.random).map_err(no_randomness)?;
        Ok((id, self.clock.now()))
    }
}

/// Whether an object takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enabled {
    /// It does.
    Active,
    /// It does not.
    Disabled,
}

/// Reads the certificates of a trust anchor.
fn bundle(pem: &str) -> Result<Vec<Vec<u8>>, Refusal> {
    limits::length("x509CertificateData", pem.chars().count(), &limits::BUNDLE_CHARACTERS)?;
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(|one| one.map(|der| der.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| Refusal::malformed(format!("the bundle is not PEM: {why}")))?;
    if certificates.is_empty() || certificates.len() > limits::BUNDLE_CERTIFICATES {
        return Err(Refusal::malformed(format!(
            "the bundle has {} certificates, expected 1 to {}",
            certificates.len(),
            limits::BUNDLE_CERTIFICATES
        )));
    }
    certificates.iter().try_for_each(|der| certificate::trust_anchor(der))?;
    Ok(certificates)
}

/// Reads a revocation list in DER or PEM.
fn list(data: &[u8]) -> Result<Vec<u8>, Refusal> {
    limits::length("crlData", data.len(), &limits::CRL_BYTES)?;
    let der =
        CertificateRevocationListDer::from_pem_slice(data).map_or_else(|_not_pem| data.to_vec(), |der| der.to_vec());
    path::parse_list(&der)?;
    Ok(der)
}

/// The exception and text of an exceeded quota are `[M]`.
fn quota(found: usize, most: usize, what: &str) -> Result<(), Refusal> {
    if found < most {
        return Ok(());
    }
    Err(Refusal::unverified(
        Code::Validation,
        format!("The account has {found} {what}, the quota is {most}"),
    ))
}
