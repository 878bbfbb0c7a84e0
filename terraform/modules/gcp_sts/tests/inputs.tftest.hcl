# Every input that is refused, and the limits at n and n + 1. Runs without the provider too: then without its mock.
mock_provider "google" {}

variables {
  issuer          = "https://id.acme.example"
  subjects        = ["spiffe://prod.acme.example/ci/acme/shop/deploy"]
  project_id      = "acme-prod"
  project_number  = "123456789012"
  pool_id         = "cambio"
  service_account = "deploy@acme-prod.iam.gserviceaccount.com"
}

run "takes_a_subject_of_127_bytes" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/${join("", [for _ in range(100) : "a"])}"]
  }

  assert {
    condition     = length(output.subjects[0]) == 127
    error_message = "Found ${jsonencode(output.subjects)}."
  }
}

run "takes_an_issuer_with_a_path" {
  command = plan

  variables {
    issuer = "https://id.acme.example/cambio/prod"
  }

  assert {
    condition     = output.subjects == tolist(["spiffe://prod.acme.example/ci/acme/shop/deploy"])
    error_message = "Found ${jsonencode(output.subjects)}."
  }
}

run "takes_an_issuer_of_255_characters" {
  command = plan

  variables {
    issuer = "https://id.acme.example/${join("", [for _ in range(231) : "a"])}"
  }

  assert {
    condition     = length(var.issuer) == 255
    error_message = "Found ${jsonencode(var.issuer)}."
  }
}

run "takes_a_relying_party_of_64_characters" {
  command = plan

  variables {
    relying_party = join("", [for _ in range(64) : "a"])
  }

  assert {
    condition     = strcontains(output.relying_party, "name = \"${var.relying_party}\"\n")
    error_message = "Found ${jsonencode(output.relying_party)}."
  }
}

run "takes_ids_of_4_and_32_characters" {
  command = plan

  variables {
    pool_id     = "pool"
    provider_id = join("", [for _ in range(32) : "a"])
  }

  assert {
    condition     = endswith(output.audience, "/workloadIdentityPools/pool/providers/${var.provider_id}")
    error_message = "Found ${jsonencode(output.audience)}."
  }
}

run "refuses_an_http_issuer" {
  command = plan

  variables {
    issuer = "http://id.acme.example"
  }

  expect_failures = [var.issuer]
}

run "refuses_an_issuer_with_a_port" {
  command = plan

  variables {
    issuer = "https://id.acme.example:8443"
  }

  expect_failures = [var.issuer]
}

run "refuses_an_issuer_with_port_443" {
  command = plan

  variables {
    issuer = "https://id.acme.example:443"
  }

  expect_failures = [var.issuer]
}

run "refuses_an_issuer_with_a_query" {
  command = plan

  variables {
    issuer = "https://id.acme.example?tenant=1"
  }

  expect_failures = [var.issuer]
}

run "refuses_an_issuer_with_a_fragment" {
  command = plan

  variables {
    issuer = "https://id.acme.example#a"
  }

  expect_failures = [var.issuer]
}

run "refuses_an_issuer_with_a_slash_at_its_end" {
  command = plan

  variables {
    issuer = "https://id.acme.example/"
  }

  expect_failures = [var.issuer]
}

run "refuses_an_issuer_with_a_user" {
  command = plan

  variables {
    issuer = "https://me@id.acme.example"
  }

  expect_failures = [var.issuer]
}

run "refuses_an_issuer_in_upper_case" {
  command = plan

  variables {
    issuer = "https://ID.acme.example"
  }

  expect_failures = [var.issuer]
}

run "refuses_an_issuer_with_a_wildcard" {
  command = plan

  variables {
    issuer = "https://*.acme.example"
  }

  expect_failures = [var.issuer]
}

run "refuses_an_issuer_that_is_an_address" {
  command = plan

  variables {
    issuer = "https://192.0.2.1"
  }

  expect_failures = [var.issuer]
}

run "refuses_an_issuer_with_a_relative_segment" {
  command = plan

  variables {
    issuer = "https://id.acme.example/../a"
  }

  expect_failures = [var.issuer]
}

