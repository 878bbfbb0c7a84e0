"""`cambio exec` on every simulated platform, with nothing but what that platform gives its workloads, and AWS's own CLI in it."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

AWS = pathlib.Path(sys.executable).with_name("aws")
REGION = "eu-central-1"
SECONDS = 60
ENTRIES = {
    "aws_iam": "shop-deploy-aws-iam",
    "azure_instance": "shop-deploy-azure-instance",
    "buildkite": "shop-deploy-buildkite",
    "gcp_instance": "shop-deploy-gcp-instance",
    "github_actions": "shop-deploy",
    "gitlab": "shop-deploy-gitlab",
    "hcp_terraform": "shop-deploy-hcp-terraform",
    "kubernetes": "shop-deploy-kubernetes",
}


def found_by_a_workload(world, platform, state):
    """Returns the variables of a workload of the platform, its token of the moment among them."""
    variables = {
        "CAMBIO_AUDIENCE": world.ready["issuer"],
        "CAMBIO_CA_FILE": world.ca_file,
        "CAMBIO_GATEWAY": world.ready["gateway"],
        "CAMBIO_STATE_DIR": str(state),
        "PATH": os.environ["PATH"],
        "SSL_CERT_FILE": world.ca_file,
        **platform["variables"],
    }
    if "token_variable" in platform:
        answer = world.http.post(f"{platform['issuer']}/token", json=platform["example"])
        answer.raise_for_status()
        variables[platform["token_variable"]] = world.remember(answer.json()["token"])
    return variables


def test_every_platform_of_the_ready_file_is_tried(world):
    assert sorted(world.ready["platforms"]) == sorted(ENTRIES)


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_the_aws_cli_is_the_role_on(name, world, program, tmp_path):
    variables = found_by_a_workload(world, world.ready["platforms"][name], tmp_path)
    # What the machine's own STS is, the role's is not.
    there = [f"AWS_ENDPOINT_URL_STS={world.ready['aws']['sts']}", f"AWS_CA_BUNDLE={world.ca_file}", f"AWS_DEFAULT_REGION={REGION}"]
    command = [program, "exec", world.party("aws"), "--", "env", *there, AWS, "--output", "json", "sts", "get-caller-identity"]

    ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, env=variables)

    assert ran.returncode == 0, ran.stderr
    assert f"/{ENTRIES[name]}@" in json.loads(ran.stdout)["Arn"]
