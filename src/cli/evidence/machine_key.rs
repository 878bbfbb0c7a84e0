//! Evidence by the key that this machine registered, from its state directory.
//!
//! Never makes the directory, and never takes a key that another user could read.

use std::path::Path;

use super::{Asked, Attest, Evidence, Found, Holder};
use crate::cli::{
    bound_key::{self, StateArguments},
    exit::Exit,
    failure::Failure,
};

/// Makes evidence, where this machine has a key.
pub(super) fn look(asked: &Asked<'_>) -> Result<Found, Failure> {
    let directory = asked.variable(bound_key::STATE_DIR).map(Path::new);
    if !directory.is_some_and(bound_key::is_there) && !asked.names(Attest::BoundKey) {
        let state = asked.states(&[bound_key::STATE_DIR]);
        return Ok(Found::Nothing(format!(
            "{state} with a machine's key in it (is not there)"
        )));
    }
    if directory.is_none() {
        return Err(
            Failure::saying(Exit::Usage, "no directory for this machine's key is named")
                .hint("set CAMBIO_STATE_DIR to the --state-dir of cambio bound-key"),
        );
    }
    Ok(Found::Evidence(Evidence {
        token: bound_key::evidence(&StateArguments::default(), asked.environment)?,
        holder: Holder::Process,
    }))
}