run "refuses_an_issuer_with_white_space" {
  command = plan

  variables {
    issuer = "https://id.acme.example "
  }

  expect_failures = [var.issuer]
}

run "refuses_an_empty_issuer" {
  command = plan

  variables {
    issuer = ""
  }

  expect_failures = [var.issuer]
}

run "refuses_an_issuer_of_256_characters" {
  command = plan

  variables {
    issuer = "https://id.acme.example/${join("", [for _ in range(232) : "a"])}"
  }

  expect_failures = [var.issuer]
}

run "t_63_refuses_an_empty_subject" {
  command = plan

  variables {
    subjects = [""]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_a_star" {
  command = plan

  variables {
    subjects = ["*"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_a_star_at_the_end" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci/*"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_a_question_mark" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci/acme/shop/deplo?"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_a_policy_variable" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci/$${aws:username}"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_a_subject_of_another_issuer" {
  command = plan

  variables {
    subjects = ["repo:acme/shop:ref:refs/heads/main"]
  }

  expect_failures = [var.subjects]
}

run "t_67_refuses_the_trust_domain_alone" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example"]
  }

  expect_failures = [var.subjects]
}

run "refuses_a_slash_at_the_end" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci/"]
  }

  expect_failures = [var.subjects]
}

run "refuses_an_empty_segment" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example//ci"]
  }

  expect_failures = [var.subjects]
}

run "refuses_a_relative_segment" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci/../admin"]
  }

  expect_failures = [var.subjects]
}

run "refuses_a_quote_that_would_end_the_condition" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci' || true || '"]
  }

  expect_failures = [var.subjects]
}

run "refuses_a_letter_of_several_bytes" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci/é"]
  }

  expect_failures = [var.subjects]
}

run "refuses_an_upper_case_scheme" {
  command = plan

  variables {
    subjects = ["SPIFFE://prod.acme.example/ci"]
  }

  expect_failures = [var.subjects]
}

run "refuses_a_line_break" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci\nx"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_no_subject" {
  command = plan

  variables {
    subjects = []
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_a_wildcard_beside_an_exact_subject" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci/acme/shop/deploy", "spiffe://prod.acme.example/*"]
  }

  expect_failures = [var.subjects]
}

run "refuses_a_subject_twice" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci/acme/shop/deploy", "spiffe://prod.acme.example/ci/acme/shop/deploy"]
  }

  expect_failures = [var.subjects]
}

run "refuses_a_shaped_subject_beside_another" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci/acme/shop/deploy", "spiffe://prod.acme.example/rp/shop"]
  }

  expect_failures = [var.subjects]
}

run "refuses_a_subject_of_128_bytes" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/${join("", [for _ in range(101) : "a"])}"]
  }

  expect_failures = [var.subjects]
}

run "refuses_a_project_id_that_is_a_number" {
  command = plan

  variables {
    project_id = "123456789012"
  }

  expect_failures = [var.project_id]
}

run "refuses_a_project_number_that_is_an_id" {
  command = plan

  variables {
    project_number = "acme-prod"
  }

  expect_failures = [var.project_number]
}

run "refuses_a_project_number_that_begins_with_zero" {
  command = plan

  variables {
    project_number = "0123"
  }

  expect_failures = [var.project_number]
}

run "refuses_a_pool_of_3_characters" {
  command = plan

  variables {
    pool_id = "abc"
  }

  expect_failures = [var.pool_id]
}

run "refuses_a_pool_of_33_characters" {
  command = plan

  variables {
    pool_id = join("", [for _ in range(33) : "a"])
  }

  expect_failures = [var.pool_id]
}

run "refuses_a_pool_with_the_reserved_prefix" {
  command = plan

  variables {
    pool_id = "gcp-pool"
  }

  expect_failures = [var.pool_id]
}

run "refuses_a_pool_with_a_star" {
  command = plan

  variables {
    pool_id = "pool*"
  }

  expect_failures = [var.pool_id]
}

run "refuses_a_provider_of_3_characters" {
  command = plan

  variables {
    provider_id = "abc"
  }

  expect_failures = [var.provider_id]
}

