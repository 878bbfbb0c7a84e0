# What is planned, by the provider's own schema.
mock_provider "aws" {
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_resource "aws_rolesanywhere_trust_anchor" {
    defaults = { arn = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/3f2b7c1e-9a64-4d0f-8b15-6c2d9e7a1f40" }
  }

  mock_resource "aws_rolesanywhere_profile" {
    defaults = { arn = "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/8d1e5a72-4c3b-4f96-a7e0-2b9c6d5f1e83" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/deploy" }
  }
}

variables {
  bundle     = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
  subjects   = ["spiffe://prod.acme.example/rp/aws/shop-deploy"]
  account_id = "123456789012"
  role_name  = "deploy"
}

run "t_63_the_whole_trust_policy_is_the_reviewed_one" {
  command = plan

  variables {
    source_identity = "CN=shop-deploy.d2a3512a"
  }

  assert {
    condition = jsondecode(aws_iam_role.this.assume_role_policy) == jsondecode(<<-EOT
      {
        "Version": "2012-10-17",
        "Statement": [{
          "Sid": "Cambio", "Effect": "Allow",
          "Principal": {"Service": "rolesanywhere.amazonaws.com"},
          "Action": ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"],
          "Condition": {
            "ArnEquals": {"aws:SourceArn": "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/3f2b7c1e-9a64-4d0f-8b15-6c2d9e7a1f40"},
            "StringEquals": {
              "aws:PrincipalTag/x509SAN/URI": ["spiffe://prod.acme.example/rp/aws/shop-deploy"],
              "sts:SourceIdentity": "CN=shop-deploy.d2a3512a"
            }
          }
        }]
      }
    EOT
    )
    error_message = "Found ${aws_iam_role.this.assume_role_policy}."
  }
}

run "t_63_no_operator_or_value_matches_more_than_one_string" {
  command = plan

  assert {
    condition     = length(regexall("StringLike|ArnLike|IfExists|NotEquals|\\*|\\?", aws_iam_role.this.assume_role_policy)) == 0
    error_message = "Found ${aws_iam_role.this.assume_role_policy}, expected no operator or value that matches more than one string."
  }
}

run "creates_an_anchor_of_the_bundle_a_profile_of_one_role_and_a_role_without_permissions" {
  command = plan

  assert {
    condition     = length(aws_rolesanywhere_trust_anchor.this) == 1 && aws_rolesanywhere_trust_anchor.this[0].enabled && aws_rolesanywhere_trust_anchor.this[0].source[0].source_type == "CERTIFICATE_BUNDLE" && aws_rolesanywhere_trust_anchor.this[0].source[0].source_data[0].x509_certificate_data == var.bundle
    error_message = "Found ${jsonencode(aws_rolesanywhere_trust_anchor.this)}."
  }

  assert {
    condition     = aws_rolesanywhere_profile.this.role_arns == toset(["arn:aws:iam::123456789012:role/deploy"]) && aws_rolesanywhere_profile.this.enabled && aws_rolesanywhere_profile.this.duration_seconds == 3600
    error_message = "Found ${jsonencode(aws_rolesanywhere_profile.this)}."
  }

  assert {
    condition     = aws_iam_role.this.name == "deploy" && aws_iam_role.this.max_session_duration == 3600 && length(aws_iam_role.this.inline_policy) == 0
    error_message = "Found ${jsonencode(aws_iam_role.this)}."
  }
}

run "writes_the_relying_party_as_the_gateway_reads_it" {
  command = plan

  assert {
    condition     = output.relying_party == <<-EOT
      [[relying_party]]
      name = "aws-x509"
      kind = "aws_roles_anywhere"
      trust_anchor_arn = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/3f2b7c1e-9a64-4d0f-8b15-6c2d9e7a1f40"
      profile_arn = "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/8d1e5a72-4c3b-4f96-a7e0-2b9c6d5f1e83"
      role_arn = "arn:aws:iam::123456789012:role/deploy"
      subject = "/rp/aws/shop-deploy"
      max_session_seconds = 3600
    EOT
    error_message = "Found ${output.relying_party}."
  }
}

run "a_workloads_own_spiffe_id_is_no_shaped_subject" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci/acme/shop/deploy"]
  }

  assert {
    condition     = !strcontains(output.relying_party, "subject")
    error_message = "Found ${output.relying_party}."
  }
}

run "a_long_session_lengthens_role_and_profile" {
  command = plan

  variables {
    session_seconds = 7200
  }

  assert {
    condition     = aws_iam_role.this.max_session_duration == 7200 && aws_rolesanywhere_profile.this.duration_seconds == 7200
    error_message = "Found ${aws_iam_role.this.max_session_duration} and ${aws_rolesanywhere_profile.this.duration_seconds}."
  }
}

run "a_short_session_shortens_the_profile_alone" {
  command = plan

  variables {
    session_seconds = 900
  }

  assert {
    condition     = aws_iam_role.this.max_session_duration == 3600 && aws_rolesanywhere_profile.this.duration_seconds == 900
    error_message = "Found ${aws_iam_role.this.max_session_duration} and ${aws_rolesanywhere_profile.this.duration_seconds}."
  }
}

run "reuses_a_trust_anchor" {
  command = plan

  variables {
    existing_trust_anchor_arn = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/00000000-0000-0000-0000-000000000000"
  }

  assert {
    condition     = length(aws_rolesanywhere_trust_anchor.this) == 0 && jsondecode(output.trust_policy).Statement[0].Condition.ArnEquals["aws:SourceArn"] == var.existing_trust_anchor_arn
    error_message = "Found ${output.trust_policy}."
  }
}

run "refuses_credentials_of_another_account" {
  command = plan

  override_data {
    target          = data.aws_caller_identity.current
    override_during = plan
    values          = { account_id = "210987654321" }
  }

  expect_failures = [data.aws_caller_identity.current]
}

run "takes_a_trust_policy_of_2048_characters" {
  command = plan

  variables {
    subjects = [for length in [220, 221, 222, 223, 224, 225, 114] : "spiffe://prod.acme.example/${join("", [for _ in range(length) : "a"])}"]
  }

  assert {
    condition     = length(aws_iam_role.this.assume_role_policy) == 2048
    error_message = "Found ${length(aws_iam_role.this.assume_role_policy)}."
  }
}

run "refuses_a_trust_policy_of_2049_characters" {
  command = plan

  variables {
    subjects = [for length in [220, 221, 222, 223, 224, 225, 115] : "spiffe://prod.acme.example/${join("", [for _ in range(length) : "a"])}"]
  }

  expect_failures = [aws_iam_role.this]
}
