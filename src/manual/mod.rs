//! The book: Markdown pages, compiled into the documentation.
//!
//! Never holds a page that is not in the book's folder or a plugin's; a test walks both.

use crate::{attest, exchange};

/// Makes one documented module of each page.
macro_rules! pages {
    ($($name:ident = $file:literal;)*) => {
        $(
            #[doc = include_str!($file)]
            pub mod $name {}
        )*

        /// The pages by their files.
        pub(super) const PAGES: &[(&str, &str)] = &[$(($file, include_str!($file)),)*];
    };
}

pages! {
    index = "index.md";
    agents = "agents.md";
    architecture = "architecture.md";
    audit = "audit.md";
    azure_vm = "azure-vm.md";
    bound_key = "bound-key.md";
    cli = "cli.md";
    configuration = "configuration.md";
    conformance = "conformance.md";
    deployment = "deployment.md";
    dev = "dev.md";
    ec2_role = "ec2-role.md";
    forbid = "forbid.md";
    gce = "gce.md";
    http = "http.md";
    join_token = "join-token.md";
    keys = "keys.md";
    kubernetes = "kubernetes.md";
    mtls = "mtls.md";
    operations = "operations.md";
    outside_root = "outside-root.md";
    roles_anywhere = "roles-anywhere.md";
    security = "security.md";
    attestor_aws_iam = "../attest/aws_iam/manual.md";
    attestor_aws_iam_presigned = "../attest/aws_iam/presigned/manual.md";
    attestor_azure_instance = "../attest/azure_instance/manual.md";
    attestor_gcp_instance = "../attest/gcp_instance/manual.md";
    attestor_aws_instance = "../attest/aws_instance/manual.md";
    attestor_bound_key = "../attest/bound_key/manual.md";
    attestor_join_token = "../attest/join_token/manual.md";
    attestor_kubernetes = "../attest/kubernetes/manual.md";
    attestor_oidc = "../attest/oidc/manual.md";
    attestor_spiffe = "../attest/spiffe/manual.md";
    relying_party_aws_roles_anywhere = "../exchange/aws_roles_anywhere/manual.md";
    relying_party_aws_sts = "../exchange/aws_sts/manual.md";
    relying_party_azure_entra = "../exchange/azure_entra/manual.md";
    relying_party_gcp_sts = "../exchange/gcp_sts/manual.md";
    relying_party_svid = "../exchange/svid/manual.md";
}

/// How a job of each CI system asks: a page for each preset of the attestor `oidc`, listed by the build script.
pub mod guides {
    include!(concat!(env!("OUT_DIR"), "/guides.rs"));
}

