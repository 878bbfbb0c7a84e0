# What is planned, by the provider's own schema.
mock_provider "aws" {
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_iam_openid_connect_provider" {
    defaults = { client_id_list = ["https://id.acme.example/aws/123456789012"] }
  }
}

variables {
  issuer     = "https://id.acme.example"
  subjects   = ["spiffe://prod.acme.example/ci/acme/shop/deploy"]
  account_id = "123456789012"
  region     = "eu-central-1"
  role_name  = "deploy"
}

run "t_63_every_statement_demands_audience_and_subject_by_string_equals" {
  command = plan

  assert {
    condition     = length(jsondecode(aws_iam_role.this.assume_role_policy).Statement) == 3
    error_message = "Found ${aws_iam_role.this.assume_role_policy}, expected three statements."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role.this.assume_role_policy).Statement :
      statement.Condition.StringEquals["id.acme.example:aud"] == "https://id.acme.example/aws/123456789012"
    ])
    error_message = "Found ${aws_iam_role.this.assume_role_policy}, expected the one audience in each statement."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role.this.assume_role_policy).Statement :
      statement.Condition.StringEquals["id.acme.example:sub"] == ["spiffe://prod.acme.example/ci/acme/shop/deploy"]
    ])
    error_message = "Found ${aws_iam_role.this.assume_role_policy}, expected the one subject in each statement."
  }

  assert {
    condition     = length(regexall("StringLike|IfExists|\\*|\\?", aws_iam_role.this.assume_role_policy)) == 0
    error_message = "Found ${aws_iam_role.this.assume_role_policy}, expected no operator or value that matches more than one string."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role.this.assume_role_policy).Statement :
      statement.Principal == { Federated = "arn:aws:iam::123456789012:oidc-provider/id.acme.example" } && statement.Effect == "Allow"
    ])
    error_message = "Found ${aws_iam_role.this.assume_role_policy}, expected only the issuer's provider as principal."
  }
}

run "the_whole_trust_policy_is_the_reviewed_one" {
  command = plan

  variables {
    entry        = "shop-deploy"
    session_tags = ["ci.repo_id"]
  }

  # The digest is that of the SPIFFE ID, by another program.
  assert {
    condition = jsondecode(aws_iam_role.this.assume_role_policy) == jsondecode(<<-EOT
      {
        "Version": "2012-10-17",
        "Statement": [
          {
            "Sid": "Assume", "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
            "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/id.acme.example"},
            "Condition": {
              "StringEquals": {
                "id.acme.example:aud": "https://id.acme.example/aws/123456789012",
                "id.acme.example:sub": ["spiffe://prod.acme.example/ci/acme/shop/deploy"],
                "sts:SourceIdentity": "shop-deploy.d2a3512a"
              },
              "Null": {"aws:RequestTag/exchange_id": "false", "sts:SourceIdentity": "false"}
            }
          },
          {
            "Sid": "Tag", "Effect": "Allow", "Action": "sts:TagSession",
            "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/id.acme.example"},
            "Condition": {
              "StringEquals": {
                "id.acme.example:aud": "https://id.acme.example/aws/123456789012",
                "id.acme.example:sub": ["spiffe://prod.acme.example/ci/acme/shop/deploy"]
              },
              "ForAllValues:StringEquals": {"aws:TagKeys": ["ci.repo_id", "exchange_id"]},
              "Null": {"aws:RequestTag/exchange_id": "false"}
            }
          },
          {
            "Sid": "Identify", "Effect": "Allow", "Action": "sts:SetSourceIdentity",
            "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/id.acme.example"},
            "Condition": {
              "StringEquals": {
                "id.acme.example:aud": "https://id.acme.example/aws/123456789012",
                "id.acme.example:sub": ["spiffe://prod.acme.example/ci/acme/shop/deploy"],
                "sts:SourceIdentity": "shop-deploy.d2a3512a"
              },
              "Null": {"sts:SourceIdentity": "false"}
            }
          }
        ]
      }
    EOT
    )
    error_message = "Found ${aws_iam_role.this.assume_role_policy}."
  }
}

run "cuts_a_long_entry_as_the_gateway_does" {
  command = plan

  variables {
    entry = "${join("", [for _ in range(63) : "a"])}b"
  }

  # 55 characters of the entry, a point, 8 hex digits: 64 together.
  assert {
    condition     = jsondecode(output.trust_policy).Statement[2].Condition.StringEquals["sts:SourceIdentity"] == "${join("", [for _ in range(55) : "a"])}.d2a3512a"
    error_message = "Found ${output.trust_policy}."
  }
}

