variable "issuer" {
  description = "The gateway's `issuer`, to the letter as in cambio.toml; without it, `bundle`."
  type        = string
  default     = null

  validation {
    condition     = var.issuer == null || can(regex("^https://([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]([a-z0-9-]*[a-z0-9])?(/[A-Za-z0-9_~.-]+)*$", var.issuer)) && length(regexall("/\\.{1,2}(/|$)", coalesce(var.issuer, "-"))) == 0
    error_message = "Found issuer `${coalesce(var.issuer, "-")}`, expected `https://host[/path]`: https, a lower-case host name, no port, user, query, fragment, wildcard, empty or relative path segment, and no slash at the end."
  }

  validation {
    # IAM takes 255 characters of provider URL, and so does the gateway of its issuer.
    condition     = length(coalesce(var.issuer, "-")) <= 255
    error_message = "Found an issuer of ${length(coalesce(var.issuer, "-"))} characters, expected at most 255."
  }

  validation {
    condition     = (var.issuer == null) != (var.bundle == null)
    error_message = "Found ${var.issuer == null ? "neither" : "both"} of `issuer` and `bundle`, expected one: tokens or certificates."
  }
}

variable "bundle" {
  description = "The trust domain's X.509 roots in PEM, one or two, for a relying party with `x509 = true`: what `cambio bundle export --form pem` prints. Not the intermediates."
  type        = string
  default     = null

  validation {
    condition     = var.bundle == null || can(regex("^(-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=]+\n)+-----END CERTIFICATE-----\n?){1,2}$", var.bundle))
    error_message = "Found a bundle of ${length(regexall("-----BEGIN ", coalesce(var.bundle, "-")))} PEM blocks, expected one or two certificates and nothing else: no text before or between, no key, no empty bundle."
  }

  validation {
    # A certificate has no audience: what a workload holds for mutual TLS would open the provider too.
    condition     = var.bundle == null || alltrue([for subject in var.subjects : can(regex("^spiffe://[^/]+/rp/", subject))])
    error_message = "Found a bundle with subjects `${join("`, `", var.subjects)}`, expected one shaped subject (`subject = \"/rp/...\"`): a certificate has no audience, so that any other of its subject would open the provider."
  }
}

variable "subjects" {
  description = "The SPIFFE IDs that are trusted, each exactly. One under `/rp/` (a shaped subject) must be the only one."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subjects) > 0
    error_message = "Found no subject, expected at least one: without a subject every workload of the gateway would be trusted."
  }

  validation {
    condition     = alltrue([for subject in var.subjects : can(regex("^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+$", subject))])
    error_message = "Found subject `${join("`, `", [for subject in var.subjects : subject if !can(regex("^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+$", subject))])}`, expected a whole SPIFFE ID such as `spiffe://prod.acme.example/ci/acme/shop/deploy`: no wildcard (`*`, `?`), no `$${`, no empty segment, no slash at the end, never the trust domain alone."
  }

  validation {
    condition     = alltrue([for subject in var.subjects : length(regexall("/\\.{1,2}(/|$)", subject)) == 0])
    error_message = "Found subject `${join("`, `", [for subject in var.subjects : subject if length(regexall("/\\.{1,2}(/|$)", subject)) > 0])}`, expected no segment `.` or `..`."
  }

  validation {
    # Google: google.subject has at most 127 bytes; the pattern above admits ASCII only.
    condition     = alltrue([for subject in var.subjects : length(subject) <= 127])
    error_message = "Found a subject of ${max(0, [for subject in var.subjects : length(subject)]...)} bytes, Google takes at most 127: give the relying party a shorter one with `subject = \"/rp/...\"`."
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
    # Google: an attribute condition has at most 4096 characters.
    condition     = length(join(", ", [for subject in var.subjects : "'${subject}'"])) + length("assertion.sub in []") <= 4096
    error_message = "Found ${length(var.subjects)} subjects, whose attribute condition has ${length(join(", ", [for subject in var.subjects : "'${subject}'"])) + length("assertion.sub in []")} characters, expected at most 4096."
  }
}

variable "project_id" {
  description = "The project that holds pool and provider, by id."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "Found project id `${var.project_id}`, expected 6 to 30 characters of a-z, 0-9, `-`, the first a letter, the last no `-`."
  }
}

variable "project_number" {
  description = "The same project by number: resource names in audiences and principals have no other form."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[1-9][0-9]{0,18}$", var.project_number))
    error_message = "Found project number `${var.project_number}`, expected digits, not the project's id."
  }
}

variable "pool_id" {
  description = "Id of the workload identity pool that is created."
  type        = string
  nullable    = false

  validation {
    # Google: 4 to 32 characters of [a-z0-9-]; the prefix `gcp-` is reserved.
    condition     = can(regex("^[a-z0-9-]{4,32}$", var.pool_id)) && !startswith(var.pool_id, "gcp-")
    error_message = "Found pool `${var.pool_id}`, expected 4 to 32 characters of a-z, 0-9, `-` that do not begin with `gcp-`."
  }
}

variable "provider_id" {
  description = "Id of the provider that is created in the pool."
  type        = string
  default     = "cambio"
  nullable    = false

  validation {
    # Google: 4 to 32 characters of [a-z0-9-]; the prefix `gcp-` is reserved.
    condition     = can(regex("^[a-z0-9-]{4,32}$", var.provider_id)) && !startswith(var.provider_id, "gcp-")
    error_message = "Found provider `${var.provider_id}`, expected 4 to 32 characters of a-z, 0-9, `-` that do not begin with `gcp-`."
  }
}

variable "service_account" {
  description = "Address of the service account that the subjects may impersonate."
  type        = string
  nullable    = false

  validation {
    # The default accounts of Compute Engine and App Engine may do nearly everything in their project; they have other domains.
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z][a-z0-9-]{4,28}[a-z0-9]\\.iam\\.gserviceaccount\\.com$", var.service_account))
    error_message = "Found service account `${var.service_account}`, expected `<name>@<project>.iam.gserviceaccount.com`: an account made for this, no default account, no wildcard."
  }
}

variable "relying_party" {
  description = "Name of the relying party in cambio.toml."
  type        = string
  default     = "gcp"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{0,63}$", var.relying_party))
    error_message = "Found relying party `${var.relying_party}`, expected 1 to 64 characters of a-z, 0-9, `-`, `_`, the first a letter or digit."
  }
}
