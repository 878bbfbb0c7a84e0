# The shop's deployment job may hold a role in AWS, a service account at Google and an application in Entra.

locals {
  issuer = "https://id.acme.example"

  # What the registration entry `shop-deploy` is called: `spiffe_id = "/ci/acme/shop/deploy"`.
  deploy = "spiffe://prod.acme.example/ci/acme/shop/deploy"
}

module "aws" {
  source = "../../modules/aws_sts"

  relying_party = "aws-prod"
  issuer        = local.issuer
  subjects      = [local.deploy]
  entry         = "shop-deploy"
  session_tags  = ["ci.repo_id", "ci.sha"]
  account_id    = "123456789012"
  region        = "eu-central-1"
  role_name     = "deploy"
}

module "gcp" {
  source = "../../modules/gcp_sts"

  relying_party   = "gcp-prod"
  issuer          = local.issuer
  subjects        = [local.deploy]
  project_id      = "acme-prod"
  project_number  = "123456789012"
  pool_id         = "cambio-shop"
  service_account = "deploy@acme-prod.iam.gserviceaccount.com"
}

module "azure" {
  source = "../../modules/azure_entra"

  relying_party         = "azure-prod"
  issuer                = local.issuer
  subjects              = [local.deploy]
  tenant                = "11111111-2222-3333-4444-555555555555"
  client_id             = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
  application_object_id = "99999999-8888-7777-6666-555555555555"
  credential_name       = "shop-deploy"
}

# terraform output -raw relying_parties >> cambio.toml
output "relying_parties" {
  description = "The three relying parties, to paste into cambio.toml."
  value       = join("\n", [module.aws.relying_party, module.gcp.relying_party, module.azure.relying_party])
}
