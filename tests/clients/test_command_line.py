"""`cambio creds` and `cambio exec` between a job's token and AWS's own clients."""

import json
import pathlib
import subprocess
import sys

import boto3
import pytest
from botocore.exceptions import CredentialRetrievalError

REGION = "eu-central-1"
AWS = pathlib.Path(sys.executable).with_name("aws")
SECONDS = 60


@pytest.fixture(autouse=True)
def workload(setting, world, tmp_path):
    """A job that knows the gateway and the simulated STS."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    setting(
        AWS_CONFIG_FILE=tmp_path / "config",
        AWS_DEFAULT_REGION=REGION,
        AWS_EC2_METADATA_DISABLED="true",
        AWS_ENDPOINT_URL_STS=world.ready["aws"]["sts"],
        AWS_REGION=REGION,
        AWS_SHARED_CREDENTIALS_FILE=tmp_path / "credentials",
        CAMBIO_CA_FILE=world.ca_file,
        CAMBIO_GATEWAY=world.ready["gateway"],
        CAMBIO_STATE_DIR=state,
    )


@pytest.fixture
def profile(setting, world, program, token_file, tmp_path):
    """An AWS profile whose credentials come from `cambio creds`."""

    def with_evidence(token):
        command = f"{program} creds {world.party('aws')} --shape credential_process --token-file {token_file(token)}"
        (tmp_path / "config").write_text(f"[profile deploy]\ncredential_process = {command}\n")
        setting(AWS_PROFILE="deploy")

    return with_evidence


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def caller_of(ran):
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)["Arn"]


def assert_is_the_deployment(arn, world):
    role = world.ready["aws"]["role_arn"].split(":role/")[1]
    assert f":assumed-role/{role}/shop-deploy@" in arn


def test_boto3_gets_credentials_from_cambio_creds(world, profile):
    profile(world.evidence())

    assert_is_the_deployment(boto3.session.Session().client("sts").get_caller_identity()["Arn"], world)


def test_the_cli_gets_credentials_from_cambio_creds_for_each_of_a_jobs_commands(world, profile):
    profile(world.evidence())

    for _ in range(2):
        assert_is_the_deployment(caller_of(run(AWS, "--output", "json", "sts", "get-caller-identity")), world)


def test_boto3_gets_nothing_from_cambio_creds_for_a_job_that_must_be_refused(world, profile):
    profile(world.evidence(event_name="pull_request"))

    with pytest.raises(CredentialRetrievalError) as refused:
        boto3.session.Session().client("sts").get_caller_identity()
    assert "attest.event_forbidden" in str(refused.value)


def test_the_cli_under_cambio_exec_is_who_the_role_says(world, program, token_file):
    path = token_file(world.evidence())
    command = (AWS, "--output", "json", "sts", "get-caller-identity")

    ran = run(program, "exec", world.party("aws"), "--token-file", path, "--", *command)

    assert_is_the_deployment(caller_of(ran), world)


def test_cambio_exec_runs_nothing_for_a_job_that_must_be_refused(world, program, token_file, tmp_path):
    path = token_file(world.evidence(event_name="pull_request"))
    mark = tmp_path / "ran"

    ran = run(program, "exec", world.party("aws"), "--token-file", path, "--", "touch", mark)

    # 125 is the code of a denial, which no child can be mistaken for.
    assert ran.returncode == 125, ran.stderr
    assert not mark.exists()
    assert "attest.event_forbidden" in ran.stderr
