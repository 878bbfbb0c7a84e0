//! Memory at rest.

use std::{path::Path, time::Duration};

use crate::{
    ground::{Ground, resident_megabytes},
    report::Verdicts,
};

/// Gate 4: memory at rest, with one of each kind of relying party, as the manual's first configuration has it.
pub(crate) async fn at_rest((binary, settle): (&Path, Duration), ground: &Ground, verdicts: &mut Verdicts) {
    println!(
        "-- memory {} s after ready, one relying party of each kind",
        settle.as_secs()
    );
    ground.configure(1, CLOUDS);
    let (server, _took) = ground.start(binary, true);
    tokio::time::sleep(settle).await;
    let found = resident_megabytes(server.id());
    server.stop();
    verdicts.at_most(&format!("4 VmRSS {} s after ready, MB", settle.as_secs()), found, 30.0);
}

const CLOUDS: &str = r#"
[[relying_party]]
name = "aws-prod"
kind = "aws_sts"
role_arn = "arn:aws:iam::123456789012:role/deploy"
region = "eu-central-1"
session_tags = ["ci.repo_id", "ci.sha"]
[[relying_party]]
name = "gcp-prod"
kind = "gcp_sts"
provider = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/cambio/providers/cambio"
service_account = "deploy@acme-prod.iam.gserviceaccount.com"
scopes = ["https://www.googleapis.com/auth/cloud-platform"]
subject = "/rp/gcp/shop"
[[relying_party]]
name = "azure-prod"
kind = "azure_entra"
tenant = "11111111-2222-3333-4444-555555555555"
client_id = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
scope = "https://management.azure.com/.default"
subject = "/rp/azure/shop"
[[grant]]
name = "shop-to-prod"
entries = ["shop-deploy"]
relying_parties = ["aws-prod", "gcp-prod", "azure-prod"]
ttl = "20m"
accept_lifetime = true
"#;
