output "relying_party" {
  description = "The relying party, to paste into cambio.toml."
  value = join("\n", concat(
    [
      "[[relying_party]]",
      "name = \"${var.relying_party}\"",
      "kind = \"azure_entra\"",
      "tenant = \"${var.tenant}\"",
      "client_id = \"${var.client_id}\"",
      "audience = \"${local.audience}\"",
    ],
    local.shaped_path == null ? [] : ["subject = \"${local.shaped_path}\""],
    [""],
  ))
}

output "audience" {
  description = "The SVID's only audience."
  value       = local.audience
}

output "subjects" {
  description = "The SPIFFE IDs that are trusted."
  value       = var.subjects
}

output "credential_names" {
  description = "The credentials' names by subject."
  value       = tomap({ for subject, credential in local.credentials : subject => credential.name })
}
