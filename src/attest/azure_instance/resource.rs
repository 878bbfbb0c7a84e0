//! What Azure calls the resources that have managed identities.
//!
//! It must never take a resource of another kind: what else has an identity is no machine of ours.

/// A machine, or an identity that machines may be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// The whole id in lower case, as Azure compares it.
    pub(super) id: String,
    pub(super) subscription: String,
    pub(super) group: String,
    pub(super) kind: Kind,
    pub(super) name: String,
}

/// What the resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An identity of its own, of whatever it was given to.
    UserAssignedIdentity,
    /// A machine, whose identity it is.
    VirtualMachine,
}

impl Resource {
    /// Reads a resource's id; `None` for everything but virtual machines and user-assigned identities.
    ///
    /// Azure tells no upper case from lower case here, so that all is lower case afterwards.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let id = text.to_ascii_lowercase();
        let parts: Vec<&str> = id.split('/').collect();
        let [
            "",
            "subscriptions",
            subscription,
            "resourcegroups",
            group,
            "providers",
            provider,
            collection,
            name,
        ] = parts.as_slice()
        else {
            return None;
        };
        let kind = match (*provider, *collection) {
            ("microsoft.compute", "virtualmachines") => Kind::VirtualMachine,
            ("microsoft.managedidentity", "userassignedidentities") => Kind::UserAssignedIdentity,
            _other => return None,
        };
        let is = is_guid(subscription) && is_name(group, MAX_GROUP_BYTES) && is_name(name, kind.max_name_bytes());
        is.then(|| Self {
            subscription: (*subscription).to_owned(),
            group: (*group).to_owned(),
            kind,
            name: (*name).to_owned(),
            id: id.clone(),
        })
    }
}

impl Kind {
    // Azure, "Naming rules and restrictions for Azure resources".
    fn max_name_bytes(self) -> usize {
        match self {
            Self::UserAssignedIdentity => 128,
            Self::VirtualMachine => 64,
        }
    }
}

/// Tells whether this is a GUID in lower case, as Entra writes them.
pub(super) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _other => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

/// Azure takes letters of other scripts in names of groups as well; those are refused.
fn is_name(text: &str, max: usize) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.()".contains(&byte);
    (1..=max).contains(&text.len()) && text.bytes().all(inner) && text != "." && text != ".."
}

/// Azure, "Naming rules and restrictions for Azure resources".
const MAX_GROUP_BYTES: usize = 90;

#[cfg(test)]
mod tests {
    use super::*;

    const SUBSCRIPTION: &str = "7d1c2b3a-4e5f-4a6b-8c7d-9e0f1a2b3c4d";

    fn id(group: &str, resource: &str) -> String {
        format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/{resource}")
    }

    #[test]
    fn reads_machines_and_identities_in_any_case() {
        let machine = Resource::parse(&id("Shop-RG", "Microsoft.Compute/virtualMachines/Deploy-1")).unwrap();
        assert_eq!(
            (machine.kind, machine.group.as_str(), machine.name.as_str()),
            (Kind::VirtualMachine, "shop-rg", "deploy-1")
        );
        assert_eq!(machine.subscription, SUBSCRIPTION);

        let identity = "microsoft.managedidentity/USERASSIGNEDIDENTITIES/deploy";
        let identity = Resource::parse(&id("shop", identity).replace("resourceGroups", "resourcegroups")).unwrap();
        assert_eq!(identity.kind, Kind::UserAssignedIdentity);
        assert_eq!(
            identity.id,
            format!(
                "/subscriptions/{SUBSCRIPTION}/resourcegroups/shop/providers/microsoft.managedidentity/\
                 userassignedidentities/deploy"
            )
        );
    }

    #[test]
    fn t_48_no_other_resource_is_a_machine() {
        let machine = "Microsoft.Compute/virtualMachines/deploy-1";
        for text in [
            String::new(),
            "deploy-1".to_owned(),
            id("shop", "Microsoft.Web/sites/deploy-1"),
            id("shop", "Microsoft.Compute/virtualMachineScaleSets/deploy-1"),
            id("shop", "Microsoft.Compute/virtualMachines/deploy-1/extensions/x"),
            id("shop", "Microsoft.Compute/virtualMachines/"),
            id("shop", "Microsoft.Compute/virtualMachines/.."),
            id("shop", "Microsoft.Compute/virtualMachines/*"),
            id("shop", "Microsoft.Compute/virtualMachines/dep loy"),
            id("shop", "Microsoft.Compute/virtualMachines/deploy-1\n"),
            id("shop", "Microsoft.Computer/virtualMachines/deploy-1"),
            id("", machine),
            id("..", machine),
            id("shop/x", machine),
            id("schöp", machine),
            format!("{}/", id("shop", machine)),
            format!(" {}", id("shop", machine)),
            id("shop", machine).replace("/subscriptions", "subscriptions"),
            id("shop", machine).replace(SUBSCRIPTION, "*"),
            id("shop", machine).replace("resourceGroups", "resource"),
        ] {
            assert_eq!(Resource::parse(&text), None, "{text:?}");
        }
    }

    #[test]
    fn names_have_as_many_bytes_as_azure_gives_them() {
        for (resource, max) in [
            ("Microsoft.Compute/virtualMachines/", 64),
            ("Microsoft.ManagedIdentity/userAssignedIdentities/", 128),
        ] {
            let named = |bytes: usize| id("shop", &format!("{resource}{}", "d".repeat(bytes)));

            assert!(Resource::parse(&named(max)).is_some(), "{resource}");
            assert_eq!(Resource::parse(&named(max + 1)), None, "{resource}");
        }
        let grouped = |bytes: usize| id(&"g".repeat(bytes), "Microsoft.Compute/virtualMachines/d");
        assert!(Resource::parse(&grouped(90)).is_some());
        assert_eq!(Resource::parse(&grouped(91)), None);
    }

    #[test]
    fn a_guid_is_in_lower_case() {
        assert!(is_guid(SUBSCRIPTION));
        for text in [
            "",
            "7D1C2B3A-4E5F-4A6B-8C7D-9E0F1A2B3C4D",
            "7d1c2b3a4e5f4a6b8c7d9e0f1a2b3c4d",
            "common",
            "{tenantid}",
        ] {
            assert!(!is_guid(text), "{text}");
        }
    }
}
