//! Which cloud a machine says it is of.
//!
//! Nothing is trusted because of it: it only saves asking the metadata service of a cloud that is not there.

use std::{fs::File, io::Read as _, path::Path};

/// Whose machine this is, by its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    Amazon,
    Azure,
    Google,
    Other,
}

impl Machine {
    /// Reads what the firmware names as vendor (SMBIOS type 1, as Linux shows it).
    pub(super) fn this() -> Self {
        let vendor = |path: &str| {
            let mut text = String::new();
            let file = File::open(Path::new(path)).ok()?;
            file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
            Some(text)
        };
        vendor("/sys/class/dmi/id/sys_vendor").map_or(Self::Other, |vendor| Self::of(vendor.trim()))
    }

    fn of(vendor: &str) -> Self {
        match vendor {
            "Amazon EC2" => Self::Amazon,
            "Google" => Self::Google,
            "Microsoft Corporation" => Self::Azure,
            _ => Self::Other,
        }
    }
}

/// SMBIOS strings have no limit of their own; vendors' names are short.
const MAX_BYTES: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_of_the_cloud_that_its_firmware_names() {
        assert_eq!(Machine::of("Amazon EC2"), Machine::Amazon);
        assert_eq!(Machine::of("Google"), Machine::Google);
        assert_eq!(Machine::of("Microsoft Corporation"), Machine::Azure);
        for other in ["QEMU", "google", "Googlex", ""] {
            assert_eq!(Machine::of(other), Machine::Other, "{other}");
        }
    }
}
