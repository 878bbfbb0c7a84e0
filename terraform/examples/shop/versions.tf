terraform {
  required_version = ">= 1.9.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
    azuread = {
      source  = "hashicorp/azuread"
      version = ">= 3.0.0, < 4.0.0"
    }
    google = {
      source  = "hashicorp/google"
      version = ">= 5.0.0, < 8.0.0"
    }
  }
}

provider "aws" {
  region = "eu-central-1"
}

provider "azuread" {
  tenant_id = "11111111-2222-3333-4444-555555555555"
}

provider "google" {
  project = "acme-prod"
}
