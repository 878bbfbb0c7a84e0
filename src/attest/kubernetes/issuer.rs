//! The forms of the issuers that the clouds give their clusters.
//!
//! It must never change an issuer into the form it should have: it is compared with tokens byte for byte.

/// Returns what form the issuer should have, where it is on a cloud's host and has another.
pub(super) fn refusal(issuer: &str) -> Option<&'static str> {
    let (host, path) = issuer.strip_prefix("https://")?.split_once('/').unwrap_or_default();
    let (form, has): (_, fn(&str) -> bool) = if is_eks(host) {
        ("https://oidc.eks.<region>.amazonaws.com/id/<id>", is_eks_path)
    } else if host == "container.googleapis.com" {
        (
            "https://container.googleapis.com/v1/projects/<project>/locations/<location>/clusters/<name>",
            is_gke_path,
        )
    } else if host.ends_with(".oic.prod-aks.azure.com") {
        (
            "https://<region>.oic.prod-aks.azure.com/<tenant>/<id>/ with its last slash",
            is_aks_path,
        )
    } else {
        return None;
    };
    (!has(path)).then_some(form)
}

fn is_eks(host: &str) -> bool {
    host.starts_with("oidc.eks.") && (host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
}

fn is_eks_path(path: &str) -> bool {
    let id = path.strip_prefix("id/").unwrap_or_default();
    !id.is_empty()
        && id
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn is_gke_path(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let [
        "v1",
        "projects",
        project,
        "locations" | "zones",
        location,
        "clusters",
        name,
    ] = parts.as_slice()
    else {
        return false;
    };
    [project, location, name].iter().all(|part| !part.is_empty())
}

fn is_aks_path(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let [tenant, id, ""] = parts.as_slice() else {
        return false;
    };
    [tenant, id].iter().all(|part| super::subject::is_uid(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AKS: &str = "https://westeurope.oic.prod-aks.azure.com/0f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f/\
                       1a2b3c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d/";

    #[test]
    fn takes_the_issuers_of_eks_gke_aks_and_of_anybody_else() {
        for issuer in [
            "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE",
            "https://oidc.eks.cn-north-1.amazonaws.com.cn/id/EXAMPLED539D4633E53DE1B71EXAMPLE",
            "https://container.googleapis.com/v1/projects/acme-prod/locations/europe-west3/clusters/shop",
            "https://container.googleapis.com/v1/projects/acme-prod/zones/europe-west3-a/clusters/shop",
            AKS,
            "https://kubernetes.default.svc.cluster.local",
            "https://k8s.acme.example/prod",
        ] {
            assert_eq!(refusal(issuer), None, "{issuer}");
        }
    }

    #[test]
    fn refuses_what_is_on_a_clouds_host_in_another_form() {
        for issuer in [
            "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE/",
            "https://oidc.eks.eu-central-1.amazonaws.com/id/",
            "https://oidc.eks.eu-central-1.amazonaws.com/EXAMPLED539D4633E53DE1B71EXAMPLE",
            "https://oidc.eks.eu-central-1.amazonaws.com/",
            "https://container.googleapis.com/v1/projects/acme-prod/locations/europe-west3/clusters/shop/",
            "https://container.googleapis.com/v1/projects/acme-prod/locations/europe-west3/clusters/",
            "https://container.googleapis.com/v1/projects//locations/europe-west3/clusters/shop",
            AKS.strip_suffix('/').unwrap(),
            "https://westeurope.oic.prod-aks.azure.com/",
            "https://westeurope.oic.prod-aks.azure.com/acme/shop/",
        ] {
            assert!(refusal(issuer).is_some(), "{issuer}");
        }
    }
}
