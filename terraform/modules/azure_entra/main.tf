# Everything that speaks to Entra stands here, so that the inputs can be tested without the provider.

resource "azuread_application_federated_identity_credential" "this" {
  for_each       = local.credentials
  application_id = "/applications/${var.application_object_id}"
  display_name   = each.value.name
  description    = "Trusts one SPIFFE ID of a Cambio issuer."
  issuer         = var.issuer
  subject        = each.value.subject
  audiences      = [local.audience]
}