/// A page for each code that a caller can get, and one for those of the configuration.
pub mod errors {
    pages! {
        attest_attribute_invalid = "errors/attest.attribute_invalid.md";
        attest_audience_mismatch = "errors/attest.audience_mismatch.md";
        attest_claim_invalid = "errors/attest.claim_invalid.md";
        attest_dpop_invalid = "errors/attest.dpop_invalid.md";
        attest_dpop_reused = "errors/attest.dpop_reused.md";
        attest_event_forbidden = "errors/attest.event_forbidden.md";
        attest_evidence_expired = "errors/attest.evidence_expired.md";
        attest_evidence_malformed = "errors/attest.evidence_malformed.md";
        attest_evidence_not_yet_valid = "errors/attest.evidence_not_yet_valid.md";
        attest_evidence_oversized = "errors/attest.evidence_oversized.md";
        attest_evidence_replayed = "errors/attest.evidence_replayed.md";
        attest_evidence_stolen = "errors/attest.evidence_stolen.md";
        attest_evidence_too_old = "errors/attest.evidence_too_old.md";
        attest_evidence_unverifiable = "errors/attest.evidence_unverifiable.md";
        attest_idempotency_key_weak = "errors/attest.idempotency_key_weak.md";
        attest_key_ended = "errors/attest.key_ended.md";
        attest_key_refused = "errors/attest.key_refused.md";
        attest_key_superseded = "errors/attest.key_superseded.md";
        attest_kind_unknown = "errors/attest.kind_unknown.md";
        attest_owner_not_allowed = "errors/attest.owner_not_allowed.md";
        attest_resume_unknown = "errors/attest.resume_unknown.md";
        attest_review_refused = "errors/attest.review_refused.md";
        attest_review_unavailable = "errors/attest.review_unavailable.md";
        attest_session_over = "errors/attest.session_over.md";
        authorize_actor_not_granted = "errors/authorize.actor_not_granted.md";
        authorize_condition_failed = "errors/authorize.condition_failed.md";
        authorize_forbidden = "errors/authorize.forbidden.md";
        authorize_lifetime_below_minimum = "errors/authorize.lifetime_below_minimum.md";
        authorize_locked = "errors/authorize.locked.md";
        authorize_locks_stale = "errors/authorize.locks_stale.md";
        authorize_no_grant = "errors/authorize.no_grant.md";
        authorize_policy_error = "errors/authorize.policy_error.md";
        authorize_relying_party_unknown = "errors/authorize.relying_party_unknown.md";
        authorize_subject_refused = "errors/authorize.subject_refused.md";
        authorize_svid_not_released = "errors/authorize.svid_not_released.md";
        chain_duplicate_certificate = "errors/chain.duplicate_certificate.md";
        chain_extension_refused = "errors/chain.extension_refused.md";
        chain_key_mismatch = "errors/chain.key_mismatch.md";
        chain_key_unsupported = "errors/chain.key_unsupported.md";
        chain_key_usage = "errors/chain.key_usage.md";
        chain_life_refused = "errors/chain.life_refused.md";
        chain_malformed = "errors/chain.malformed.md";
        chain_names_refused = "errors/chain.names_refused.md";
        chain_no_request = "errors/chain.no_request.md";
        chain_not_authority = "errors/chain.not_authority.md";
        chain_not_valid_now = "errors/chain.not_valid_now.md";
        chain_outlives_issuer = "errors/chain.outlives_issuer.md";
        chain_path_length = "errors/chain.path_length.md";
        chain_root_missing = "errors/chain.root_missing.md";
        chain_root_refused = "errors/chain.root_refused.md";
        chain_root_unknown = "errors/chain.root_unknown.md";
        chain_signature_broken = "errors/chain.signature_broken.md";
        chain_too_large = "errors/chain.too_large.md";
        chain_unverifiable = "errors/chain.unverifiable.md";
        clock_untrusted = "errors/clock.untrusted.md";
        config = "errors/config.md";
        csr_asks_for_authority = "errors/csr.asks_for_authority.md";
        csr_asks_for_extensions = "errors/csr.asks_for_extensions.md";
        csr_asks_for_names = "errors/csr.asks_for_names.md";
        csr_key_unsupported = "errors/csr.key_unsupported.md";
        csr_key_weak = "errors/csr.key_weak.md";
        csr_malformed = "errors/csr.malformed.md";
        csr_signature_broken = "errors/csr.signature_broken.md";
        csr_too_large = "errors/csr.too_large.md";
        exchange_budget_spent = "errors/exchange.budget_spent.md";
        exchange_cloud_refused = "errors/exchange.cloud_refused.md";
        exchange_cloud_throttled = "errors/exchange.cloud_throttled.md";
        exchange_cloud_unavailable = "errors/exchange.cloud_unavailable.md";
        exchange_preflight_refused = "errors/exchange.preflight_refused.md";
        exchange_upstream_garbage = "errors/exchange.upstream_garbage.md";
        exchange_upstream_oversized = "errors/exchange.upstream_oversized.md";
        identify_actor_chain_too_long = "errors/identify.actor_chain_too_long.md";
        identify_actor_not_allowed = "errors/identify.actor_not_allowed.md";
        identify_actor_unfit = "errors/identify.actor_unfit.md";
        identify_no_entry = "errors/identify.no_entry.md";
        identify_template_refused = "errors/identify.template_refused.md";
        issuer_unavailable = "errors/issuer.unavailable.md";
        key_unavailable = "errors/key.unavailable.md";
        mint_actor_in_certificate = "errors/mint.actor_in_certificate.md";
        mint_claim_reserved = "errors/mint.claim_reserved.md";
        mint_csr_missing = "errors/mint.csr_missing.md";
        mint_csr_unexpected = "errors/mint.csr_unexpected.md";
        mint_lint_failed = "errors/mint.lint_failed.md";
        mint_randomness_unavailable = "errors/mint.randomness_unavailable.md";
        request_body_invalid = "errors/request.body_invalid.md";
        request_body_too_large = "errors/request.body_too_large.md";
        request_body_too_slow = "errors/request.body_too_slow.md";
        request_grant_type_unsupported = "errors/request.grant_type_unsupported.md";
        request_header_invalid = "errors/request.header_invalid.md";
        request_method_not_allowed = "errors/request.method_not_allowed.md";
        request_overloaded = "errors/request.overloaded.md";
        request_parameter_invalid = "errors/request.parameter_invalid.md";
        request_rate_limited = "errors/request.rate_limited.md";
        request_resource_unsupported = "errors/request.resource_unsupported.md";
        request_route_unknown = "errors/request.route_unknown.md";
        request_scope_invalid = "errors/request.scope_invalid.md";
        request_timed_out = "errors/request.timed_out.md";
        store_rolled_back = "errors/store.rolled_back.md";
        store_unavailable = "errors/store.unavailable.md";
    }
}