run "refuses_a_provider_of_33_characters" {
  command = plan

  variables {
    provider_id = join("", [for _ in range(33) : "a"])
  }

  expect_failures = [var.provider_id]
}

run "refuses_a_provider_with_the_reserved_prefix" {
  command = plan

  variables {
    provider_id = "gcp-provider"
  }

  expect_failures = [var.provider_id]
}

run "refuses_all_service_accounts" {
  command = plan

  variables {
    service_account = "*"
  }

  expect_failures = [var.service_account]
}

run "refuses_a_default_service_account" {
  command = plan

  variables {
    service_account = "123456789012-compute@developer.gserviceaccount.com"
  }

  expect_failures = [var.service_account]
}

run "refuses_an_empty_service_account" {
  command = plan

  variables {
    service_account = ""
  }

  expect_failures = [var.service_account]
}

run "refuses_a_relying_party_that_would_end_its_string" {
  command = plan

  variables {
    relying_party = "a\"b"
  }

  expect_failures = [var.relying_party]
}

run "refuses_a_relying_party_of_65_characters" {
  command = plan

  variables {
    relying_party = join("", [for _ in range(65) : "a"])
  }

  expect_failures = [var.relying_party]
}

run "t_67_the_condition_is_always_set_and_exact" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/a", "spiffe://prod.acme.example/b"]
  }

  assert {
    condition     = output.attribute_condition == "assertion.sub in ['spiffe://prod.acme.example/a', 'spiffe://prod.acme.example/b']"
    error_message = "Found ${jsonencode(output.attribute_condition)}."
  }
}

run "t_67_binds_each_subject_by_its_own_principal" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/a", "spiffe://prod.acme.example/b"]
  }

  assert {
    condition = output.principals == tomap({
      "spiffe://prod.acme.example/a" = "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/cambio/subject/spiffe://prod.acme.example/a"
      "spiffe://prod.acme.example/b" = "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/cambio/subject/spiffe://prod.acme.example/b"
    })
    error_message = "Found ${jsonencode(output.principals)}."
  }
}

run "t_67_the_audience_is_the_providers_resource_name" {
  command = plan

  assert {
    condition     = output.audience == "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/cambio/providers/cambio"
    error_message = "Found ${jsonencode(output.audience)}."
  }
}

run "writes_a_shaped_subject_by_its_path" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/rp/gcp/shop"]
  }

  assert {
    condition     = output.relying_party == <<-EOT
      [[relying_party]]
      name = "gcp"
      kind = "gcp_sts"
      provider = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/cambio/providers/cambio"
      service_account = "deploy@acme-prod.iam.gserviceaccount.com"
      subject = "/rp/gcp/shop"
    EOT
    error_message = "Found ${jsonencode(output.relying_party)}."
  }
}

run "takes_a_segment_of_three_points" {
  command = plan

  variables {
    issuer   = "https://id.acme.example/..."
    subjects = ["spiffe://prod.acme.example/..."]
  }

  assert {
    condition     = output.subjects[0] == "spiffe://prod.acme.example/..."
    error_message = "Found ${jsonencode(output.subjects)}."
  }
}

run "takes_a_condition_of_4096_characters" {
  command = plan

  variables {
    subjects = [for number in range(32) : "spiffe://prod.acme.example/${format("%02d", number)}/${join("", [for _ in range(number < 15 ? 94 : 93) : "a"])}"]
  }

  assert {
    condition     = length(output.attribute_condition) == 4096
    error_message = "Found ${jsonencode(output.attribute_condition)}."
  }
}

run "refuses_a_condition_of_4097_characters" {
  command = plan

  variables {
    subjects = [for number in range(32) : "spiffe://prod.acme.example/${format("%02d", number)}/${join("", [for _ in range(number < 16 ? 94 : 93) : "a"])}"]
  }

  expect_failures = [var.subjects]
}

run "takes_a_project_id_of_30_characters" {
  command = plan

  variables {
    project_id = join("", [for _ in range(30) : "a"])
  }

  assert {
    condition     = length(var.project_id) == 30
    error_message = "Found ${jsonencode(var.project_id)}."
  }
}

