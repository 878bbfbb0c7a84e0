output "relying_party" {
  description = "The relying party, to paste into cambio.toml."
  value = join("\n", concat(
    [
      "[[relying_party]]",
      "name = \"${var.relying_party}\"",
      "kind = \"aws_sts\"",
      "role_arn = \"${local.role_arn}\"",
      "region = \"${var.region}\"",
      "audience = \"${local.audience}\"",
    ],
    local.shaped_path == null ? [] : ["subject = \"${local.shaped_path}\""],
    length(var.session_tags) == 0 ? [] : ["session_tags = ${jsonencode(var.session_tags)}"],
    ["max_session_seconds = ${var.max_session_seconds}", ""],
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

output "role_arn" {
  description = "ARN of the role."
  value       = local.role_arn
}

output "trust_policy" {
  description = "The role's trust policy, for review."
  value       = jsonencode(local.trust_policy)
}
