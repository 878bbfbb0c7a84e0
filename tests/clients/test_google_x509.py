"""Google's own client, google-auth, with one of our certificates, and the gateway with its own, at the mTLS token endpoint."""

import base64
import json
import os
import pathlib
import signal

import google.auth
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession, Request

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
SUBJECT = "spiffe://dev.cambio.test/ci/acme/shop/deploy"
PARTY = "gcp-x509"


@pytest.fixture(scope="module")
def gcp(world):
    """The simulated Google, and a relying party that reaches it by certificate."""
    ready = world.ready["gcp"]
    path = pathlib.Path(world.ready["config_file"])
    table = (
        f'\n[[relying_party]]\nname = "{PARTY}"\nkind = "gcp_sts"\nx509 = true\nprovider = "{ready["x509_audience"]}"\n'
        f'sts_endpoint = "{ready["sts_mtls"]}"\niamcredentials_endpoint = "{ready["iamcredentials"]}"\n'
        f'ca_file = "{world.ca_file}"\n'
    )
    before = path.read_text()
    # The same grant as for the other certificates: each of them opens all that take them.
    after = before.replace("relying_parties = [", f'relying_parties = ["{PARTY}", ', 1)
    path.write_text(after + table)
    os.kill(world.process_id, signal.SIGHUP)
    world.until(lambda: known(world))
    return ready


def ask(world):
    body = {"evidence": {"token": world.evidence()}, "relying_parties": [PARTY]}
    return world.http.post(f"{world.ready['gateway']}/v1/exchange", json=body).json()


def known(world):
    refusal = ask(world).get("refusals", {}).get(PARTY, {})
    return refusal.get("code") != "authorize.relying_party_unknown"


def holder_of(world, gcp, token):
    world.remember(token)
    answer = world.http.get(f"{gcp['iamcredentials']}/v1/tokeninfo", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def principal(gcp, subject=SUBJECT):
    pool = gcp["x509_audience"].split("/providers/")[0].removeprefix("//iam.googleapis.com/")
    return f"principal://iam.googleapis.com/{pool}/subject/{subject}"


def test_the_gateway_exchanges_its_own_certificate_and_google_accepts_the_token(world, gcp):
    answer = ask(world)

    assert PARTY in answer["credentials"], json.dumps(answer)
    given = answer["credentials"][PARTY]
    assert 0 < given["expires_in"] <= 1200
    assert holder_of(world, gcp, given["access_token"])["principal"] == principal(gcp)


@pytest.fixture
def external_account(world, gcp, setting, tmp_path):
    """Application default credentials that name a certificate, as `gcloud` writes them."""

    def credentials(chain, key):
        (tmp_path / "leaf.pem").write_bytes(chain[0].public_bytes(serialization.Encoding.PEM))
        (tmp_path / "chain.pem").write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain))
        (tmp_path / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        workload = {"cert_path": str(tmp_path / "leaf.pem"), "key_path": str(tmp_path / "key.pem")}
        (tmp_path / "certificates.json").write_text(json.dumps({"cert_configs": {"workload": workload}}))
        written = {
            "type": "external_account",
            "universe_domain": "googleapis.com",
            "audience": gcp["x509_audience"],
            "subject_token_type": "urn:ietf:params:oauth:token-type:mtls",
            "token_url": f"{gcp['sts_mtls']}/v1/token",
            "credential_source": {
                "certificate": {
                    "certificate_config_location": str(tmp_path / "certificates.json"),
                    "trust_chain_path": str(tmp_path / "chain.pem"),
                }
            },
        }
        path = tmp_path / "external_account.json"
        path.write_text(json.dumps(written))
        setting(GOOGLE_APPLICATION_CREDENTIALS=path)
        found, _project = google.auth.default()
        return found.with_scopes([SCOPE])

    return credentials


def certified(world, key):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whatever")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    answer = world.ask_for(PARTY, request.public_bytes(serialization.Encoding.PEM).decode())
    assert answer.status_code == 200, answer.text
    return x509.load_pem_x509_certificates(answer.json()["chain"].encode())


def test_google_auth_exchanges_our_certificate_and_google_accepts_the_token(world, gcp, external_account):
    key = ec.generate_private_key(ec.SECP256R1())
    credentials = external_account(certified(world, key), key)

    credentials.refresh(Request())

    holder = AuthorizedSession(credentials).get(f"{gcp['iamcredentials']}/v1/tokeninfo")
    world.remember(credentials.token)
    assert holder.json()["principal"] == principal(gcp), holder.text


def test_google_auth_is_refused_without_the_intermediate(world, external_account):
    key = ec.generate_private_key(ec.SECP256R1())
    credentials = external_account(certified(world, key)[:1], key)

    with pytest.raises(GoogleAuthError) as refused:
        credentials.refresh(Request())

    assert "invalid_grant" in str(refused.value)


def test_a_certificate_without_its_key_opens_nothing(world, gcp):
    chain = certified(world, ec.generate_private_key(ec.SECP256R1()))
    token = json.dumps([base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode() for one in chain])
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": gcp["x509_audience"],
        "scope": SCOPE,
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:mtls",
        "subject_token": token,
    }

    answer = world.http.post(f"{gcp['sts_mtls']}/v1/token", data=form)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), answer.text
