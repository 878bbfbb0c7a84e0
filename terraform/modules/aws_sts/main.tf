# Everything that speaks to AWS stands here, so that the inputs can be tested without the provider.

data "aws_caller_identity" "current" {
  lifecycle {
    postcondition {
      condition     = self.account_id == var.account_id
      error_message = "Found credentials of account `${self.account_id}`, expected `${var.account_id}`: provider and role must be in the account that the audience names."
    }
  }
}

data "aws_iam_openid_connect_provider" "existing" {
  count = var.existing_provider_arn == null ? 0 : 1
  arn   = var.existing_provider_arn

  lifecycle {
    postcondition {
      condition     = contains(self.client_id_list, local.audience)
      error_message = "Found client ids `${join("`, `", self.client_id_list)}` at the existing provider, expected `${local.audience}` among them: add it where that provider is managed."
    }
  }
}

resource "aws_iam_openid_connect_provider" "this" {
  count          = var.existing_provider_arn == null ? 1 : 0
  url            = var.issuer
  client_id_list = [local.audience]
}

resource "aws_iam_role" "this" {
  name                 = var.role_name
  description          = "Held by workloads that the Cambio issuer ${local.issuer_host} names."
  assume_role_policy   = jsonencode(local.trust_policy)
  max_session_duration = var.max_session_seconds

  depends_on = [
    data.aws_caller_identity.current,
    data.aws_iam_openid_connect_provider.existing,
    aws_iam_openid_connect_provider.this,
  ]

  lifecycle {
    precondition {
      # IAM: a trust policy has at most 2048 characters unless the account's quota was raised.
      condition     = length(jsonencode(local.trust_policy)) <= 2048
      error_message = "Found a trust policy of ${length(jsonencode(local.trust_policy))} characters, expected at most 2048: use fewer subjects a role, one shaped subject, or fewer session tags."
    }
  }
}

output "role_name" {
  description = "Name of the role, to attach permissions to."
  value       = aws_iam_role.this.name
}
