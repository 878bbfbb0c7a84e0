# Every input that is refused, and the limits at n and n + 1. Runs without the provider too: then without its mock.
mock_provider "aws" {
  # The module refuses credentials of another account.
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

variables {
  issuer     = "https://id.acme.example"
  subjects   = ["spiffe://prod.acme.example/ci/acme/shop/deploy"]
  account_id = "123456789012"
  region     = "eu-central-1"
  role_name  = "deploy"
}

run "takes_a_subject_of_255_bytes" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/${join("", [for _ in range(228) : "a"])}"]
  }

  assert {
    condition     = length(output.subjects[0]) == 255
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

run "takes_audiences_of_255_characters_and_role_names_of_64" {
  command = plan

  variables {
    audience  = join("", [for _ in range(255) : "a"])
    role_name = join("", [for _ in range(64) : "a"])
  }

  assert {
    condition     = length(output.audience) == 255 && endswith(output.role_arn, "/${var.role_name}")
    error_message = "Found ${jsonencode(output.role_arn)}."
  }
}

run "takes_the_shortest_session" {
  command = plan

  variables {
    max_session_seconds = 3600
  }

  assert {
    condition     = strcontains(output.relying_party, "max_session_seconds = 3600\n")
    error_message = "Found ${jsonencode(output.relying_party)}."
  }
}

run "takes_the_longest_session" {
  command = plan

  variables {
    max_session_seconds = 43200
  }

  assert {
    condition     = strcontains(output.relying_party, "max_session_seconds = 43200\n")
    error_message = "Found ${jsonencode(output.relying_party)}."
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

run "refuses_a_subject_of_256_bytes" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/${join("", [for _ in range(229) : "a"])}"]
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

run "refuses_an_audience_of_256_characters" {
  command = plan

  variables {
    audience = join("", [for _ in range(256) : "a"])
  }

  expect_failures = [var.audience]
}

run "refuses_an_account_of_11_digits" {
  command = plan

  variables {
    account_id = "12345678901"
  }

  expect_failures = [var.account_id]
}

run "refuses_an_unknown_partition" {
  command = plan

  variables {
    partition = "aws-*"
  }

  expect_failures = [var.partition]
}

run "refuses_a_region_that_is_none" {
  command = plan

  variables {
    region = "eu"
  }

  expect_failures = [var.region]
}

run "refuses_a_role_name_with_a_path" {
  command = plan

  variables {
    role_name = "a/b"
  }

  expect_failures = [var.role_name]
}

run "refuses_a_role_name_with_a_star" {
  command = plan

  variables {
    role_name = "*"
  }

  expect_failures = [var.role_name]
}

run "refuses_a_role_name_of_65_characters" {
  command = plan

  variables {
    role_name = join("", [for _ in range(65) : "a"])
  }

  expect_failures = [var.role_name]
}

run "refuses_a_session_of_3599_seconds" {
  command = plan

  variables {
    max_session_seconds = 3599
  }

  expect_failures = [var.max_session_seconds]
}

run "refuses_a_session_of_43201_seconds" {
  command = plan

  variables {
    max_session_seconds = 43201
  }

  expect_failures = [var.max_session_seconds]
}

run "refuses_a_fraction_of_a_second" {
  command = plan

  variables {
    max_session_seconds = 3600.5
  }

  expect_failures = [var.max_session_seconds]
}

run "refuses_a_provider_of_another_account" {
  command = plan

  variables {
    existing_provider_arn = "arn:aws:iam::210987654321:oidc-provider/id.acme.example"
  }

  expect_failures = [var.existing_provider_arn]
}

run "refuses_a_provider_of_another_issuer" {
  command = plan

  variables {
    existing_provider_arn = "arn:aws:iam::123456789012:oidc-provider/id.other.example"
  }

  expect_failures = [var.existing_provider_arn]
}

run "refuses_a_provider_with_a_slash_at_its_end" {
  command = plan

  variables {
    existing_provider_arn = "arn:aws:iam::123456789012:oidc-provider/id.acme.example/"
  }

  expect_failures = [var.existing_provider_arn]
}

run "refuses_a_session_tag_with_a_star" {
  command = plan

  variables {
    session_tags = ["ci.*"]
  }

  expect_failures = [var.session_tags]
}

run "refuses_an_empty_session_tag" {
  command = plan

  variables {
    session_tags = [""]
  }

  expect_failures = [var.session_tags]
}

run "refuses_exchange_id_as_a_session_tag" {
  command = plan

  variables {
    session_tags = ["exchange_id"]
  }

  expect_failures = [var.session_tags]
}

run "refuses_50_session_tags" {
  command = plan

  variables {
    session_tags = [for number in range(50) : "ci.a${number}"]
  }

  expect_failures = [var.session_tags]
}

run "refuses_an_entry_with_a_star" {
  command = plan

  variables {
    entry = "*"
  }

  expect_failures = [var.entry]
}

run "refuses_an_entry_beside_two_subjects" {
  command = plan

  variables {
    entry    = "shop"
    subjects = ["spiffe://prod.acme.example/ci/acme/shop/deploy", "spiffe://prod.acme.example/ci/acme/shop/test"]
  }

  expect_failures = [var.entry]
}

run "refuses_an_entry_beside_a_shaped_subject" {
  command = plan

  variables {
    entry    = "shop"
    subjects = ["spiffe://prod.acme.example/rp/shop"]
  }

  expect_failures = [var.entry]
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

run "refuses_an_issuer_whose_default_audience_has_256_characters" {
  command = plan

  variables {
    # `/aws/` and the account add 17 characters.
    issuer = "https://id.acme.example/${join("", [for _ in range(215) : "a"])}"
  }

  expect_failures = [var.audience]
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

run "takes_an_entry_of_64_characters" {
  command = plan

  variables {
    entry = join("", [for _ in range(64) : "a"])
  }

  assert {
    condition     = startswith(jsondecode(output.trust_policy).Statement[0].Condition.StringEquals["sts:SourceIdentity"], "aaa")
    error_message = "Found ${jsonencode(output.trust_policy)}."
  }
}

run "refuses_an_entry_of_65_characters" {
  command = plan

  variables {
    entry = join("", [for _ in range(65) : "a"])
  }

  expect_failures = [var.entry]
}

run "takes_a_session_tag_of_128_characters" {
  command = plan

  variables {
    session_tags = [join("", [for _ in range(128) : "a"])]
  }

  assert {
    condition     = strcontains(output.relying_party, "\"${var.session_tags[0]}\"")
    error_message = "Found ${jsonencode(output.relying_party)}."
  }
}

run "refuses_a_session_tag_of_129_characters" {
  command = plan

  variables {
    session_tags = [join("", [for _ in range(129) : "a"])]
  }

  expect_failures = [var.session_tags]
}

run "takes_49_session_tags" {
  command = plan

  variables {
    session_tags = [for number in range(49) : "a${number}"]
  }

  assert {
    condition     = length(jsondecode(output.trust_policy).Statement[1].Condition["ForAllValues:StringEquals"]["aws:TagKeys"]) == 50
    error_message = "Found ${jsonencode(output.trust_policy)}."
  }
}
