locals {
  # Condition keys and ARN begin with the issuer without its scheme.
  issuer_host  = trimprefix(var.issuer, "https://")
  audience     = var.audience == null ? "${var.issuer}/aws/${var.account_id}" : var.audience
  provider_arn = "arn:${var.partition}:iam::${var.account_id}:oidc-provider/${local.issuer_host}"
  role_arn     = "arn:${var.partition}:iam::${var.account_id}:role/${var.role_name}"

  # A shaped subject is written into the relying party by its path, because the gateway adds its own trust domain.
  shaped_path = length(var.subjects) == 1 ? try(regex("^spiffe://[^/]+(/rp/.+)$", var.subjects[0])[0], null) : null

  # As the gateway names it: the entry's name, cut, then 8 hex digits of the SPIFFE ID's SHA-256; 64 characters in all.
  source_identity = var.entry == null ? null : "${substr(var.entry, 0, 55)}.${substr(sha256(var.subjects[0]), 0, 8)}"

  # The two conditions that stand in every statement.
  token_equals = {
    "${local.issuer_host}:aud" = local.audience
    "${local.issuer_host}:sub" = var.subjects
  }
  source_identity_equals = local.source_identity == null ? {} : { "sts:SourceIdentity" = local.source_identity }

  # One statement an action: a condition key is asked only where the action is documented to bring it.
  trust_policy = {
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Assume"
        Effect    = "Allow"
        Principal = { Federated = local.provider_arn }
        Action    = "sts:AssumeRoleWithWebIdentity"
        Condition = {
          StringEquals = merge(local.token_equals, local.source_identity_equals)
          Null         = { "aws:RequestTag/exchange_id" = "false", "sts:SourceIdentity" = "false" }
        }
      },
      {
        Sid       = "Tag"
        Effect    = "Allow"
        Principal = { Federated = local.provider_arn }
        Action    = "sts:TagSession"
        Condition = {
          StringEquals = local.token_equals
          # Holds for a session without tags too; the next line does not.
          "ForAllValues:StringEquals" = { "aws:TagKeys" = sort(concat(["exchange_id"], var.session_tags)) }
          Null                        = { "aws:RequestTag/exchange_id" = "false" }
        }
      },
      {
        Sid       = "Identify"
        Effect    = "Allow"
        Principal = { Federated = local.provider_arn }
        Action    = "sts:SetSourceIdentity"
        Condition = {
          StringEquals = merge(local.token_equals, local.source_identity_equals)
          Null         = { "sts:SourceIdentity" = "false" }
        }
      },
    ]
  }
}
