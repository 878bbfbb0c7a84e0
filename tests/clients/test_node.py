"""The clouds' own clients for Node: one exchange each, and one refusal with the cloud's own code."""

import json
import os
import pathlib
import subprocess

import pytest

from test_google import configuration

NODE = pathlib.Path(__file__).with_name("node")
RESOURCE = "https://management.azure.com"
SESSION = "clients-test"
SECONDS = 60


@pytest.fixture(autouse=True)
def node(setting, world, tmp_path):
    """Where Node finds the clients and the CA, and the SDKs the clouds."""
    modules = os.environ.get("CAMBIO_NODE_MODULES")
    assert modules, "CAMBIO_NODE_MODULES is not set: run .ci/clients, which installs the clients"
    setting(
        AWS_CONFIG_FILE=tmp_path / "config",
        AWS_EC2_METADATA_DISABLED="true",
        AWS_ENDPOINT_URL_STS=world.ready["aws"]["sts"],
        AWS_REGION="eu-central-1",
        AWS_ROLE_ARN=world.ready["aws"]["role_arn"],
        AWS_ROLE_SESSION_NAME=SESSION,
        AWS_SHARED_CREDENTIALS_FILE=tmp_path / "credentials",
        AZURE_AUTHORITY_HOST=world.ready["azure"]["authority"],
        AZURE_CLIENT_ID=world.ready["azure"]["client_id"],
        AZURE_TENANT_ID=world.ready["azure"]["tenant"],
        # Without it the client asks Google's real Resource Manager for the project's name.
        GOOGLE_CLOUD_PROJECT="acme-dev",
        NODE_EXTRA_CA_CERTS=world.ca_file,
        NODE_PATH=modules,
    )


@pytest.fixture
def run(setting, token_file, tmp_path, world):
    """Runs one of the programs with a token in all the places where an SDK looks for its file."""

    def run_with(program, token, *arguments):
        path = token_file(token)
        account = tmp_path / "external_account.json"
        account.write_text(json.dumps(configuration(world, path, world.ready["gcp"]["service_account"])))
        setting(
            AWS_WEB_IDENTITY_TOKEN_FILE=path,
            AZURE_FEDERATED_TOKEN_FILE=path,
            GOOGLE_APPLICATION_CREDENTIALS=account,
        )
        command = ("node", NODE / program, *arguments)
        ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert ran.returncode == 0, ran.stderr
        said = json.loads(ran.stdout)
        if "token" in said:
            world.remember(said["token"])
        return said

    return run_with


def answer_of(world, url, token):
    answer = world.http.get(url, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_aws_sdk_for_node_is_who_the_role_says(world, run):
    said = run("aws.cjs", world.svid("aws"))

    assert said["arn"].endswith(f"/{SESSION}"), said


def test_the_aws_sdk_for_node_is_refused_an_svid_for_another_relying_party(world, run):
    refused = run("aws.cjs", world.svid("azure"))["refused"]

    assert "InvalidIdentityToken" in refused["code"]
    assert "Incorrect token audience" in refused["message"]


def test_the_aws_sdk_for_node_is_denied_a_role_that_trusts_another_workload(world, run, neighbour):
    refused = run("aws.cjs", world.svid("aws", **neighbour))["refused"]

    assert "AccessDenied" in refused["code"]


def test_azure_identity_for_node_gets_a_token_that_the_resource_accepts(world, run):
    said = run("azure.cjs", world.svid("azure"), RESOURCE)

    accepted = answer_of(world, f"{world.ready['azure']['authority']}/_accepted", said["token"])
    assert (accepted["appid"], accepted["resource"]) == (world.ready["azure"]["client_id"], RESOURCE)


def test_azure_identity_for_node_is_refused_an_svid_for_another_relying_party(world, run):
    assert "AADSTS700212:" in run("azure.cjs", world.svid("aws"), RESOURCE)["refused"]["message"]


def test_google_auth_for_node_impersonates_the_service_account(world, run):
    said = run("google.cjs", world.svid("gcp"))

    assert "token" in said, said
    holder = answer_of(world, f"{world.ready['gcp']['iamcredentials']}/v1/tokeninfo", said["token"])
    assert holder["principal"] == f"serviceAccount:{world.ready['gcp']['service_account']}"


def test_google_auth_for_node_is_refused_an_svid_for_another_relying_party(world, run):
    message = run("google.cjs", world.svid("aws"))["refused"]["message"]

    assert "invalid_grant" in message
    assert "The audience in ID Token [" in message
