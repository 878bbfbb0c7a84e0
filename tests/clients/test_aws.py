"""AWS's own clients, boto3 and the AWS CLI, at the simulated STS."""

import json
import pathlib
import subprocess
import sys

import boto3
import pytest
from botocore.exceptions import ClientError

from world import claims_unverified, forged, retold

SESSION = "clients-test"
REGION = "eu-central-1"
CLI = pathlib.Path(sys.executable).with_name("aws")


@pytest.fixture(autouse=True)
def aws(setting, world, tmp_path):
    """The simulated STS, reached by AWS's documented variables."""
    setting(
        AWS_ENDPOINT_URL_STS=world.ready["aws"]["sts"],
        AWS_REGION=REGION,
        AWS_DEFAULT_REGION=REGION,
        AWS_CONFIG_FILE=tmp_path / "config",
        AWS_SHARED_CREDENTIALS_FILE=tmp_path / "credentials",
        AWS_EC2_METADATA_DISABLED="true",
    )
    return world.ready["aws"]


@pytest.fixture
def web_identity(setting, token_file, aws):
    """Lets the SDK take part as a workload whose platform wrote a token file."""

    def with_token(token, role_arn=aws["role_arn"]):
        setting(
            AWS_WEB_IDENTITY_TOKEN_FILE=token_file(token),
            AWS_ROLE_ARN=role_arn,
            AWS_ROLE_SESSION_NAME=SESSION,
        )
        return boto3.session.Session().client("sts")

    return with_token


def assumed_role(role_arn, session):
    _, _, _, _, account, resource = role_arn.split(":")
    return f"arn:aws:sts::{account}:assumed-role/{resource.removeprefix('role/')}/{session}"


def run_cli(*arguments):
    return subprocess.run([CLI, "--output", "json", *arguments], capture_output=True, text=True, timeout=60, check=False)


def cli(*arguments):
    ran = run_cli(*arguments)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def assume_by_cli(role_arn, path, run=cli):
    return run(
        *("sts", "assume-role-with-web-identity", "--role-arn", role_arn),
        *("--role-session-name", SESSION, "--web-identity-token", f"file://{path}"),
    )


def refusal_of(client):
    with pytest.raises(ClientError) as refused:
        client.get_caller_identity()
    # The refusal must be that of the exchange, not of the call the credentials were for.
    assert refused.value.operation_name == "AssumeRoleWithWebIdentity"
    return refused.value.response["Error"]


def test_boto3_assumes_the_role_with_our_svid_and_is_who_the_role_says(world, web_identity, aws):
    caller = web_identity(world.svid("aws")).get_caller_identity()

    assert caller["Arn"] == assumed_role(aws["role_arn"], SESSION)
    assert caller["Account"] == aws["role_arn"].split(":")[4]
    assert caller["UserId"].endswith(f":{SESSION}")


def test_boto3_is_refused_an_svid_for_another_relying_party(world, web_identity):
    error = refusal_of(web_identity(world.svid("azure")))

    assert (error["Code"], error["Message"]) == ("InvalidIdentityToken", "Incorrect token audience")


def test_boto3_is_refused_an_svid_that_another_key_signed(world, web_identity):
    error = refusal_of(web_identity(forged(world.svid("aws"))))

    assert error["Code"] == "InvalidIdentityToken"
    assert "audience" not in error["Message"]


def test_boto3_is_refused_an_svid_whose_claims_were_changed(world, web_identity):
    svid = world.svid("aws")
    longer = claims_unverified(svid)["exp"] + 60

    error = refusal_of(web_identity(retold(svid, exp=longer)))

    assert error["Code"] == "InvalidIdentityToken"
    assert "audience" not in error["Message"]


def test_boto3_is_refused_the_jobs_own_token(world, web_identity):
    error = refusal_of(web_identity(world.evidence()))

    assert error["Code"] == "InvalidIdentityToken"
    assert error["Message"].startswith(
        f"No OpenIDConnect provider found in your account for {world.ready['ci_issuer']}"
    )


def test_boto3_is_denied_a_role_that_trusts_another_workload(world, web_identity, neighbour):
    error = refusal_of(web_identity(world.svid("aws", **neighbour)))

    assert error["Code"] == "AccessDenied"
    assert error["Message"] == "Not authorized to perform sts:AssumeRoleWithWebIdentity"


