# Everything that speaks to Google stands here, so that the inputs can be tested without the provider.

resource "google_iam_workload_identity_pool" "this" {
  project                   = var.project_id
  workload_identity_pool_id = var.pool_id
  description               = "Workloads that a Cambio issuer names."
}

resource "google_iam_workload_identity_pool_provider" "this" {
  project                            = var.project_id
  workload_identity_pool_id          = google_iam_workload_identity_pool.this.workload_identity_pool_id
  workload_identity_pool_provider_id = var.provider_id
  description                        = "The Cambio issuer or its roots; exact subjects only."
  attribute_mapping                  = local.attribute_mapping
  attribute_condition                = local.attribute_condition

  dynamic "oidc" {
    for_each = local.by_certificate ? [] : [var.issuer]

    content {
      issuer_uri        = oidc.value
      allowed_audiences = [local.audience]
    }
  }

  dynamic "x509" {
    for_each = local.by_certificate ? [local.roots] : []

    content {
      trust_store {
        dynamic "trust_anchors" {
          for_each = x509.value

          content {
            pem_certificate = trust_anchors.value
          }
        }
      }
    }
  }

  lifecycle {
    postcondition {
      condition     = self.name == local.provider_name
      error_message = "Found the provider `${self.name}`, expected `${local.provider_name}`: project_number is not the number of project_id."
    }
  }
}

resource "google_service_account_iam_member" "this" {
  for_each           = local.principals
  service_account_id = local.service_account
  role               = "roles/iam.workloadIdentityUser"
  member             = each.value

  # Google refuses a principal whose pool does not exist.
  depends_on = [google_iam_workload_identity_pool_provider.this]
}