run "refuses_a_project_id_of_31_characters" {
  command = plan

  variables {
    project_id = join("", [for _ in range(31) : "a"])
  }

  expect_failures = [var.project_id]
}

run "takes_a_project_number_of_19_digits" {
  command = plan

  variables {
    project_number = join("", [for _ in range(19) : "1"])
  }

  assert {
    condition     = strcontains(output.audience, "/projects/1111111111111111111/")
    error_message = "Found ${jsonencode(output.audience)}."
  }
}

run "refuses_a_project_number_of_20_digits" {
  command = plan

  variables {
    project_number = join("", [for _ in range(20) : "1"])
  }

  expect_failures = [var.project_number]
}

run "takes_a_pool_of_32_and_a_provider_of_4_characters" {
  command = plan

  variables {
    pool_id     = join("", [for _ in range(32) : "a"])
    provider_id = "prov"
  }

  assert {
    condition     = endswith(output.audience, "/${var.pool_id}/providers/prov")
    error_message = "Found ${output.audience}."
  }
}

run "takes_a_service_account_of_30_characters_in_a_project_of_30" {
  command = plan

  variables {
    service_account = "${join("", [for _ in range(30) : "a"])}@${join("", [for _ in range(30) : "b"])}.iam.gserviceaccount.com"
  }

  assert {
    condition     = strcontains(output.relying_party, "service_account = \"${var.service_account}\"\n")
    error_message = "Found ${output.relying_party}."
  }
}

run "refuses_a_service_account_of_31_characters" {
  command = plan

  variables {
    service_account = "${join("", [for _ in range(31) : "a"])}@${join("", [for _ in range(30) : "b"])}.iam.gserviceaccount.com"
  }

  expect_failures = [var.service_account]
}

run "refuses_a_service_account_in_a_project_of_31_characters" {
  command = plan

  variables {
    service_account = "${join("", [for _ in range(30) : "a"])}@${join("", [for _ in range(31) : "b"])}.iam.gserviceaccount.com"
  }

  expect_failures = [var.service_account]
}

run "by_certificate_the_condition_is_on_the_only_uri" {
  command = plan

  variables {
    issuer   = null
    bundle   = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"
    subjects = ["spiffe://prod.acme.example/rp/gcp/shop"]
  }

  assert {
    condition     = output.attribute_condition == "assertion.san.uri[0] in ['spiffe://prod.acme.example/rp/gcp/shop']"
    error_message = "Found ${output.attribute_condition}."
  }

  assert {
    condition     = output.relying_party == <<-EOT
      [[relying_party]]
      name = "gcp"
      kind = "gcp_sts"
      provider = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/cambio/providers/cambio"
      service_account = "deploy@acme-prod.iam.gserviceaccount.com"
      x509 = true
      subject = "/rp/gcp/shop"
    EOT
    error_message = "Found ${jsonencode(output.relying_party)}."
  }
}

run "refuses_a_bundle_of_3_certificates" {
  command = plan

  variables {
    issuer   = null
    bundle   = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----\n"
    subjects = ["spiffe://prod.acme.example/rp/gcp/shop"]
  }

  expect_failures = [var.bundle]
}

run "refuses_a_bundle_with_a_key" {
  command = plan

  variables {
    issuer   = null
    bundle   = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"
    subjects = ["spiffe://prod.acme.example/rp/gcp/shop"]
  }

  expect_failures = [var.bundle]
}

run "refuses_an_empty_bundle" {
  command = plan

  variables {
    issuer   = null
    bundle   = ""
    subjects = ["spiffe://prod.acme.example/rp/gcp/shop"]
  }

  expect_failures = [var.bundle]
}

run "refuses_certificates_for_a_subject_that_is_not_shaped" {
  command = plan

  variables {
    issuer = null
    bundle = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
  }

  expect_failures = [var.bundle]
}

run "refuses_an_issuer_beside_a_bundle" {
  command = plan

  variables {
    bundle   = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    subjects = ["spiffe://prod.acme.example/rp/gcp/shop"]
  }

  expect_failures = [var.issuer]
}

run "refuses_neither_issuer_nor_bundle" {
  command = plan

  variables {
    issuer = null
  }

  expect_failures = [var.issuer]
}
