"""IAM Roles Anywhere: our signer against an independent verifier, an independent signer against the simulator, boto3 with both."""

import base64
import http.server
import json
import os
import pathlib
import signal
import ssl
import subprocess
import threading

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

import createsession

REGION = "eu-central-1"
SECTION = "aws_roles_anywhere"
KEYS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA-2048": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.fixture(autouse=True)
def account(setting, world, tmp_path):
    """The simulated account, reached by AWS's documented variables."""
    ready = world.ready[SECTION]
    setting(
        AWS_ENDPOINT_URL_STS=ready["sts"],
        AWS_ENDPOINT_URL_ROLESANYWHERE=ready["rolesanywhere"],
        AWS_REGION=REGION,
        AWS_DEFAULT_REGION=REGION,
        AWS_CONFIG_FILE=tmp_path / "config",
        AWS_SHARED_CREDENTIALS_FILE=tmp_path / "credentials",
        AWS_EC2_METADATA_DISABLED="true",
    )
    return ready


def administrator(account, service="rolesanywhere"):
    keys = account["administrator"]
    return boto3.client(
        service,
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
        aws_session_token=keys["session_token"],
    )


def caller(credentials):
    return boto3.client(
        "sts",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    ).get_caller_identity()


def test_boto3_is_who_the_role_says_with_what_the_gateway_gave(world, account):
    answer = world.exchange(SECTION)

    found = caller(answer["credentials"][world.party(SECTION)])

    role = account["role_arn"].split(":role/")[1]
    session = f"shop-deploy@{answer['exchange_id'][:12]}"
    assert found["Arn"] == f"arn:aws:sts::123456789012:assumed-role/{role}/{session}"


def test_boto3_takes_the_credential_from_cambio_creds_as_credential_process(
    world, program, setting, token_file, tmp_path
):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    setting(CAMBIO_CA_FILE=world.ca_file, CAMBIO_GATEWAY=world.ready["gateway"], CAMBIO_STATE_DIR=state)
    command = (
        f"{program} creds {world.party(SECTION)} --shape credential_process --token-file {token_file(world.evidence())}"
    )
    (tmp_path / "config").write_text(f"[profile deploy]\ncredential_process = {command}\n")
    setting(AWS_PROFILE="deploy")

    found = boto3.session.Session().client("sts").get_caller_identity()

    assert ":assumed-role/cambio-dev-x509/shop-deploy@" in found["Arn"]


def test_the_trail_names_the_certificate_that_asked(world):
    answer = world.exchange(SECTION)

    intent, outcome = world.entries(answer["exchange_id"], 2)

    assert (intent["kind"], outcome["kind"]) == ("intent", "outcome")
    # The serial number, 16 bytes in hex.
    assert len(intent["svid"]["id"]) == 32, intent


