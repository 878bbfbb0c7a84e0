variable "issuer" {
  description = "The gateway's `issuer`, to the letter as in cambio.toml."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^https://([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]([a-z0-9-]*[a-z0-9])?(/[A-Za-z0-9_~.-]+)*$", var.issuer)) && length(regexall("/\\.{1,2}(/|$)", var.issuer)) == 0
    error_message = "Found issuer `${var.issuer}`, expected `https://host[/path]`: https, a lower-case host name, no port, user, query, fragment, wildcard, empty or relative path segment, and no slash at the end."
  }

  validation {
    # IAM takes 255 characters of provider URL, and so does the gateway of its issuer.
    condition     = length(var.issuer) <= 255
    error_message = "Found an issuer of ${length(var.issuer)} characters, expected at most 255."
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
    # Entra: a subject has at most 600 characters.
    condition     = alltrue([for subject in var.subjects : length(subject) <= 600])
    error_message = "Found a subject of ${max(0, [for subject in var.subjects : length(subject)]...)} characters, Entra takes at most 600: give the relying party a shorter one with `subject = \"/rp/...\"`."
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
    # Entra: an application has at most 20 federated credentials.
    condition     = length(var.subjects) <= 20
    error_message = "Found ${length(var.subjects)} subjects, expected at most 20 an application: give many workloads one subject with `subject = \"/rp/...\"`, or use several applications."
  }
}

variable "tenant" {
  description = "The tenant's GUID."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.tenant))
    error_message = "Found tenant `${var.tenant}`, expected one tenant's GUID in lower case; never `common`, `organizations` or `consumers`."
  }
}

variable "client_id" {
  description = "The application's client id."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.client_id))
    error_message = "Found client id `${var.client_id}`, expected a GUID in lower case."
  }
}

variable "application_object_id" {
  description = "The same application's object id, which is not the client id."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.application_object_id))
    error_message = "Found object id `${var.application_object_id}`, expected a GUID in lower case, without `/applications/`."
  }

  validation {
    condition     = var.application_object_id != var.client_id
    error_message = "Found the object id `${var.application_object_id}` equal to the client id, expected the application's object id: the two are never the same."
  }
}

variable "audience" {
  description = "The SVID's only audience. Null means `<issuer>/azure/<client id>`."
  type        = string
  default     = null

  validation {
    condition     = var.audience == null || can(regex("^[A-Za-z0-9][A-Za-z0-9:/._~-]*$", var.audience))
    error_message = "Found audience `${var.audience == null ? "" : var.audience}`, expected exactly one such as `https://id.acme.example/azure/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee`: no wildcard (`*`, `?`), no `$${`, no white space or comma, not empty."
  }

  validation {
    # Entra: an audience has at most 600 characters.
    condition     = length(var.audience == null ? "-" : var.audience) <= 600
    error_message = "Found an audience of ${length(var.audience == null ? "-" : var.audience)} characters, expected at most 600."
  }
}

variable "credential_name" {
  description = "Beginning of each credential's name; a digest of issuer and subject follows, because names cannot be changed later."
  type        = string
  default     = "cambio"
  nullable    = false

  validation {
    # Entra: a name has 3 to 120 characters of [A-Za-z0-9][A-Za-z0-9_-]*; 13 of them are `-` and 12 hex digits of the digest.
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{2,106}$", var.credential_name))
    error_message = "Found credential name `${var.credential_name}` of ${length(var.credential_name)} characters, expected 3 to 107 of A-Z, a-z, 0-9, `-`, `_`, the first a letter or digit."
  }
}

variable "relying_party" {
  description = "Name of the relying party in cambio.toml."
  type        = string
  default     = "azure"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{0,63}$", var.relying_party))
    error_message = "Found relying party `${var.relying_party}`, expected 1 to 64 characters of a-z, 0-9, `-`, `_`, the first a letter or digit."
  }
}
