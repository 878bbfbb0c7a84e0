//! The hosts of AWS's Security Token Service.
//!
//! It must never take a host because it looks like one: the hosts of each region are made here and compared whole
//! (T-41).

/// One host, and what it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) partition: &'static str,
    /// The region of the credential scope that is signed for it.
    pub(super) region: &'static str,
    pub(super) host: String,
}

/// Returns the endpoint of this very host.
pub(super) fn of_host(host: &str) -> Option<Endpoint> {
    all().find(|endpoint| endpoint.host == host)
}

/// Returns the endpoints of a region; none for a region that is not known.
pub(super) fn of_region(region: &str) -> Vec<Endpoint> {
    all().filter(|endpoint| endpoint.region == region).collect()
}

fn all() -> impl Iterator<Item = Endpoint> {
    let regional = PARTITIONS.iter().flat_map(|partition| {
        let endpoint = |region: &&'static str| Endpoint {
            partition: partition.name,
            region,
            host: format!("sts.{region}.{}", partition.suffix),
        };
        partition.regions.iter().map(endpoint)
    });
    let fips = FIPS_REGIONS.iter().map(|region| Endpoint {
        partition: "aws",
        region,
        host: format!("sts-fips.{region}.amazonaws.com"),
    });
    // The global endpoint is in us-east-1, and exists in the partition `aws` only.
    let global = Endpoint {
        partition: "aws",
        region: "us-east-1",
        host: "sts.amazonaws.com".to_owned(),
    };
    regional.chain(fips).chain([global])
}

struct Partition {
    name: &'static str,
    suffix: &'static str,
    regions: &'static [&'static str],
}

/// Tells whether AWS has this partition.
pub(super) fn is_partition(name: &str) -> bool {
    PARTITIONS.iter().any(|partition| partition.name == name)
}

/// The regions that are known; a new one needs a new version.
const PARTITIONS: &[Partition] = &[
    Partition {
        name: "aws",
        suffix: "amazonaws.com",
        regions: &[
            "af-south-1",
            "ap-east-1",
            "ap-east-2",
            "ap-northeast-1",
            "ap-northeast-2",
            "ap-northeast-3",
            "ap-south-1",
            "ap-south-2",
            "ap-southeast-1",
            "ap-southeast-2",
            "ap-southeast-3",
            "ap-southeast-4",
            "ap-southeast-5",
            "ap-southeast-6",
            "ap-southeast-7",
            "ca-central-1",
            "ca-west-1",
            "eu-central-1",
            "eu-central-2",
            "eu-north-1",
            "eu-south-1",
            "eu-south-2",
            "eu-west-1",
            "eu-west-2",
            "eu-west-3",
            "il-central-1",
            "me-central-1",
            "me-south-1",
            "mx-central-1",
            "sa-east-1",
            "us-east-1",
            "us-east-2",
            "us-west-1",
            "us-west-2",
        ],
    },
    Partition {
        name: "aws-cn",
        suffix: "amazonaws.com.cn",
        regions: &["cn-north-1", "cn-northwest-1"],
    },
    Partition {
        name: "aws-us-gov",
        suffix: "amazonaws.com",
        regions: &["us-gov-east-1", "us-gov-west-1"],
    },
    Partition {
        name: "aws-iso",
        suffix: "c2s.ic.gov",
        regions: &["us-iso-east-1", "us-iso-west-1"],
    },
    Partition {
        name: "aws-iso-b",
        suffix: "sc2s.sgov.gov",
        regions: &["us-isob-east-1"],
    },
];

const FIPS_REGIONS: &[&str] = &["us-east-1", "us-east-2", "us-west-1", "us-west-2"];

#[cfg(test)]
mod tests {
    use super::*;