def issued(world, key):
    """Returns the answer with an X.509-SVID for a key of ours, and its certificates."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whatever")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = request.public_bytes(createsession.serialization.Encoding.PEM).decode()
    answer = world.ask_for(world.party(SECTION), pem)
    assert answer.status_code == 200, answer.text
    return answer.json(), x509.load_pem_x509_certificates(answer.json()["chain"].encode())


def certified(world, key):
    return issued(world, key)[1]


def create(world, account, key, chain, *, arns="query", region=REGION, change=lambda headers, body: body):
    """Signs a CreateSession by the documented steps and sends it."""
    names = {
        "profileArn": account["profile_arn"],
        "roleArn": account["role_arn"],
        "trustAnchorArn": account["trust_anchor_arn"],
    }
    query = names if arns == "query" else {}
    body = {"durationSeconds": 900, **({} if arns == "query" else names)}
    body = json.dumps(body).encode()
    host = account["rolesanywhere"].removeprefix("https://")
    headers = createsession.sign(key, chain, region, host, query.items(), body)
    body = change(headers, body)
    url = f"{account['rolesanywhere']}{createsession.PATH}?{createsession.canonical_query(query.items())}"
    return world.http.post(url, data=body, headers=headers)


@pytest.mark.parametrize("arns", ["query", "body"])
@pytest.mark.parametrize("kind", KEYS)
def test_a_session_signed_by_an_independent_implementation_is_opened(world, account, kind, arns):
    key = KEYS[kind]()
    chain = certified(world, key)

    answer = create(world, account, key, chain, arns=arns)

    assert answer.status_code == 201, answer.text
    [credential] = answer.json()["credentialSet"]
    given = credential["credentials"]
    world.remember(given["secretAccessKey"])
    world.remember(given["sessionToken"])
    held = {"AccessKeyId": given["accessKeyId"], "SecretAccessKey": given["secretAccessKey"], "SessionToken": given["sessionToken"]}
    # Without a name the session is called by the serial number, in hex of even length.
    assert caller(held)["Arn"].endswith(f"/{chain[0].serial_number:032x}")
    common_name = chain[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert credential["sourceIdentity"] in (f"CN={common_name}", common_name)


def other_body(_headers, _body):
    return b'{"durationSeconds": 3600}'


def unsigned_chain(headers, body):
    headers["authorization"] = headers["authorization"].replace(";x-amz-x509-chain", "")
    return body


def other_date(headers, body):
    headers["x-amz-date"] = headers["x-amz-date"][:-3] + ("00Z" if headers["x-amz-date"][-3:-1] != "00" else "01Z")
    return body


def hex_serial(headers, body):
    before, _, after = headers["authorization"].partition("Credential=")
    serial, _, rest = after.partition("/")
    headers["authorization"] = f"{before}Credential={int(serial):x}/{rest}"
    return body


@pytest.mark.parametrize("change", [other_body, unsigned_chain, other_date, hex_serial])
def test_a_changed_request_is_refused(world, account, change):
    key = KEYS["P-256"]()
    chain = certified(world, key)

    answer = create(world, account, key, chain, change=change)

    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (403, "AccessDeniedException"), answer.text
    assert answer.json()["message"] == "Signature mismatch"


def test_a_key_that_is_not_the_certificates_is_refused(world, account):
    chain = certified(world, KEYS["P-256"]())

    answer = create(world, account, KEYS["P-256"](), chain)

    assert answer.json()["message"] == "Signature mismatch"


def test_a_chain_that_ends_early_is_refused(world, account):
    key = KEYS["P-256"]()

    answer = create(world, account, key, certified(world, key)[:1])

    assert answer.json()["message"] == "Untrusted Signing Certificate"


class Recorder(http.server.BaseHTTPRequestHandler):
    """Stands where Roles Anywhere would, checks the signature, and gives a credential that opens nothing."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        path, _, query = self.path.partition("?")
        try:
            chain = createsession.verify(dict(self.headers.items()), query, body, REGION)
            self.server.seen.append((path, dict(createsession.parse_qsl(query)), json.loads(body), chain))
            status, answer = 201, self.credential(chain)
        except Exception as why:  # Whatever is amiss is the test's to see.
            self.server.seen.append(why)
            status, answer = 403, {"message": "Signature mismatch"}
        answer = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def credential(self, chain):
        role = self.server.role_arn
        session = f"{chain[0].serial_number:032x}"
        end = createsession.datetime.datetime.now(createsession.datetime.timezone.utc)
        end += createsession.datetime.timedelta(minutes=15)
        user = f"arn:aws:sts::123456789012:assumed-role/{role.rsplit('/', 1)[1]}/{session}"
        credentials = {
            "accessKeyId": "ASIAAAAAAAAAAAAAAAAA",
            "secretAccessKey": "opens-nothing-secret",
            "sessionToken": "opens-nothing-token",
            "expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        one = {"assumedRoleUser": {"arn": user, "assumedRoleId": "AROA:x"}, "credentials": credentials, "roleArn": role}
        return {"credentialSet": [one], "subjectArn": "x"}

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def recorder(world, account):
    """A server with the world's certificate."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Recorder)
    place = pathlib.Path(world.ca_file).parent
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "tls.crt", place / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.seen, server.role_arn = [], account["role_arn"]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def configure(world, text, known):
    """Adds tables to the configuration and has it read again."""
    path = pathlib.Path(world.ready["config_file"])
    path.write_text(path.read_text() + text)
    os.kill(world.process_id, signal.SIGHUP)

    def is_known():
        body = {"evidence": {"token": world.evidence()}, "relying_parties": [known]}
        answer = world.http.post(f"{world.ready['gateway']}/v1/exchange", json=body).json()
        refusal = answer.get("refusals", {}).get(known, {})
        return refusal.get("code") != "authorize.relying_party_unknown"

    world.until(is_known)


def party(name, account, world, endpoint, key):
    return (
        f'\n[[relying_party]]\nname = "{name}"\nkind = "aws_roles_anywhere"\nkey = "{key}"\n'
        f'trust_anchor_arn = "{account["trust_anchor_arn"]}"\nprofile_arn = "{account["profile_arn"]}"\n'
        f'role_arn = "{account["role_arn"]}"\nsubject = "/rp/aws/{name}"\n'
        f'endpoint = "{endpoint}"\nca_file = "{world.ca_file}"\n'
        f'\n[[grant]]\nname = "{name}"\nentries = ["shop-deploy"]\nrelying_parties = ["{name}"]\nttl = "20m"\n'
    )


@pytest.mark.parametrize("key", ["P-256", "RSA-2048"])
def test_an_independent_verifier_takes_our_signature(world, account, recorder, key):
    name = f"recorded-{key.lower()}"
    endpoint = f"https://127.0.0.1:{recorder.server_address[1]}"
    configure(world, party(name, account, world, endpoint, key), name)
    recorder.seen.clear()

    body = {"evidence": {"token": world.evidence()}, "relying_parties": [name]}
    answer = world.http.post(f"{world.ready['gateway']}/v1/exchange", json=body)

    [seen] = recorder.seen or [None]
    assert isinstance(seen, tuple), seen
    path, query, sent, chain = seen
    assert path == "/sessions"
    assert query == {
        "profileArn": account["profile_arn"],
        "roleArn": account["role_arn"],
        "trustAnchorArn": account["trust_anchor_arn"],
    }
    assert 900 <= sent["durationSeconds"] <= 1200 and sent.keys() == {"durationSeconds"}
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    [uri] = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uri == f"spiffe://dev.cambio.test/rp/aws/{name}"
    assert isinstance(chain[0].public_key(), rsa.RSAPublicKey if key == "RSA-2048" else ec.EllipticCurvePublicKey)
    assert answer.status_code == 200, answer.text


def test_boto3_reads_and_changes_what_stands_in_the_account(account):
    client = administrator(account)

    anchors = client.list_trust_anchors()["trustAnchors"]
    assert account["trust_anchor_arn"] in [anchor["trustAnchorArn"] for anchor in anchors]
    profile = client.create_profile(name="boto", roleArns=[account["role_arn"]], durationSeconds=900)["profile"]
    changed = client.update_profile(profileId=profile["profileId"], acceptRoleSessionName=True)["profile"]
    assert changed["acceptRoleSessionName"] and changed["durationSeconds"] == 900
    rules = [{"specifier": "URI"}]
    mapped = client.put_attribute_mapping(
        profileId=profile["profileId"], certificateField="x509SAN", mappingRules=rules
    )["profile"]
    assert {"certificateField": "x509SAN", "mappingRules": rules} in mapped["attributeMappings"]
    client.tag_resource(resourceArn=profile["profileArn"], tags=[{"key": "team", "value": "shop"}])
    tags = client.list_tags_for_resource(resourceArn=profile["profileArn"])["tags"]
    assert tags == [{"key": "team", "value": "shop"}]
    client.delete_profile(profileId=profile["profileId"])
    with pytest.raises(ClientError) as refused:
        client.get_profile(profileId=profile["profileId"])
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_boto3_is_refused_with_credentials_of_a_workload(world, account):
    given = world.exchange(SECTION)["credentials"][world.party(SECTION)]
    client = boto3.client(
        "rolesanywhere",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )

    with pytest.raises(ClientError) as refused:
        client.delete_trust_anchor(trustAnchorId=account["trust_anchor_arn"].rsplit("/", 1)[1])

    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


def test_a_revoked_certificate_opens_no_session_once_the_list_is_imported(world, program, account):
    key, other = KEYS["P-256"](), KEYS["P-256"]()
    answer, chain = issued(world, key)
    assert create(world, account, key, chain).status_code == 201
    published = revoke(world, program, answer["exchange_id"], chain[0])
    client = administrator(account)

    crl = client.import_crl(
        name="clients", crlData=published, trustAnchorArn=account["trust_anchor_arn"], enabled=True
    )["crl"]

    try:
        assert create(world, account, key, chain).json()["message"] == "Certificate revoked"
        assert create(world, account, other, certified(world, other)).status_code == 201
    finally:
        client.delete_crl(crlId=crl["crlId"])


def revoke(world, program, exchange_id, certificate):
    """Revokes a certificate and returns its issuer's published list once that names it."""
    ran = subprocess.run(
        [program, "revoke", "serial", f"{certificate.serial_number:032x}", "--reason", "a test"],
        env={**os.environ, "CAMBIO_ADMIN": world.ready["admin"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    [minted] = world.entries(exchange_id, 1)
    url = f"{world.ready['issuer']}/.well-known/crl/{minted['svid']['key_id']}.crl"
    found = []

    def names_it():
        answer = world.http.get(url)
        assert answer.status_code == 200, answer.text
        found[:] = [answer.content]
        revoked = x509.load_der_x509_crl(answer.content)
        return revoked.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None

    world.until(names_it)
    return found[0]
