"""The gateway exchanges by itself; each cloud's own client then uses what it gave."""

import datetime
import json

import boto3
import google.oauth2.credentials
import pytest
from google.auth.transport.requests import AuthorizedSession

from world import another_repository

REGION = "eu-central-1"
CLOUDS = ("aws", "gcp", "azure")


@pytest.fixture(autouse=True)
def aws(setting, world, tmp_path):
    """The simulated STS, reached by AWS's documented variables."""
    setting(
        AWS_ENDPOINT_URL_STS=world.ready["aws"]["sts"],
        AWS_REGION=REGION,
        AWS_DEFAULT_REGION=REGION,
        AWS_CONFIG_FILE=tmp_path / "config",
        AWS_EC2_METADATA_DISABLED="true",
    )
    return world.ready["aws"]


def test_one_jobs_token_becomes_three_credentials_that_each_cloud_accepts(world, aws):
    answer = world.exchange(*CLOUDS)
    for_aws, for_gcp, for_azure = (answer["credentials"][world.party(cloud)] for cloud in CLOUDS)

    caller = boto3.client(
        "sts",
        aws_access_key_id=for_aws["AccessKeyId"],
        aws_secret_access_key=for_aws["SecretAccessKey"],
        aws_session_token=for_aws["SessionToken"],
    ).get_caller_identity()
    google_says = AuthorizedSession(google.oauth2.credentials.Credentials(for_gcp["access_token"])).get(
        f"{world.ready['gcp']['iamcredentials']}/v1/tokeninfo"
    )
    azure_says = world.http.get(
        f"{world.ready['azure']['authority']}/_accepted",
        headers={"Authorization": f"{for_azure['token_type']} {for_azure['access_token']}"},
    )

    role = aws["role_arn"].split(":role/")[1]
    session = f"shop-deploy@{answer['exchange_id'][:12]}"
    assert caller["Arn"].endswith(f":assumed-role/{role}/{session}")
    assert google_says.status_code == 200, google_says.text
    assert google_says.json()["principal"] == f"serviceAccount:{world.ready['gcp']['service_account']}"
    assert azure_says.status_code == 200, azure_says.text
    assert azure_says.json()["appid"] == world.ready["azure"]["client_id"]


def test_boto3_takes_the_credential_from_a_credential_process_as_the_gateway_gave_it(world, aws, setting, tmp_path):
    answer = world.exchange("aws")
    credential = tmp_path / "credential.json"
    credential.write_text(json.dumps(answer["credentials"][world.party("aws")]))
    (tmp_path / "config").write_text(f"[profile deploy]\ncredential_process = cat {credential}\n")
    setting(AWS_PROFILE="deploy")

    session = boto3.session.Session()
    caller = session.client("sts").get_caller_identity()

    assert answer["exchange_id"][:12] in caller["Arn"]
    # Without a time the SDK reads, it would never ask again.
    expires = datetime.datetime.fromisoformat(answer["credentials"][world.party("aws")]["Expiration"])
    assert session.get_credentials()._expiry_time == expires


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_exchange_leaves_an_intent_and_an_outcome(world, cloud):
    answer = world.exchange(cloud)

    intent, outcome = world.entries(answer["exchange_id"], 2)

    assert (intent["kind"], outcome["kind"]) == ("intent", "outcome")
    assert intent["relying_party"] == outcome["relying_party"] == world.party(cloud)
    assert intent["spiffe_id"] == answer["spiffe_id"] == "spiffe://dev.cambio.test/ci/acme/shop/deploy"
    assert intent["permission"]["rule"] == ["shop-to-the-clouds"]
    assert "code" not in outcome, outcome
    assert outcome["credential_expires"] == answer["details"][world.party(cloud)]["expires"]


def test_an_exchange_for_three_clouds_leaves_all_its_entries_under_one_id(world):
    answer = world.exchange(*CLOUDS)

    entries = world.entries(answer["exchange_id"], 2 * len(CLOUDS))

    for cloud in CLOUDS:
        kinds = [entry["kind"] for entry in entries if entry["relying_party"] == world.party(cloud)]
        assert kinds == ["intent", "outcome"], cloud


def test_a_job_started_by_a_pull_request_is_refused_and_the_trail_says_so(world):
    answer = world.ask_for_credentials("aws", event_name="pull_request")

    assert answer.status_code == 400, answer.text
    problem = answer.json()
    assert problem["code"] == "attest.event_forbidden"
    assert "credentials" not in problem
    [denial] = world.entries(problem["exchange_id"], 1)
    assert (denial["kind"], denial["code"]) == ("denial", "attest.event_forbidden")


def test_a_job_of_another_repository_is_refused_with_the_closest_entry(world):
    answer = world.ask_for_credentials("aws", repository_id=another_repository())

    assert answer.status_code == 403, answer.text
    problem = answer.json()
    assert problem["code"] == "identify.no_entry"
    assert "closest: entry `shop-deploy`" in problem["detail"]
    assert "ci.repo_id" in problem["detail"]
    [denial] = world.entries(problem["exchange_id"], 1)
    assert (denial["kind"], denial["code"]) == ("denial", "identify.no_entry")


def test_a_token_opens_the_gateway_once_when_nothing_binds_it_to_its_holder(world):
    body = {"evidence": {"token": world.evidence()}, "relying_parties": [world.party("aws")]}
    url = f"{world.ready['gateway']}/v1/exchange"

    first, second = (world.http.post(url, json=body) for _ in range(2))

    assert first.status_code == 200, first.text
    world.remember(first.json()["credentials"][world.party("aws")]["SecretAccessKey"])
    assert second.status_code == 400, second.text
    assert second.json()["code"] == "attest.evidence_replayed"
    assert "credentials" not in second.json()


def test_a_refused_job_gets_no_svid_either(world):
    answer = world.ask_for_svid("aws", event_name="pull_request")

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == "invalid_request"
    assert "access_token" not in answer.json()
    assert "attest.event_forbidden" in answer.text
