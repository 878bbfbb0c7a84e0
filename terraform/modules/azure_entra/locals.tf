locals {
  audience = var.audience == null ? "${var.issuer}/azure/${var.client_id}" : var.audience

  # Names cannot be changed, so that each follows from what it trusts and another subject gets another credential.
  credentials = {
    for subject in var.subjects : subject => {
      name    = "${var.credential_name}-${substr(sha256("${var.issuer} ${subject}"), 0, 12)}"
      subject = subject
    }
  }

  # A shaped subject is written into the relying party by its path, because the gateway adds its own trust domain.
  shaped_path = length(var.subjects) == 1 ? try(regex("^spiffe://[^/]+(/rp/.+)$", var.subjects[0])[0], null) : null
}
