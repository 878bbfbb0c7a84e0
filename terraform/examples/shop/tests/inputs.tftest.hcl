# The three modules fit one workload. Runs without the providers too: then without their mocks.
mock_provider "aws" {
  # The module refuses credentials of another account.
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

mock_provider "azuread" {}
mock_provider "google" {}

run "writes_three_relying_parties_of_one_workload" {
  command = plan

  assert {
    condition     = output.relying_parties == <<-EOT
      [[relying_party]]
      name = "aws-prod"
      kind = "aws_sts"
      role_arn = "arn:aws:iam::123456789012:role/deploy"
      region = "eu-central-1"
      audience = "https://id.acme.example/aws/123456789012"
      session_tags = ["ci.repo_id","ci.sha"]
      max_session_seconds = 3600

      [[relying_party]]
      name = "gcp-prod"
      kind = "gcp_sts"
      provider = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/cambio-shop/providers/cambio"
      service_account = "deploy@acme-prod.iam.gserviceaccount.com"

      [[relying_party]]
      name = "azure-prod"
      kind = "azure_entra"
      tenant = "11111111-2222-3333-4444-555555555555"
      client_id = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
      audience = "https://id.acme.example/azure/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
    EOT
    error_message = "Found ${output.relying_parties}."
  }

  assert {
    condition     = module.aws.subjects == module.gcp.subjects && module.gcp.subjects == module.azure.subjects
    error_message = "Found ${jsonencode([module.aws.subjects, module.gcp.subjects, module.azure.subjects])}."
  }

  assert {
    condition     = length(distinct([module.aws.audience, module.gcp.audience, module.azure.audience])) == 3
    error_message = "Found ${jsonencode([module.aws.audience, module.gcp.audience, module.azure.audience])}."
  }
}
