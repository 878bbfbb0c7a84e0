//! The canonical names of what CI and infrastructure runs attest, the same for every vendor.
//!
//! No name may be a dotted-path prefix of another, or Cedar records built from them would collide.

/// Every attribute that an OIDC attestor can give.
pub(super) const ATTRIBUTES: &[&str] = &[
    "ci.actor_id",
    "ci.environment",
    "ci.environment_protected",
    "ci.event",
    "ci.from_fork",
    "ci.job_id",
    "ci.job_workflow",
    "ci.owner_id",
    "ci.owner_name",
    "ci.project_id",
    "ci.ref",
    "ci.ref_protected",
    "ci.ref_type",
    "ci.repo_id",
    "ci.repo_name",
    "ci.run_attempt",
    "ci.run_id",
    "ci.runner",
    "ci.sha",
    "ci.vendor",
    "ci.workflow",
    "ci.workflow_id",
    "iac.kind",
    "iac.organization",
    "iac.organization_id",
    "iac.phase",
    "iac.project",
    "iac.project_id",
    "iac.run_id",
    "iac.workspace",
    "iac.workspace_id",
    "oidc.subject",
];

/// Which preset judged; given by every preset but `generic`.
pub(super) const VENDOR: &str = "ci.vendor";

/// Returns the canonical name that equals `text`.
pub(super) fn canonical(text: &str) -> Option<&'static str> {
    ATTRIBUTES.iter().copied().find(|name| *name == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_a_dotted_path_prefix_of_another() {
        for name in ATTRIBUTES {
            for other in ATTRIBUTES {
                assert!(!other.starts_with(&format!("{name}.")), "{name} and {other}");
            }
        }
    }

    #[test]
    fn the_names_are_sorted_and_each_stands_once() {
        assert!(ATTRIBUTES.is_sorted_by(|left, right| left < right));
    }
}
