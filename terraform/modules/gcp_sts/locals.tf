locals {
  pool          = "projects/${var.project_number}/locations/global/workloadIdentityPools/${var.pool_id}"
  provider_name = "${local.pool}/providers/${var.provider_id}"

  # The provider's resource name is its only audience: a token for one provider opens no other.
  audience = "//iam.googleapis.com/${local.provider_name}"

  # A certificate's SPIFFE ID is its only URI.
  by_certificate      = var.bundle != null
  roots               = regexall("-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?", coalesce(var.bundle, "-"))
  assertion           = local.by_certificate ? "assertion.san.uri[0]" : "assertion.sub"
  attribute_mapping   = { "google.subject" = local.assertion }
  attribute_condition = "${local.assertion} in [${join(", ", [for subject in var.subjects : "'${subject}'"])}]"

  # One principal a subject; never a principalSet, which would hold whatever the pool lets in.
  principals = tomap({ for subject in var.subjects : subject => "principal://iam.googleapis.com/${local.pool}/subject/${subject}" })

  service_account = "projects/${try(regex("@([^.]+)\\.", var.service_account)[0], "")}/serviceAccounts/${var.service_account}"

  # A shaped subject is written into the relying party by its path, because the gateway adds its own trust domain.
  shaped_path = length(var.subjects) == 1 ? try(regex("^spiffe://[^/]+(/rp/.+)$", var.subjects[0])[0], null) : null
}
