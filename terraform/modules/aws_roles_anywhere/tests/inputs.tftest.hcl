# Every input that is refused, and the limits at n and n + 1. Runs without the provider too: then without its mock.
mock_provider "aws" {
  # The module refuses credentials of another account.
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

variables {
  bundle     = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
  subjects   = ["spiffe://prod.acme.example/rp/aws/shop-deploy"]
  account_id = "123456789012"
  role_name  = "deploy"
}

run "takes_a_bundle_of_two_roots" {
  command = plan

  variables {
    bundle = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
  }

  assert {
    condition     = output.role_arn == "arn:aws:iam::123456789012:role/deploy"
    error_message = "Found ${jsonencode(output.role_arn)}."
  }
}

run "takes_a_bundle_without_a_line_break_at_its_end" {
  command = plan

  variables {
    bundle = trimspace("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
  }

  assert {
    condition     = length(output.subjects) == 1
    error_message = "Found ${jsonencode(output.subjects)}."
  }
}

run "takes_a_bundle_of_204800_characters" {
  command = plan

  variables {
    bundle = "-----BEGIN CERTIFICATE-----\n${join("", [for i in range(998) : join("", [for j in range(205) : "a"])])}${join("", [for i in range(155) : "a"])}\n-----END CERTIFICATE-----\n"
  }

  assert {
    condition     = length(var.bundle) == 204800
    error_message = "Found ${jsonencode(length(var.bundle))}."
  }
}

run "refuses_a_bundle_of_204801_characters" {
  command = plan

  variables {
    bundle = "-----BEGIN CERTIFICATE-----\n${join("", [for i in range(998) : join("", [for j in range(205) : "a"])])}${join("", [for i in range(156) : "a"])}\n-----END CERTIFICATE-----\n"
  }

  expect_failures = [var.bundle]
}

run "refuses_a_bundle_of_three_roots" {
  command = plan

  variables {
    bundle = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
  }

  expect_failures = [var.bundle]
}

run "refuses_an_empty_bundle" {
  command = plan

  variables {
    bundle = ""
  }

  expect_failures = [var.bundle]
}

run "refuses_a_bundle_with_a_key" {
  command = plan

  variables {
    bundle = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"
  }

  expect_failures = [var.bundle]
}

run "refuses_a_bundle_with_text_before_it" {
  command = plan

  variables {
    bundle = "root\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
  }

  expect_failures = [var.bundle]
}

run "refuses_a_bundle_that_is_the_json_document" {
  command = plan

  variables {
    bundle = "{\"keys\": []}"
  }

  expect_failures = [var.bundle]
}

run "takes_a_subject_of_256_characters" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/${join("", [for _ in range(229) : "a"])}"]
  }

  assert {
    condition     = length(output.subjects[0]) == 256
    error_message = "Found ${jsonencode(output.subjects)}."
  }
}

run "refuses_a_subject_of_257_characters" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/${join("", [for _ in range(230) : "a"])}"]
  }

  expect_failures = [var.subjects]
}

run "refuses_no_subject" {
  command = plan

  variables {
    subjects = []
  }

  expect_failures = [var.subjects]
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
    subjects = ["spiffe://prod.acme.example/ci/*"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_a_star_alone" {
  command = plan

  variables {
    subjects = ["*"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_a_question_mark" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci/?"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_a_policy_variable" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/$${aws:username}"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_a_trust_domain_alone" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_a_slash_at_the_end" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci/"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_an_empty_segment" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci//a"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_a_relative_segment" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci/../a"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_another_scheme" {
  command = plan

  variables {
    subjects = ["https://prod.acme.example/a"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_an_upper_case_trust_domain" {
  command = plan

  variables {
    subjects = ["spiffe://Prod.acme.example/a"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_white_space" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/a b"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_a_port" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example:8443/a"]
  }

  expect_failures = [var.subjects]
}

run "t_63_refuses_a_query" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/a?b=c"]
  }

  expect_failures = [var.subjects]
}

run "refuses_a_subject_twice" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/a", "spiffe://prod.acme.example/a"]
  }

  expect_failures = [var.subjects]
}

run "refuses_a_shaped_subject_beside_another" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/rp/a", "spiffe://prod.acme.example/a"]
  }

  expect_failures = [var.subjects]
}

