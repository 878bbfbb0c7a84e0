"""Terraform applies our module to the simulated account, and the gateway then gets credentials of the role that it made."""

import base64
import json
import os
import pathlib
import shutil
import signal
import subprocess

import boto3
import pytest

REGION = "eu-central-1"
SECTION = "aws_roles_anywhere"
MODULES = pathlib.Path(__file__).parents[2] / "terraform" / "modules"
# As .ci/terraform looks for them.
MIRRORS = [*filter(None, os.environ.get("TF_PLUGIN_MIRRORS", "").split(":")), *map(str, pathlib.Path("/opt").glob("*"))]
PROVIDER = "registry.terraform.io/hashicorp/aws"

mirror = next((place for place in MIRRORS if (pathlib.Path(place) / PROVIDER).is_dir()), None)
pytestmark = pytest.mark.skipif(
    shutil.which("terraform") is None or mirror is None, reason="terraform or its AWS provider is not on this machine"
)


def roots(world):
    bundle = world.http.get(f"{world.ready['issuer']}/.well-known/spiffe/bundle.json").json()
    pem = ""
    for key in bundle["keys"]:
        if key["use"] == "x509-svid":
            body = base64.encodebytes(base64.b64decode(key["x5c"][0])).decode()
            lines = body.replace("\n", "")
            pem += "-----BEGIN CERTIFICATE-----\n"
            pem += "".join(lines[at : at + 64] + "\n" for at in range(0, len(lines), 64))
            pem += "-----END CERTIFICATE-----\n"
    return pem


@pytest.fixture
def terraform(world, setting, tmp_path):
    """Runs Terraform in a directory that calls the module, against the simulated account."""
    account = world.ready[SECTION]
    keys = account["administrator"]
    (tmp_path / "rc").write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
    )
    setting(
        AWS_ACCESS_KEY_ID=keys["access_key_id"],
        AWS_SECRET_ACCESS_KEY=keys["secret_access_key"],
        AWS_SESSION_TOKEN=keys["session_token"],
        AWS_REGION=REGION,
        AWS_DEFAULT_REGION=REGION,
        AWS_ENDPOINT_URL_IAM=account["iam"],
        AWS_ENDPOINT_URL_STS=account["sts"],
        AWS_ENDPOINT_URL_ROLESANYWHERE=account["rolesanywhere"],
        AWS_EC2_METADATA_DISABLED="true",
        TF_CLI_CONFIG_FILE=tmp_path / "rc",
        CHECKPOINT_DISABLE=1,
        TF_IN_AUTOMATION=1,
        TF_INPUT=0,
    )
    place = tmp_path / "account"
    place.mkdir()
    (place / "roots.pem").write_text(roots(world))
    (place / "main.tf").write_text(
        f'''
        provider "aws" {{}}
        module "cambio" {{
          source        = "{MODULES / "aws_roles_anywhere"}"
          bundle        = file("${{path.module}}/roots.pem")
          subjects      = ["spiffe://dev.cambio.test/rp/aws/terraform"]
          account_id    = "123456789012"
          name          = "made by terraform"
          role_name     = "made-by-terraform"
          relying_party = "aws-terraform"
        }}
        output "relying_party" {{
          value = module.cambio.relying_party
        }}
        '''
    )

    def run(*arguments, expected=0):
        ran = subprocess.run(
            ["terraform", f"-chdir={place}", *arguments], capture_output=True, text=True, timeout=300, check=False
        )
        assert ran.returncode == expected, ran.stdout + ran.stderr
        return ran.stdout

    run("init", "-no-color")
    yield run
    run("destroy", "-auto-approve", "-no-color")


def test_what_the_module_creates_gives_the_gateway_credentials(world, terraform, setting):
    terraform("apply", "-auto-approve", "-no-color")
    # 0: nothing is left to change.
    terraform("plan", "-detailed-exitcode", "-no-color")
    table = terraform("output", "-raw", "relying_party")
    place = f'endpoint = "{world.ready[SECTION]["rolesanywhere"]}"\nca_file = "{world.ca_file}"\n'
    grant = '[[grant]]\nname = "terraform"\nentries = ["shop-deploy"]\nrelying_parties = ["aws-terraform"]\nttl = "20m"\n'
    path = pathlib.Path(world.ready["config_file"])
    before = path.read_text()
    path.write_text(f"{before}\n{table}{place}\n{grant}")
    os.kill(world.process_id, signal.SIGHUP)
    answers = []

    def answered():
        body = {"evidence": {"token": world.evidence()}, "relying_parties": ["aws-terraform"]}
        answers.append(world.http.post(f"{world.ready['gateway']}/v1/exchange", json=body).json())
        refusal = answers[-1].get("refusals", {}).get("aws-terraform", {})
        return refusal.get("code") != "authorize.relying_party_unknown"

    world.until(answered)
    assert "aws-terraform" in answers[-1]["credentials"], json.dumps(answers[-1]["refusals"])
    given = answers[-1]["credentials"]["aws-terraform"]
    world.remember(given["SecretAccessKey"])
    world.remember(given["SessionToken"])

    caller = boto3.client(
        "sts",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    ).get_caller_identity()

    assert ":assumed-role/made-by-terraform/" in caller["Arn"]
    path.write_text(before)
    os.kill(world.process_id, signal.SIGHUP)
