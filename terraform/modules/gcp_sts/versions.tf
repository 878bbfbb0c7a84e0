terraform {
  # Validations that name other variables need 1.9.
  required_version = ">= 1.9.0"

  required_providers {
    google = {
      source = "hashicorp/google"
      # 6.41.0 is the oldest whose schema was seen to have `x509`.
      version = ">= 6.41.0, < 8.0.0"
    }
  }
}