run "refuses_subjects_of_two_trust_domains" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/a", "spiffe://test.acme.example/a"]
  }

  expect_failures = [var.subjects]
}

run "takes_two_subjects" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/a", "spiffe://prod.acme.example/b"]
  }

  assert {
    condition     = length(output.subjects) == 2
    error_message = "Found ${jsonencode(output.subjects)}."
  }
}

run "refuses_an_account_of_11_digits" {
  command = plan

  variables {
    account_id = "12345678901"
  }

  expect_failures = [var.account_id]
}

run "refuses_an_account_of_13_digits" {
  command = plan

  variables {
    account_id = "1234567890123"
  }

  expect_failures = [var.account_id]
}

run "refuses_an_account_with_a_letter" {
  command = plan

  variables {
    account_id = "12345678901a"
  }

  expect_failures = [var.account_id]
}

run "refuses_an_account_that_is_a_star" {
  command = plan

  variables {
    account_id = "*"
  }

  expect_failures = [var.account_id]
}

run "refuses_an_unknown_partition" {
  command = plan

  variables {
    partition = "aws-iso"
  }

  expect_failures = [var.partition]
}

run "takes_names_of_255_characters_and_role_names_of_64" {
  command = plan

  variables {
    name      = join("", [for _ in range(255) : "a"])
    role_name = join("", [for _ in range(64) : "a"])
  }

  assert {
    condition     = endswith(output.role_arn, "/${var.role_name}")
    error_message = "Found ${jsonencode(output.role_arn)}."
  }
}

run "refuses_a_name_of_256_characters" {
  command = plan

  variables {
    name = join("", [for _ in range(256) : "a"])
  }

  expect_failures = [var.name]
}

run "refuses_an_empty_name" {
  command = plan

  variables {
    name = ""
  }

  expect_failures = [var.name]
}

run "refuses_a_name_with_a_point" {
  command = plan

  variables {
    name = "a.b"
  }

  expect_failures = [var.name]
}

run "refuses_a_role_name_of_65_characters" {
  command = plan

  variables {
    role_name = join("", [for _ in range(65) : "a"])
  }

  expect_failures = [var.role_name]
}

run "refuses_a_role_name_with_a_path" {
  command = plan

  variables {
    role_name = "team/deploy"
  }

  expect_failures = [var.role_name]
}

run "refuses_a_role_name_with_a_star" {
  command = plan

  variables {
    role_name = "deploy*"
  }

  expect_failures = [var.role_name]
}

run "takes_a_source_identity_of_2_characters" {
  command = plan

  variables {
    source_identity = "ab"
  }

  assert {
    condition     = length(output.subjects) == 1
    error_message = "Found ${jsonencode(output.subjects)}."
  }
}

run "takes_a_source_identity_of_64_characters" {
  command = plan

  variables {
    source_identity = join("", [for _ in range(64) : "a"])
  }

  assert {
    condition     = length(output.subjects) == 1
    error_message = "Found ${jsonencode(output.subjects)}."
  }
}

run "refuses_a_source_identity_of_1_character" {
  command = plan

  variables {
    source_identity = "a"
  }

  expect_failures = [var.source_identity]
}

run "refuses_a_source_identity_of_65_characters" {
  command = plan

  variables {
    source_identity = join("", [for _ in range(65) : "a"])
  }

  expect_failures = [var.source_identity]
}

run "refuses_a_source_identity_with_a_star" {
  command = plan

  variables {
    source_identity = "CN=*"
  }

  expect_failures = [var.source_identity]
}

