variable "bundle" {
  description = "The trust domain's X.509 roots in PEM, one or two: what `x509-svid` keys of the published bundle hold. Not the intermediates."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^(-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=]+\n)+-----END CERTIFICATE-----\n?){1,2}$", var.bundle))
    error_message = "Found a bundle of ${length(regexall("-----BEGIN ", var.bundle))} PEM blocks, expected one or two certificates and nothing else: no text before or between, no key, no empty bundle."
  }

  validation {
    # Roles Anywhere: x509CertificateData has 1 to 204800 characters.
    condition     = length(var.bundle) <= 204800
    error_message = "Found a bundle of ${length(var.bundle)} characters, expected at most 204800."
  }
}

variable "subjects" {
  description = "The SPIFFE IDs that are trusted, each exactly. One under `/rp/` (a shaped subject) must be the only one, and is recommended: a certificate has no audience."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subjects) > 0
    error_message = "Found no subject, expected at least one: without a subject every certificate of the trust anchor would be trusted."
  }

  validation {
    condition     = alltrue([for subject in var.subjects : can(regex("^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+$", subject))])
    error_message = "Found subject `${join("`, `", [for subject in var.subjects : subject if !can(regex("^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+$", subject))])}`, expected a whole SPIFFE ID such as `spiffe://prod.acme.example/rp/aws/shop-deploy`: no wildcard (`*`, `?`), no `$${`, no empty segment, no slash at the end, never the trust domain alone."
  }

  validation {
    condition     = alltrue([for subject in var.subjects : length(regexall("/\\.{1,2}(/|$)", subject)) == 0])
    error_message = "Found subject `${join("`, `", [for subject in var.subjects : subject if length(regexall("/\\.{1,2}(/|$)", subject)) > 0])}`, expected no segment `.` or `..`."
  }

  validation {
    # STS: a tag's value has at most 256 characters; a longer one is left out without a word.
    condition     = alltrue([for subject in var.subjects : length(subject) <= 256])
    error_message = "Found a subject of ${max(0, [for subject in var.subjects : length(subject)]...)} characters, the tag that holds it takes at most 256: give the relying party a shorter one with `subject = \"/rp/...\"`."
  }

  validation {
    condition     = length(distinct(var.subjects)) == length(var.subjects)
    error_message = "Found ${length(var.subjects)} subjects of which ${length(distinct(var.subjects))} are different, expected each once."
  }

  validation {
    condition     = length(var.subjects) <= 1 || alltrue([for subject in var.subjects : !can(regex("^spiffe://[^/]+/rp/", subject))])
    error_message = "Found a subject under `/rp/` beside others, expected it alone: one relying party of the gateway has one shaped subject."
  }

  validation {
    condition     = length(distinct([for subject in var.subjects : try(regex("^spiffe://([^/]*)", subject)[0], "")])) <= 1
    error_message = "Found subjects of ${length(distinct([for subject in var.subjects : try(regex("^spiffe://([^/]*)", subject)[0], "")]))} trust domains, expected one: the trust anchor is one trust domain's."
  }
}

variable "account_id" {
  description = "The account of trust anchor, profile and role; applying in another one is refused."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "Found account `${var.account_id}`, expected 12 digits."
  }
}

variable "partition" {
  description = "The partition of the account."
  type        = string
  default     = "aws"
  nullable    = false

  validation {
    condition     = contains(["aws", "aws-cn", "aws-us-gov"], var.partition)
    error_message = "Found partition `${var.partition}`, expected `aws`, `aws-cn` or `aws-us-gov`."
  }
}

variable "name" {
  description = "Name of trust anchor and profile."
  type        = string
  default     = "cambio"
  nullable    = false

  validation {
    # Roles Anywhere: 1 to 255 characters of [ a-zA-Z0-9-_].
    condition     = can(regex("^[ A-Za-z0-9_-]{1,255}$", var.name))
    error_message = "Found name `${var.name}`, expected 1 to 255 characters of A-Z, a-z, 0-9, space, `-`, `_`."
  }
}

variable "role_name" {
  description = "Name of the role."
  type        = string
  nullable    = false

  validation {
    # IAM: a role's name has 1 to 64 characters of [\w+=,.@-].
    condition     = can(regex("^[A-Za-z0-9_+=,.@-]{1,64}$", var.role_name))
    error_message = "Found role name `${var.role_name}`, expected 1 to 64 characters of A-Z, a-z, 0-9, `_+=,.@-`, without a path."
  }
}

variable "source_identity" {
  description = "The source identity that the role takes, for example `CN=shop-deploy.d2a3512a`: the certificate's common name. Null takes any, but never none."
  type        = string
  default     = null

  validation {
    condition     = var.source_identity == null || can(regex("^[A-Za-z0-9_.:/=+@ -]{2,64}$", var.source_identity))
    error_message = "Found source identity `${var.source_identity == null ? "" : var.source_identity}`, expected 2 to 64 characters such as `CN=shop-deploy.d2a3512a`: no wildcard (`*`, `?`), no `$${`, not empty."
  }
}

variable "session_seconds" {
  description = "The longest session, of the profile."
  type        = number
  default     = 3600
  nullable    = false

  validation {
    # Roles Anywhere: durationSeconds is 900 to 43200.
    condition     = var.session_seconds >= 900 && var.session_seconds <= 43200 && floor(var.session_seconds) == var.session_seconds
    error_message = "Found ${var.session_seconds} seconds, expected a whole number from 900 to 43200."
  }
}

variable "existing_trust_anchor_arn" {
  description = "ARN of a trust anchor for the same trust domain in the same account, whose bundle is managed elsewhere. Null creates one."
  type        = string
  default     = null

  validation {
    condition     = var.existing_trust_anchor_arn == null || can(regex("^arn:${var.partition}:rolesanywhere:[a-z0-9-]+:${var.account_id}:trust-anchor/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.existing_trust_anchor_arn))
    error_message = "Found trust anchor `${var.existing_trust_anchor_arn == null ? "" : var.existing_trust_anchor_arn}`, expected `arn:${var.partition}:rolesanywhere:<region>:${var.account_id}:trust-anchor/<uuid>`: same account, no alias, no wildcard."
  }
}

variable "relying_party" {
  description = "Name of the relying party in cambio.toml."
  type        = string
  default     = "aws-x509"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{0,63}$", var.relying_party))
    error_message = "Found relying party `${var.relying_party}`, expected 1 to 64 characters of a-z, 0-9, `-`, `_`, the first a letter or digit."
  }
}