    /// As other verifiers take them (T-41), and the global one.
    const HOSTS: &[&str] = &[
        "sts-fips.us-east-1.amazonaws.com",
        "sts-fips.us-east-2.amazonaws.com",
        "sts-fips.us-west-1.amazonaws.com",
        "sts-fips.us-west-2.amazonaws.com",
        "sts.af-south-1.amazonaws.com",
        "sts.amazonaws.com",
        "sts.ap-east-1.amazonaws.com",
        "sts.ap-east-2.amazonaws.com",
        "sts.ap-northeast-1.amazonaws.com",
        "sts.ap-northeast-2.amazonaws.com",
        "sts.ap-northeast-3.amazonaws.com",
        "sts.ap-south-1.amazonaws.com",
        "sts.ap-south-2.amazonaws.com",
        "sts.ap-southeast-1.amazonaws.com",
        "sts.ap-southeast-2.amazonaws.com",
        "sts.ap-southeast-3.amazonaws.com",
        "sts.ap-southeast-4.amazonaws.com",
        "sts.ap-southeast-5.amazonaws.com",
        "sts.ap-southeast-6.amazonaws.com",
        "sts.ap-southeast-7.amazonaws.com",
        "sts.ca-central-1.amazonaws.com",
        "sts.ca-west-1.amazonaws.com",
        "sts.cn-north-1.amazonaws.com.cn",
        "sts.cn-northwest-1.amazonaws.com.cn",
        "sts.eu-central-1.amazonaws.com",
        "sts.eu-central-2.amazonaws.com",
        "sts.eu-north-1.amazonaws.com",
        "sts.eu-south-1.amazonaws.com",
        "sts.eu-south-2.amazonaws.com",
        "sts.eu-west-1.amazonaws.com",
        "sts.eu-west-2.amazonaws.com",
        "sts.eu-west-3.amazonaws.com",
        "sts.il-central-1.amazonaws.com",
        "sts.me-central-1.amazonaws.com",
        "sts.me-south-1.amazonaws.com",
        "sts.sa-east-1.amazonaws.com",
        "sts.us-east-1.amazonaws.com",
        "sts.us-east-2.amazonaws.com",
        "sts.us-gov-east-1.amazonaws.com",
        "sts.us-gov-west-1.amazonaws.com",
        "sts.us-iso-east-1.c2s.ic.gov",
        "sts.us-iso-west-1.c2s.ic.gov",
        "sts.us-isob-east-1.sc2s.sgov.gov",
        "sts.us-west-1.amazonaws.com",
        "sts.us-west-2.amazonaws.com",
    ];

    #[test]
    fn t_41_knows_the_host_of_every_region() {
        for host in HOSTS {
            assert!(of_host(host).is_some(), "{host}");
        }
    }

    #[test]
    fn t_41_knows_no_other_host() {
        for host in [
            "",
            ".",
            "..",
            "...",
            "sts",
            "sts.",
            "sts..amazonaws.com",
            ".sts.amazonaws.com",
            "sts.amazonaws.com.",
            "sts.amazonaws.com:443",
            "sts.amazonaws.com.cn",
            "sts.amazonaws.com.evil",
            "sts.evil.amazonaws.com",
            "sts-fips.evil.amazonaws.com",
            "sts-fips.eu-central-1.amazonaws.com",
            "sts-fips.us-gov-west-1.amazonaws.com",
            "evil.us-west-2.amazonaws.com",
            "example.com",
            "sts.example.com",
            "sts-fips.example.com",
            "sts.us-west-2.example.com",
            "sts.us-west-2.amazonaws.com.evil",
            "sts.us-east-1.amazonaws.com.cn",
            "sts.cn-north-1.amazonaws.com",
            "sts.us-gov-west-1.amazonaws.com.cn",
            "sts.us-iso-east-1.amazonaws.com",
            "sts.us-isob-east-1.c2s.ic.gov",
            "sts.us-east-1.attacker.amazonaws.com",
            "sts.attacker.us-east-1.amazonaws.com",
            "sts.us-east-1.amazonaws.com@evil.example",
            "evil@sts.us-east-1.amazonaws.com",
            "STS.us-east-1.amazonaws.com",
            "sts.US-EAST-1.amazonaws.com",
            "sts.us-east-1.amazonaws.com ",
            "sts.us-east-1\u{3002}amazonaws.com",
            "sts.us-\u{435}ast-1.amazonaws.com",
            "sts.\u{1f600}.amazonaws.com",
            "sts%2eus-east-1.amazonaws.com",
            "sts.us-east-1.amazonaws.com\0.evil",
            "sts-us-east-1.amazonaws.com",
            "s3.us-east-1.amazonaws.com",
            "169.254.169.254",
            "localhost",
        ] {
            assert_eq!(of_host(host), None, "{host:?}");
        }
    }

    #[test]
    fn a_region_has_its_own_hosts_and_no_other() {
        let hosts = |region: &str| -> Vec<String> { of_region(region).into_iter().map(|one| one.host).collect() };

        assert_eq!(hosts("eu-central-1"), ["sts.eu-central-1.amazonaws.com"]);
        assert_eq!(
            hosts("us-east-1"),
            [
                "sts.us-east-1.amazonaws.com",
                "sts-fips.us-east-1.amazonaws.com",
                "sts.amazonaws.com"
            ]
        );
        assert_eq!(hosts("cn-north-1"), ["sts.cn-north-1.amazonaws.com.cn"]);
        assert_eq!(hosts("eu-central-9"), [""; 0]);
    }
}
