# What is planned, by the provider's own schema.
mock_provider "azuread" {}

variables {
  issuer                = "https://id.acme.example"
  subjects              = ["spiffe://prod.acme.example/ci/acme/shop/deploy"]
  tenant                = "11111111-2222-3333-4444-555555555555"
  client_id             = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
  application_object_id = "99999999-8888-7777-6666-555555555555"
}

run "one_credential_a_subject_with_exact_values_and_one_audience" {
  command = plan

  variables {
    subjects = ["spiffe://prod.acme.example/ci/acme/shop/deploy", "spiffe://prod.acme.example/ci/acme/shop/test"]
  }

  assert {
    condition     = toset([for credential in azuread_application_federated_identity_credential.this : credential.subject]) == toset(var.subjects) && length(azuread_application_federated_identity_credential.this) == 2
    error_message = "Found ${jsonencode(azuread_application_federated_identity_credential.this)}."
  }

  assert {
    condition     = alltrue([for credential in azuread_application_federated_identity_credential.this : credential.issuer == "https://id.acme.example" && credential.audiences == tolist(["https://id.acme.example/azure/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"])])
    error_message = "Found ${jsonencode(azuread_application_federated_identity_credential.this)}."
  }

  assert {
    condition     = alltrue([for credential in azuread_application_federated_identity_credential.this : credential.application_id == "/applications/99999999-8888-7777-6666-555555555555" && startswith(credential.display_name, "cambio-")])
    error_message = "Found ${jsonencode(azuread_application_federated_identity_credential.this)}."
  }
}
