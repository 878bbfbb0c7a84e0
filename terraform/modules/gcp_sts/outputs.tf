output "relying_party" {
  description = "The relying party, to paste into cambio.toml."
  value = join("\n", concat(
    [
      "[[relying_party]]",
      "name = \"${var.relying_party}\"",
      "kind = \"gcp_sts\"",
      "provider = \"${local.audience}\"",
      "service_account = \"${var.service_account}\"",
    ],
    local.by_certificate ? ["x509 = true"] : [],
    local.shaped_path == null ? [] : ["subject = \"${local.shaped_path}\""],
    [""],
  ))
}

output "audience" {
  description = "The SVID's only audience: the provider's resource name."
  value       = local.audience
}

output "subjects" {
  description = "The SPIFFE IDs that are trusted."
  value       = var.subjects
}

output "attribute_condition" {
  description = "The provider's condition, for review."
  value       = local.attribute_condition
}

output "principals" {
  description = "The subjects' principals, to bind roles to without impersonation."
  value       = local.principals
}
