"""Microsoft's own client, azure-identity, at the simulated Entra."""

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientAssertionCredential, WorkloadIdentityCredential

from world import forged

RESOURCE = "https://management.azure.com"
SCOPE = f"{RESOURCE}/.default"


@pytest.fixture
def azure(world):
    """Where the simulated Entra is."""
    return world.ready["azure"]


@pytest.fixture
def by_assertion(azure):
    """A credential that hands an assertion over from memory."""

    def credential(token, client_id=azure["client_id"]):
        return ClientAssertionCredential(
            azure["tenant"],
            client_id,
            lambda: token,
            authority=azure["authority"],
            disable_instance_discovery=True,
        )

    return credential


@pytest.fixture
def by_file(setting, token_file, azure):
    """A credential that reads everything from what a platform injects."""

    def credential(token):
        setting(
            AZURE_AUTHORITY_HOST=azure["authority"],
            AZURE_CLIENT_ID=azure["client_id"],
            AZURE_FEDERATED_TOKEN_FILE=token_file(token),
            AZURE_TENANT_ID=azure["tenant"],
        )
        return WorkloadIdentityCredential(disable_instance_discovery=True)

    return credential


@pytest.fixture(params=["by_assertion", "by_file"])
def credential(request):
    """Both of the ways."""
    return request.getfixturevalue(request.param)


def refusal_of(credential):
    with pytest.raises(ClientAuthenticationError) as refused:
        credential.get_token(SCOPE)
    return refused.value.message


def test_azure_identity_gets_a_token_for_our_svid_and_the_resource_accepts_it(world, azure, credential):
    token = credential(world.svid("azure")).get_token(SCOPE)
    world.remember(token.token)

    accepted = world.http.get(
        f"{azure['authority']}/_accepted", headers={"Authorization": f"Bearer {token.token}"}
    )

    assert accepted.status_code == 200, accepted.text
    accepted = accepted.json()
    assert (accepted["appid"], accepted["tid"]) == (azure["client_id"], azure["tenant"])
    assert accepted["resource"] == RESOURCE
    # The client counts from seconds that are left, so it may be a second off.
    assert abs(int(accepted["expires_on"]) - token.expires_on) <= 2


def test_azure_identity_is_refused_an_svid_for_another_relying_party(world, credential):
    assert "AADSTS700212:" in refusal_of(credential(world.svid("aws")))


def test_azure_identity_is_refused_an_svid_of_a_workload_that_the_application_does_not_trust(
    world, credential, neighbour
):
    assert "AADSTS700213:" in refusal_of(credential(world.svid("azure", **neighbour)))


def test_azure_identity_is_refused_an_svid_that_another_key_signed(world, credential):
    assert "AADSTS700027:" in refusal_of(credential(forged(world.svid("azure"))))


def test_azure_identity_is_refused_the_jobs_own_token(world, credential):
    assert "AADSTS700211:" in refusal_of(credential(world.evidence()))


def test_azure_identity_is_refused_an_application_that_is_not_in_the_tenant(world, by_assertion):
    absent = "00000000-0000-4000-8000-000000000000"

    assert "AADSTS700016:" in refusal_of(by_assertion(world.svid("azure"), client_id=absent))


def test_the_resource_accepts_no_token_that_entra_did_not_give(world, azure):
    headers = {"Authorization": f"Bearer {world.svid('azure')}"}

    assert world.http.get(f"{azure['authority']}/_accepted", headers=headers).status_code == 401