run "refuses_a_source_identity_with_a_policy_variable" {
  command = plan

  variables {
    source_identity = "$${aws:username}"
  }

  expect_failures = [var.source_identity]
}

run "takes_the_shortest_session" {
  command = plan

  variables {
    session_seconds = 900
  }

  assert {
    condition     = output.session_seconds == 900
    error_message = "Found ${jsonencode(output.session_seconds)}."
  }
}

run "takes_the_longest_session" {
  command = plan

  variables {
    session_seconds = 43200
  }

  assert {
    condition     = output.session_seconds == 43200
    error_message = "Found ${jsonencode(output.session_seconds)}."
  }
}

run "refuses_a_session_of_899_seconds" {
  command = plan

  variables {
    session_seconds = 899
  }

  expect_failures = [var.session_seconds]
}

run "refuses_a_session_of_43201_seconds" {
  command = plan

  variables {
    session_seconds = 43201
  }

  expect_failures = [var.session_seconds]
}

run "refuses_a_session_of_half_a_second" {
  command = plan

  variables {
    session_seconds = 900.5
  }

  expect_failures = [var.session_seconds]
}

run "takes_an_existing_trust_anchor" {
  command = plan

  variables {
    existing_trust_anchor_arn = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/3f2b7c1e-9a64-4d0f-8b15-6c2d9e7a1f40"
  }

  assert {
    condition     = length(output.subjects) == 1
    error_message = "Found ${jsonencode(output.subjects)}."
  }
}

run "refuses_an_existing_trust_anchor_of_another_account" {
  command = plan

  variables {
    existing_trust_anchor_arn = "arn:aws:rolesanywhere:eu-central-1:210987654321:trust-anchor/3f2b7c1e-9a64-4d0f-8b15-6c2d9e7a1f40"
  }

  expect_failures = [var.existing_trust_anchor_arn]
}

run "refuses_an_existing_trust_anchor_of_another_partition" {
  command = plan

  variables {
    existing_trust_anchor_arn = "arn:aws-cn:rolesanywhere:eu-central-1:123456789012:trust-anchor/3f2b7c1e-9a64-4d0f-8b15-6c2d9e7a1f40"
  }

  expect_failures = [var.existing_trust_anchor_arn]
}

run "refuses_an_existing_trust_anchor_with_a_star" {
  command = plan

  variables {
    existing_trust_anchor_arn = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/*"
  }

  expect_failures = [var.existing_trust_anchor_arn]
}

run "refuses_an_existing_trust_anchor_that_is_an_alias" {
  command = plan

  variables {
    existing_trust_anchor_arn = "arn:aws:rolesanywhere:eu-central-1:123456789012:alias/trust-anchor/3f2b7c1e-9a64-4d0f-8b15-6c2d9e7a1f40"
  }

  expect_failures = [var.existing_trust_anchor_arn]
}

run "refuses_an_existing_trust_anchor_that_is_a_profile" {
  command = plan

  variables {
    existing_trust_anchor_arn = "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/3f2b7c1e-9a64-4d0f-8b15-6c2d9e7a1f40"
  }

  expect_failures = [var.existing_trust_anchor_arn]
}

run "refuses_an_existing_trust_anchor_that_is_empty" {
  command = plan

  variables {
    existing_trust_anchor_arn = ""
  }

  expect_failures = [var.existing_trust_anchor_arn]
}

run "takes_a_relying_party_of_64_characters" {
  command = plan

  variables {
    relying_party = join("", [for _ in range(64) : "a"])
  }

  assert {
    condition     = output.relying_party_name == var.relying_party
    error_message = "Found ${jsonencode(output.relying_party_name)}."
  }
}

run "refuses_a_relying_party_of_65_characters" {
  command = plan

  variables {
    relying_party = join("", [for _ in range(65) : "a"])
  }

  expect_failures = [var.relying_party]
}

run "refuses_a_relying_party_that_would_end_its_string" {
  command = plan

  variables {
    relying_party = "a\"b"
  }

  expect_failures = [var.relying_party]
}
