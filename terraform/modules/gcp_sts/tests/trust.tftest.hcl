# What is planned, by the provider's own schema.
mock_provider "google" {}

variables {
  issuer          = "https://id.acme.example"
  subjects        = ["spiffe://prod.acme.example/ci/acme/shop/deploy"]
  project_id      = "acme-prod"
  project_number  = "123456789012"
  pool_id         = "cambio"
  service_account = "deploy@acme-prod.iam.gserviceaccount.com"
}

run "t_67_provider_has_condition_mapping_and_one_audience" {
  command = plan

  assert {
    condition     = google_iam_workload_identity_pool_provider.this.attribute_condition == "assertion.sub in ['spiffe://prod.acme.example/ci/acme/shop/deploy']"
    error_message = "Found ${google_iam_workload_identity_pool_provider.this.attribute_condition}."
  }

  assert {
    condition     = google_iam_workload_identity_pool_provider.this.attribute_mapping == tomap({ "google.subject" = "assertion.sub" })
    error_message = "Found ${jsonencode(google_iam_workload_identity_pool_provider.this.attribute_mapping)}."
  }

  assert {
    condition     = google_iam_workload_identity_pool_provider.this.oidc[0].issuer_uri == "https://id.acme.example" && google_iam_workload_identity_pool_provider.this.oidc[0].allowed_audiences == tolist(["//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/cambio/providers/cambio"])
    error_message = "Found ${jsonencode(google_iam_workload_identity_pool_provider.this.oidc)}."
  }
}

run "t_67_binds_the_account_to_one_exact_principal" {
  command = plan

  assert {
    condition     = length(google_service_account_iam_member.this) == 1 && google_service_account_iam_member.this["spiffe://prod.acme.example/ci/acme/shop/deploy"].member == "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/cambio/subject/spiffe://prod.acme.example/ci/acme/shop/deploy"
    error_message = "Found ${jsonencode(google_service_account_iam_member.this)}."
  }

  assert {
    condition     = google_service_account_iam_member.this["spiffe://prod.acme.example/ci/acme/shop/deploy"].role == "roles/iam.workloadIdentityUser" && google_service_account_iam_member.this["spiffe://prod.acme.example/ci/acme/shop/deploy"].service_account_id == "projects/acme-prod/serviceAccounts/deploy@acme-prod.iam.gserviceaccount.com"
    error_message = "Found ${jsonencode(google_service_account_iam_member.this)}."
  }
}

run "refuses_a_project_number_that_is_not_the_projects" {
  command = apply

  override_resource {
    target = google_iam_workload_identity_pool_provider.this
    values = { name = "projects/210987654321/locations/global/workloadIdentityPools/cambio/providers/cambio" }
  }

  expect_failures = [google_iam_workload_identity_pool_provider.this]
}

run "t_67_by_certificate_it_trusts_the_roots_and_no_issuer" {
  command = plan

  variables {
    issuer   = null
    bundle   = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"
    subjects = ["spiffe://prod.acme.example/rp/gcp/shop"]
  }

  assert {
    condition     = length(google_iam_workload_identity_pool_provider.this.oidc) == 0 && [for anchor in google_iam_workload_identity_pool_provider.this.x509[0].trust_store[0].trust_anchors : anchor.pem_certificate] == ["-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"]
    error_message = "Found ${jsonencode(google_iam_workload_identity_pool_provider.this.x509)}."
  }

  assert {
    condition     = google_iam_workload_identity_pool_provider.this.attribute_mapping == tomap({ "google.subject" = "assertion.san.uri[0]" })
    error_message = "Found ${jsonencode(google_iam_workload_identity_pool_provider.this.attribute_mapping)}."
  }
}
