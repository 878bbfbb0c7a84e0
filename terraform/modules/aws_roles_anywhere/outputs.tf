output "subjects" {
  description = "The SPIFFE IDs that are trusted."
  value       = var.subjects
}

output "role_arn" {
  description = "ARN of the role."
  value       = local.role_arn
}

output "session_seconds" {
  description = "The longest session."
  value       = var.session_seconds
}

output "relying_party_name" {
  description = "The relying party's name in cambio.toml."
  value       = var.relying_party
}