/// Returns what the manual says of a stable code, or of a problem's `type`; `None` for what is no code.
///
/// A code of the configuration has a row of a table, any other a page.
pub fn explanation(code: &str) -> Option<String> {
    let code = code.strip_prefix("urn:cambio:error:").unwrap_or(code);
    let page = |(file, text): &(&str, &'static str)| {
        let named = file.strip_prefix("errors/").and_then(|name| name.strip_suffix(".md"));
        (named == Some(code) && code != "config").then_some(*text)
    };
    if let Some(page) = errors::PAGES.iter().find_map(page) {
        return Some(page.to_owned());
    }
    let row = format!("| `{code}` | ");
    let rows = errors::PAGES.iter().chain(PAGES).flat_map(|(_, text)| text.lines());
    let said = rows
        .filter(|_| code.starts_with("config."))
        .find_map(|line| line.strip_prefix(&row))?;
    Some(format!("# `{code}`\n\n{}\n", said.trim_end_matches('|').trim_end()))
}

/// Tells whether each refusal with `code` has an entry in the trail, as its page says; of an unknown code yes.
pub fn is_recorded(code: &str) -> bool {
    let unrecorded = |row: &str| ["| not one by one", "| no entry"].iter().any(|told| row.contains(told));
    explanation(code).is_none_or(|page| !page.lines().any(unrecorded))
}

/// Returns the page of every plugin that is compiled in, under its kind.
pub fn plugins() -> impl Iterator<Item = (&'static str, &'static str)> {
    let attestors = attest::BUILTINS.iter().map(|plugin| (plugin.kind, plugin.manual));
    let relying_parties = exchange::BUILTINS.iter().map(|plugin| (plugin.kind, plugin.manual));
    attestors.chain(relying_parties)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_its_problem_type_and_a_code_of_the_configuration_are_explained() {
        let page = explanation("authorize.no_grant").unwrap();

        assert!(page.starts_with("# `authorize.no_grant`\n"), "{page}");
        assert_eq!(explanation("urn:cambio:error:authorize.no_grant"), Some(page));
        assert_eq!(
            explanation("config.sink_duplicate").as_deref(),
            Some("# `config.sink_duplicate`\n\na sink is there twice\n")
        );
        assert!(
            explanation("config.raw_permit").is_some(),
            "a code of the policy, on another page"
        );
    }

    #[test]
    fn what_is_no_code_is_not_explained() {
        for word in [
            "",
            "config",
            "config.",
            "authorize",
            "authorize.no_such",
            "errors/config",
            "aws_sts",
            "../audit",
        ] {
            assert_eq!(explanation(word), None, "{word}");
        }
    }
}
