# Everything that speaks to AWS stands here, so that the inputs can be tested without the provider.

data "aws_caller_identity" "current" {
  lifecycle {
    postcondition {
      condition     = self.account_id == var.account_id
      error_message = "Found credentials of account `${self.account_id}`, expected `${var.account_id}`: trust anchor, profile and role must be in one account."
    }
  }
}

resource "aws_rolesanywhere_trust_anchor" "this" {
  count   = var.existing_trust_anchor_arn == null ? 1 : 0
  name    = var.name
  enabled = true

  source {
    source_type = "CERTIFICATE_BUNDLE"
    source_data {
      x509_certificate_data = local.bundle
    }
  }

  depends_on = [data.aws_caller_identity.current]
}

locals {
  trust_anchor_arn = var.existing_trust_anchor_arn == null ? aws_rolesanywhere_trust_anchor.this[0].arn : var.existing_trust_anchor_arn

  trust_policy = {
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Cambio"
      Effect    = "Allow"
      Principal = { Service = "rolesanywhere.amazonaws.com" }
      # Roles Anywhere needs all three, whatever the certificate holds.
      Action = ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"]
      Condition = {
        ArnEquals    = { "aws:SourceArn" = local.trust_anchor_arn }
        StringEquals = merge(local.subject_equals, local.owner_equals)
      }
    }]
  }
}

resource "aws_iam_role" "this" {
  name                 = var.role_name
  description          = "Held by workloads that a Cambio certificate names."
  assume_role_policy   = jsonencode(local.trust_policy)
  max_session_duration = local.role_seconds

  depends_on = [data.aws_caller_identity.current]

  lifecycle {
    precondition {
      # IAM: a trust policy has at most 2048 characters unless the account's quota was raised.
      condition     = length(jsonencode(local.trust_policy)) <= 2048
      error_message = "Found a trust policy of ${length(jsonencode(local.trust_policy))} characters, expected at most 2048: use fewer subjects a role, or one shaped subject."
    }
  }
}

resource "aws_rolesanywhere_profile" "this" {
  name             = var.name
  enabled          = true
  role_arns        = [aws_iam_role.this.arn]
  duration_seconds = var.session_seconds
}

output "relying_party" {
  description = "The relying party, to paste into cambio.toml."
  value = join("\n", concat(
    [
      "[[relying_party]]",
      "name = \"${var.relying_party}\"",
      "kind = \"aws_roles_anywhere\"",
      "trust_anchor_arn = \"${local.trust_anchor_arn}\"",
      "profile_arn = \"${aws_rolesanywhere_profile.this.arn}\"",
    ],
    local.relying_party_tail,
  ))
}

output "role_name" {
  description = "Name of the role, to attach permissions to."
  value       = aws_iam_role.this.name
}

output "trust_anchor_arn" {
  description = "ARN of the trust anchor, for further roles of the same trust domain."
  value       = local.trust_anchor_arn
}

output "profile_arn" {
  description = "ARN of the profile."
  value       = aws_rolesanywhere_profile.this.arn
}

output "trust_policy" {
  description = "The role's trust policy, for review."
  value       = jsonencode(local.trust_policy)
}