def test_boto3_is_denied_a_role_that_is_not_there(world, web_identity, aws):
    error = refusal_of(web_identity(world.svid("aws"), role_arn=f"{aws['role_arn']}-of-another"))

    assert error["Code"] == "AccessDenied"


@pytest.fixture
def session_of(world, aws):
    """Credentials that boto3 got by asking STS itself."""

    def assume(**parameters):
        return boto3.client("sts").assume_role_with_web_identity(
            RoleArn=aws["role_arn"], RoleSessionName=SESSION, WebIdentityToken=world.svid("aws"), **parameters
        )

    return assume


def test_boto3_learns_which_workload_the_svid_named(world, session_of):
    assumed = session_of()

    world.remember(assumed["Credentials"]["SecretAccessKey"])
    world.remember(assumed["Credentials"]["SessionToken"])
    assert assumed["SubjectFromWebIdentityToken"] == "spiffe://dev.cambio.test/ci/acme/shop/deploy"
    assert assumed["Audience"].startswith(f"{world.ready['issuer']}/aws/")
    assert assumed["SourceIdentity"].startswith("shop-deploy.")


def test_boto3_is_refused_a_session_longer_than_the_role_allows(session_of):
    with pytest.raises(ClientError) as refused:
        session_of(DurationSeconds=3601)

    error = refused.value.response["Error"]
    assert error["Code"] == "ValidationError"
    assert error["Message"] == "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."


@pytest.mark.parametrize(
    ("member", "code"),
    [("SecretAccessKey", "SignatureDoesNotMatch"), ("SessionToken", "InvalidClientTokenId")],
)
def test_boto3_is_nobody_with_a_secret_of_another_session(session_of, member, code):
    held, other = session_of()["Credentials"], session_of()["Credentials"]
    held[member] = other[member]

    client = boto3.client(
        "sts",
        aws_access_key_id=held["AccessKeyId"],
        aws_secret_access_key=held["SecretAccessKey"],
        aws_session_token=held["SessionToken"],
    )

    with pytest.raises(ClientError) as refused:
        client.get_caller_identity()
    assert refused.value.response["Error"]["Code"] == code


def test_the_cli_assumes_the_role_with_our_svid_and_is_who_the_role_says(world, token_file, aws, setting):
    assumed = assume_by_cli(aws["role_arn"], token_file(world.svid("aws")))
    held = assumed["Credentials"]
    world.remember(held["SecretAccessKey"])
    setting(
        AWS_ACCESS_KEY_ID=held["AccessKeyId"],
        AWS_SECRET_ACCESS_KEY=held["SecretAccessKey"],
        AWS_SESSION_TOKEN=world.remember(held["SessionToken"]),
    )

    caller = cli("sts", "get-caller-identity")

    assert caller["Arn"] == assumed["AssumedRoleUser"]["Arn"] == assumed_role(aws["role_arn"], SESSION)


def test_the_cli_finds_our_svid_in_the_token_file(world, token_file, aws, setting):
    setting(
        AWS_WEB_IDENTITY_TOKEN_FILE=token_file(world.svid("aws")),
        AWS_ROLE_ARN=aws["role_arn"],
        AWS_ROLE_SESSION_NAME=SESSION,
    )

    assert cli("sts", "get-caller-identity")["Arn"] == assumed_role(aws["role_arn"], SESSION)


def test_the_cli_is_refused_an_svid_for_another_relying_party(world, token_file, aws):
    refused = assume_by_cli(aws["role_arn"], token_file(world.svid("azure")), run=run_cli)

    assert refused.returncode != 0
    assert "(InvalidIdentityToken)" in refused.stderr
    assert "Incorrect token audience" in refused.stderr


def test_the_cli_is_refused_an_svid_that_another_key_signed(world, token_file, aws):
    refused = assume_by_cli(aws["role_arn"], token_file(forged(world.svid("aws"))), run=run_cli)

    assert refused.returncode != 0
    assert "(InvalidIdentityToken)" in refused.stderr
    assert "audience" not in refused.stderr


def test_the_cli_is_denied_a_role_that_trusts_another_workload(world, token_file, aws, neighbour):
    refused = assume_by_cli(aws["role_arn"], token_file(world.svid("aws", **neighbour)), run=run_cli)

    assert refused.returncode != 0
    assert "(AccessDenied)" in refused.stderr
    assert "Not authorized to perform sts:AssumeRoleWithWebIdentity" in refused.stderr
