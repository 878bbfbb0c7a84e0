locals {
  role_arn = "arn:${var.partition}:iam::${var.account_id}:role/${var.role_name}"

  # One line break at the end, so that a bundle with or without one is the same bundle.
  bundle = "${trimspace(var.bundle)}\n"

  # A shaped subject is written into the relying party by its path, because the gateway adds its own trust domain.
  shaped_path = length(var.subjects) == 1 ? try(regex("^spiffe://[^/]+(/rp/.+)$", var.subjects[0])[0], null) : null

  # IAM allows a role 3600 to 43200; the profile's own limit may be shorter.
  role_seconds = max(3600, var.session_seconds)

  subject_equals = { "aws:PrincipalTag/x509SAN/URI" = var.subjects }
  owner_equals   = var.source_identity == null ? {} : { "sts:SourceIdentity" = var.source_identity }

  # What does not depend on an ARN that is made at apply.
  relying_party_tail = concat(
    ["role_arn = \"${local.role_arn}\""],
    local.shaped_path == null ? [] : ["subject = \"${local.shaped_path}\""],
    ["max_session_seconds = ${var.session_seconds}", ""],
  )
}
