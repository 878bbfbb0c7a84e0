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
    # AWS: SubjectFromWebIdentityToken has 6 to 255 characters.
    condition     = alltrue([for subject in var.subjects : length(subject) <= 255])
    error_message = "Found a subject of ${max(0, [for subject in var.subjects : length(subject)]...)} characters, AWS takes at most 255: give the relying party a shorter one with `subject = \"/rp/...\"`."
  }

  validation {
    condition     = length(distinct(var.subjects)) == length(var.subjects)
    error_message = "Found ${length(var.subjects)} subjects of which ${length(distinct(var.subjects))} are different, expected each once."
  }

  validation {
    condition     = length(var.subjects) <= 1 || alltrue([for subject in var.subjects : !can(regex("^spiffe://[^/]+/rp/", subject))])
    error_message = "Found a subject under `/rp/` beside others, expected it alone: one relying party of the gateway has one shaped subject."
  }
}

variable "account_id" {
  description = "The account of role and provider; applying in another one is refused."
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

variable "region" {
  description = "The region whose STS the gateway calls."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2,}(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "Found region `${var.region}`, expected one such as `eu-central-1`."
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

variable "audience" {
  description = "The SVID's only audience. Null means `<issuer>/aws/<account>`."
  type        = string
  default     = null

  validation {
    condition     = var.audience == null || can(regex("^[A-Za-z0-9][A-Za-z0-9:/._~-]*$", var.audience))
    error_message = "Found audience `${var.audience == null ? "" : var.audience}`, expected exactly one such as `https://id.acme.example/aws/123456789012`: no wildcard (`*`, `?`), no `$${`, no white space or comma, not empty."
  }

  validation {
    # IAM: a client id has 1 to 255 characters.
    condition     = length(var.audience == null ? "${var.issuer}/aws/${var.account_id}" : var.audience) <= 255
    error_message = "Found an audience of ${length(var.audience == null ? "${var.issuer}/aws/${var.account_id}" : var.audience)} characters, expected at most 255."
  }
}

variable "entry" {
  description = "Name of the workload's registration entry. With it the role takes only the source identity that the gateway derives from entry and SPIFFE ID; without it any, but never none."
  type        = string
  default     = null

  validation {
    condition     = var.entry == null || can(regex("^[a-z0-9][a-z0-9_-]{0,63}$", var.entry))
    error_message = "Found entry `${var.entry == null ? "" : var.entry}`, expected 1 to 64 characters of a-z, 0-9, `-`, `_`, the first a letter or digit."
  }

  validation {
    condition     = var.entry == null || (length(var.subjects) == 1 && !can(regex("^spiffe://[^/]+/rp/", var.subjects[0])))
    error_message = "Found an entry with ${length(var.subjects)} subjects (`${join("`, `", var.subjects)}`), expected exactly one that is the workload's own SPIFFE ID, not one under `/rp/`: the source identity is derived from it."
  }
}

variable "session_tags" {
  description = "Attributes that may become session tags: the relying party's `session_tags`. The tag `exchange_id` is always demanded."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    # STS: a tag's key has 1 to 128 characters; attributes have canonical names such as `ci.repo_id`.
    condition     = alltrue([for tag in var.session_tags : can(regex("^[a-z][a-z0-9_.]{0,127}$", tag))])
    error_message = "Found session tags `${join("`, `", var.session_tags)}`, expected names of attributes such as `ci.repo_id`: no wildcard, nothing empty."
  }

  validation {
    # STS: 50 tags a session, one of which is `exchange_id`.
    condition     = length(var.session_tags) <= 49
    error_message = "Found ${length(var.session_tags)} session tags, expected at most 49: the fiftieth is `exchange_id`."
  }

  validation {
    condition     = length(distinct(concat(var.session_tags, ["exchange_id"]))) == length(var.session_tags) + 1
    error_message = "Found session tags `${join("`, `", var.session_tags)}`, expected each once and never `exchange_id`, which is always there."
  }
}

variable "max_session_seconds" {
  description = "The role's longest session."
  type        = number
  default     = 3600
  nullable    = false

  validation {
    # IAM: MaxSessionDuration is 3600 to 43200.
    condition     = var.max_session_seconds >= 3600 && var.max_session_seconds <= 43200 && floor(var.max_session_seconds) == var.max_session_seconds
    error_message = "Found ${var.max_session_seconds} seconds, expected a whole number from 3600 to 43200."
  }
}

variable "existing_provider_arn" {
  description = "ARN of an OIDC provider for the same issuer in the same account, which has the audience already. Null creates one; an account can hold only one an issuer."
  type        = string
  default     = null

  validation {
    condition     = var.existing_provider_arn == null || var.existing_provider_arn == "arn:${var.partition}:iam::${var.account_id}:oidc-provider/${trimprefix(var.issuer, "https://")}"
    error_message = "Found provider `${var.existing_provider_arn == null ? "" : var.existing_provider_arn}`, expected `arn:${var.partition}:iam::${var.account_id}:oidc-provider/${trimprefix(var.issuer, "https://")}`: same account, same issuer, no slash at the end."
  }
}

variable "relying_party" {
  description = "Name of the relying party in cambio.toml."
  type        = string
  default     = "aws"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{0,63}$", var.relying_party))
    error_message = "Found relying party `${var.relying_party}`, expected 1 to 64 characters of a-z, 0-9, `-`, `_`, the first a letter or digit."
  }
}