run "creates_a_provider_with_one_client_id_and_a_role_without_permissions" {
  command = plan

  assert {
    condition     = length(aws_iam_openid_connect_provider.this) == 1 && aws_iam_openid_connect_provider.this[0].url == "https://id.acme.example" && aws_iam_openid_connect_provider.this[0].client_id_list == toset(["https://id.acme.example/aws/123456789012"])
    error_message = "Found ${jsonencode(aws_iam_openid_connect_provider.this)}."
  }

  assert {
    condition     = aws_iam_role.this.name == "deploy" && aws_iam_role.this.max_session_duration == 3600 && length(aws_iam_role.this.inline_policy) == 0
    error_message = "Found ${jsonencode(aws_iam_role.this)}."
  }

  assert {
    condition     = output.role_name == "deploy" && output.role_arn == "arn:aws:iam::123456789012:role/deploy" && output.audience == "https://id.acme.example/aws/123456789012" && output.subjects == tolist(["spiffe://prod.acme.example/ci/acme/shop/deploy"])
    error_message = "Found ${output.role_arn}."
  }
}

run "writes_the_relying_party_as_the_gateway_reads_it" {
  command = plan

  variables {
    session_tags        = ["ci.repo_id", "ci.sha"]
    max_session_seconds = 7200
  }

  assert {
    condition     = output.relying_party == <<-EOT
      [[relying_party]]
      name = "aws"
      kind = "aws_sts"
      role_arn = "arn:aws:iam::123456789012:role/deploy"
      region = "eu-central-1"
      audience = "https://id.acme.example/aws/123456789012"
      session_tags = ["ci.repo_id","ci.sha"]
      max_session_seconds = 7200
    EOT
    error_message = "Found ${output.relying_party}."
  }

  assert {
    condition     = aws_iam_role.this.max_session_duration == 7200
    error_message = "Found ${aws_iam_role.this.max_session_duration}."
  }
}

run "writes_a_shaped_subject_by_its_path" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/rp/aws/shop"]
  }

  assert {
    condition     = strcontains(output.relying_party, "subject = \"/rp/aws/shop\"\n")
    error_message = "Found ${output.relying_party}."
  }
}

run "an_issuer_with_a_path_keeps_it_in_arn_and_keys" {
  command = plan

  variables {
    issuer    = "https://id.acme.example/cambio"
    partition = "aws-us-gov"
  }

  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Principal.Federated == "arn:aws-us-gov:iam::123456789012:oidc-provider/id.acme.example/cambio" && can(jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition.StringEquals["id.acme.example/cambio:sub"])
    error_message = "Found ${aws_iam_role.this.assume_role_policy}."
  }
}

run "reuses_a_provider" {
  command = plan

  variables {
    existing_provider_arn = "arn:aws:iam::123456789012:oidc-provider/id.acme.example"
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.this) == 0 && data.aws_iam_openid_connect_provider.existing[0].arn == var.existing_provider_arn
    error_message = "Found ${jsonencode(aws_iam_openid_connect_provider.this)}."
  }
}

run "refuses_to_reuse_a_provider_that_lacks_the_audience" {
  command = plan

  override_data {
    target          = data.aws_iam_openid_connect_provider.existing
    override_during = plan
    values          = { client_id_list = ["https://id.acme.example/aws/1234567890123"] }
  }

  variables {
    existing_provider_arn = "arn:aws:iam::123456789012:oidc-provider/id.acme.example"
  }

  expect_failures = [data.aws_iam_openid_connect_provider.existing]
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
    subjects = [for length in [132, 134] : "spiffe://prod.acme.example/${join("", [for _ in range(length) : "a"])}"]
  }

  assert {
    condition     = length(aws_iam_role.this.assume_role_policy) == 2048
    error_message = "Found ${length(aws_iam_role.this.assume_role_policy)}."
  }
}

run "refuses_a_trust_policy_of_2049_characters" {
  command = plan

  variables {
    # One character less in each statement, four more in one.
    subjects     = [for length in [132, 133] : "spiffe://prod.acme.example/${join("", [for _ in range(length) : "a"])}"]
    session_tags = ["a"]
  }

  expect_failures = [aws_iam_role.this]
}

# The issuer itself is admitted; the key of each condition repeats it.
run "an_issuer_of_255_characters_makes_too_long_a_policy" {
  command = plan

  variables {
    issuer   = "https://id.acme.example/${join("", [for _ in range(231) : "a"])}"
    audience = "https://id.acme.example/aws"
  }

  expect_failures = [aws_iam_role.this]
}
