# Every input that is refused, and the limits at n and n + 1. Runs without the provider too: then without its mock.
mock_provider "azuread" {}

variables {
  issuer                = "https://id.acme.example"
  subjects              = ["spiffe://prod.acme.example/ci/acme/shop/deploy"]
  tenant                = "11111111-2222-3333-4444-555555555555"
  client_id             = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
  application_object_id = "99999999-8888-7777-6666-555555555555"
}

run "takes_a_subject_of_600_bytes" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/${join("", [for _ in range(573) : "a"])}"]
  }

  assert {
    condition     = length(output.subjects[0]) == 600
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

run "takes_20_subjects" {
  command = plan

  variables {
    subjects = [for number in range(20) : "spiffe://prod.acme.example/ci/${number}"]
  }

  assert {
    condition     = length(distinct(values(output.credential_names))) == 20
    error_message = "Found ${jsonencode(output.credential_names)}."
  }
}

run "takes_an_audience_of_600_characters" {
  command = plan

  variables {
    audience = join("", [for _ in range(600) : "a"])
  }

  assert {
    condition     = length(output.audience) == 600
    error_message = "Found ${jsonencode(output.audience)}."
  }
}

run "names_credentials_within_120_characters" {
  command = plan

  variables {
    credential_name = join("", [for _ in range(107) : "a"])
  }

  assert {
    condition     = alltrue([for name in values(output.credential_names) : length(name) == 120])
    error_message = "Found ${jsonencode(output.credential_names)}."
  }
}

run "takes_the_recommended_audience" {
  command = plan

  variables {
    audience = "api://AzureADTokenExchange"
  }

  assert {
    condition     = output.audience == "api://AzureADTokenExchange"
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

run "refuses_a_subject_of_601_bytes" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/${join("", [for _ in range(574) : "a"])}"]
  }

  expect_failures = [var.subjects]
}

run "refuses_two_audiences_after_a_comma" {
  command = plan

  variables {
    audience = "https://a.example,https://b.example"
  }

  expect_failures = [var.audience]
}

run "refuses_two_audiences_after_a_blank" {
  command = plan

  variables {
    audience = "https://a.example https://b.example"
  }

  expect_failures = [var.audience]
}

run "refuses_an_empty_audience" {
  command = plan

  variables {
    audience = ""
  }

  expect_failures = [var.audience]
}

run "refuses_an_audience_with_a_star" {
  command = plan

  variables {
    audience = "https://id.acme.example/*"
  }

  expect_failures = [var.audience]
}

run "refuses_an_audience_with_a_question_mark" {
  command = plan

  variables {
    audience = "https://id.acme.example/?"
  }

  expect_failures = [var.audience]
}

run "refuses_an_audience_with_a_policy_variable" {
  command = plan

  variables {
    audience = "https://id.acme.example/$${aws:username}"
  }

  expect_failures = [var.audience]
}

run "refuses_an_audience_of_601_characters" {
  command = plan

  variables {
    audience = join("", [for _ in range(601) : "a"])
  }

  expect_failures = [var.audience]
}

run "refuses_21_subjects" {
  command = plan

  variables {
    subjects = [for number in range(21) : "spiffe://prod.acme.example/ci/${number}"]
  }

  expect_failures = [var.subjects]
}

run "refuses_the_tenant_common" {
  command = plan

  variables {
    tenant = "common"
  }

  expect_failures = [var.tenant]
}

run "refuses_a_tenant_in_upper_case" {
  command = plan

  variables {
    tenant = "AAAAAAAA-2222-3333-4444-555555555555"
  }

  expect_failures = [var.tenant]
}

run "refuses_an_empty_client_id" {
  command = plan

  variables {
    client_id = ""
  }

  expect_failures = [var.client_id]
}

run "refuses_a_client_id_that_is_no_guid" {
  command = plan

  variables {
    client_id = "shop"
  }

  expect_failures = [var.client_id]
}

run "refuses_an_object_id_with_its_path" {
  command = plan

  variables {
    application_object_id = "/applications/99999999-8888-7777-6666-555555555555"
  }

  expect_failures = [var.application_object_id]
}

run "refuses_the_client_id_as_object_id" {
  command = plan

  variables {
    application_object_id = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
  }

  expect_failures = [var.application_object_id]
}

run "refuses_a_credential_name_of_2_characters" {
  command = plan

  variables {
    credential_name = "ab"
  }

  expect_failures = [var.credential_name]
}

run "refuses_a_credential_name_of_108_characters" {
  command = plan

  variables {
    credential_name = join("", [for _ in range(108) : "a"])
  }

  expect_failures = [var.credential_name]
}

run "refuses_a_credential_name_that_begins_with_a_dash" {
  command = plan

  variables {
    credential_name = "-shop"
  }

  expect_failures = [var.credential_name]
}

run "refuses_a_credential_name_with_a_blank" {
  command = plan

  variables {
    credential_name = "my shop"
  }

  expect_failures = [var.credential_name]
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

run "the_default_audience_names_the_application" {
  command = plan

  assert {
    condition     = output.audience == "https://id.acme.example/azure/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
    error_message = "Found ${jsonencode(output.audience)}."
  }
}

run "names_a_credential_by_what_it_trusts" {
  command = plan

  assert {
    condition     = output.credential_names == tomap({ "spiffe://prod.acme.example/ci/acme/shop/deploy" = "cambio-873c8cde1ee7" })
    error_message = "Found ${jsonencode(output.credential_names)}."
  }
}

run "writes_a_shaped_subject_by_its_path" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/rp/azure/shop"]
  }

  assert {
    condition     = output.relying_party == <<-EOT
      [[relying_party]]
      name = "azure"
      kind = "azure_entra"
      tenant = "11111111-2222-3333-4444-555555555555"
      client_id = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
      audience = "https://id.acme.example/azure/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
      subject = "/rp/azure/shop"
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
