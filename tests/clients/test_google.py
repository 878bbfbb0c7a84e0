"""Google's own client, google-auth, at the simulated Security Token Service and IAM Credentials API."""

import datetime
import json

import google.auth
import pytest
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession, Request

from world import forged

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
SUBJECT = "spiffe://dev.cambio.test/ci/acme/shop/deploy"


@pytest.fixture
def gcp(world):
    """Where the simulated Google is."""
    return world.ready["gcp"]


@pytest.fixture
def external_account(setting, tmp_path, token_file, world):
    """Application default credentials out of a credential configuration file, as `gcloud` writes it."""

    def credentials(token, service_account=None):
        path = tmp_path / "external_account.json"
        path.write_text(json.dumps(configuration(world, token_file(token), service_account)))
        setting(GOOGLE_APPLICATION_CREDENTIALS=path)
        found, _project = google.auth.default()
        return found.with_scopes([SCOPE])

    return credentials


def configuration(world, path, service_account=None):
    """Returns what `gcloud iam workload-identity-pools create-cred-config` writes for a token file."""
    gcp = world.ready["gcp"]
    written = {
        "type": "external_account",
        "universe_domain": "googleapis.com",
        "audience": gcp["audience"],
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{gcp['sts']}/v1/token",
        "credential_source": {"file": str(path), "format": {"type": "text"}},
    }
    if service_account:
        url = f"{gcp['iamcredentials']}/v1/projects/-/serviceAccounts/{service_account}:generateAccessToken"
        written["service_account_impersonation_url"] = url
    return written


def accepted_by_google(world, credentials):
    """Returns what the protected endpoint says of whom the credentials stand for."""
    answer = AuthorizedSession(credentials).get(f"{world.ready['gcp']['iamcredentials']}/v1/tokeninfo")
    world.remember(credentials.token)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal_of(credentials):
    with pytest.raises(GoogleAuthError) as refused:
        credentials.refresh(Request())
    return str(refused.value)


def test_google_auth_gets_a_federated_token_for_our_svid_and_google_accepts_it(world, external_account, gcp):
    credentials = external_account(world.svid("gcp"))
    credentials.refresh(Request())

    holder = accepted_by_google(world, credentials)

    pool = gcp["audience"].split("/providers/")[0].removeprefix("//iam.googleapis.com/")
    assert holder["principal"] == f"principal://iam.googleapis.com/{pool}/subject/{SUBJECT}"
    assert holder["scope"] == SCOPE


def test_google_auth_impersonates_the_service_account_and_google_accepts_it(world, external_account, gcp):
    credentials = external_account(world.svid("gcp"), gcp["service_account"])
    credentials.refresh(Request())

    holder = accepted_by_google(world, credentials)

    assert holder["principal"] == f"serviceAccount:{gcp['service_account']}"
    ends = datetime.datetime.fromisoformat(holder["expireTime"]).replace(tzinfo=None)
    assert credentials.expiry == ends


def test_google_auth_reads_the_next_svid_from_the_same_file(world, external_account, token_file):
    credentials = external_account(world.svid("gcp"))
    credentials.refresh(Request())
    first = world.remember(credentials.token)

    token_file(world.svid("gcp"))
    credentials.refresh(Request())

    assert credentials.token != first
    accepted_by_google(world, credentials)


def test_google_auth_is_refused_an_svid_for_another_relying_party(world, external_account, gcp):
    text = refusal_of(external_account(world.svid("aws")))

    assert "invalid_grant" in text
    assert "The audience in ID Token [" in text
    assert gcp["audience"] in text


def test_google_auth_is_refused_an_svid_that_another_key_signed(world, external_account):
    text = refusal_of(external_account(forged(world.svid("gcp"))))

    assert "invalid_grant" in text
    assert "audience" not in text


def test_google_auth_is_refused_an_svid_of_a_workload_that_the_provider_does_not_trust(
    world, external_account, neighbour
):
    text = refusal_of(external_account(world.svid("gcp", **neighbour)))

    assert "unauthorized_client" in text
    assert "The given credential is rejected by the attribute condition." in text


def test_google_auth_is_refused_the_jobs_own_token(world, external_account):
    text = refusal_of(external_account(world.evidence()))

    assert "invalid_grant" in text
    assert f"The issuer in ID Token {world.ready['ci_issuer']} does not match the expected ones" in text


def test_google_auth_is_refused_a_service_account_that_it_may_not_impersonate(world, external_account, gcp):
    text = refusal_of(external_account(world.svid("gcp"), f"another-{gcp['service_account']}"))

    assert "PERMISSION_DENIED" in text
    assert "iam.serviceAccounts.getAccessToken" in text


def test_google_accepts_no_token_that_it_did_not_give(world, gcp):
    headers = {"Authorization": f"Bearer {world.svid('gcp')}"}

    assert world.http.get(f"{gcp['iamcredentials']}/v1/tokeninfo", headers=headers).status_code == 401
