"""SPIFFE's own library takes our SVIDs and our bundle, refuses what is none, and two SVIDs speak mutual TLS."""

import base64
import json
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from spiffe import JwtBundle, JwtSvid, TrustDomain, X509Bundle, X509Svid
from spiffe.bundle.jwt_bundle.errors import AuthorityNotFoundError, ParseJWTBundleError
from spiffe.svid.errors import InvalidLeafCertificateError, InvalidTokenError

from world import claims_unverified, forged, retold

MESH = "mesh-dev"
DNS_NAME = "shop.cambio.test"


@pytest.fixture(scope="module", autouse=True)
def mesh(world):
    """The example job gets certificates."""
    world.add_mesh(MESH, DNS_NAME)


def request(key, *extensions):
    """Returns a certificate request; its subject means nothing."""
    builder = x509.CertificateSigningRequestBuilder()
    builder = builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whatever")]))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def private(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def issued(world, key):
    answer = world.ask_for(MESH, request(key))
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def bundle(world):
    answer = world.http.get(f"{world.ready['issuer']}/.well-known/spiffe/bundle.json")
    assert answer.status_code == 200, answer.text
    return answer.json()


KEYS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA-2048": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.mark.parametrize("kind", KEYS)
def test_the_library_takes_our_x509_svid_for_each_kind_of_key(world, kind):
    key = KEYS[kind]()
    answer = issued(world, key)

    svid = X509Svid.parse(answer["chain"].encode(), private(key))

    assert str(svid.spiffe_id) == answer["spiffe_id"]
    assert len(svid.cert_chain) == 2
    names = svid.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [DNS_NAME]


def test_the_library_reads_the_roots_of_the_bundle_and_they_are_those_of_the_answer(world, bundle):
    domain = TrustDomain(issued(world, KEYS["P-256"]())["spiffe_id"].split("/")[2])
    answer = issued(world, KEYS["P-256"]())
    published = b"".join(base64.b64decode(key["x5c"][0]) for key in bundle["keys"] if key["use"] == "x509-svid")

    roots = X509Bundle.parse_raw(domain, published).x509_authorities

    assert roots == X509Bundle.parse(domain, answer["bundle"].encode()).x509_authorities
    (root,) = roots
    _leaf, intermediate = x509.load_pem_x509_certificates(answer["chain"].encode())
    intermediate.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)


def jwt_bundle(keys):
    """Returns the library's bundle; it reads key sets, so that the roots, which have no key id, stay out."""
    return JwtBundle.parse(TrustDomain("dev.cambio.test"), json.dumps({"keys": keys}).encode())


def jwt_authorities(bundle):
    return [key for key in bundle["keys"] if key["use"] == "jwt-svid"]


def test_the_library_reads_the_jwt_authorities_of_the_bundle(bundle):
    authorities = jwt_authorities(bundle)

    read = jwt_bundle(authorities).jwt_authorities

    assert set(read) == {key["kid"] for key in authorities}
    kinds = {key["kid"]: key["kty"] for key in authorities}
    for kid, key in read.items():
        assert isinstance(key, {"RSA": rsa.RSAPublicKey, "EC": ec.EllipticCurvePublicKey}[kinds[kid]])


def test_the_library_verifies_our_jwt_svid_with_the_bundle(world, bundle):
    token = world.svid("aws")
    audience = claims_unverified(token)["aud"]

    svid = JwtSvid.parse_and_validate(token, jwt_bundle(jwt_authorities(bundle)), {audience})

    assert str(svid.spiffe_id).startswith("spiffe://dev.cambio.test/")


def test_the_library_refuses_another_audience_a_foreign_key_and_what_was_changed(world, bundle):
    token = world.svid("aws")
    audience = claims_unverified(token)["aud"]
    authorities = jwt_authorities(bundle)
    others = [key for key in authorities if key["kid"] != key_id(token)]

    for refusal, text, presented, keys, expected in (
        (InvalidTokenError, "Audience", token, authorities, "https://other.test"),
        (AuthorityNotFoundError, key_id(token), token, others, audience),
        (InvalidTokenError, "Signature", retold(token, aud="https://other.test"), authorities, "https://other.test"),
        (InvalidTokenError, "Signature", forged(token), authorities, audience),
    ):
        with pytest.raises(refusal, match=text):
            JwtSvid.parse_and_validate(presented, jwt_bundle(keys), {expected})


def test_the_library_refuses_a_bundle_whose_keys_have_no_id(bundle):
    nameless = [{name: value for name, value in key.items() if name != "kid"} for key in jwt_authorities(bundle)]

    with pytest.raises(ParseJWTBundleError):
        jwt_bundle(nameless)


def key_id(token):
    header = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]


def test_the_library_refuses_our_intermediate_and_our_root_as_svids(world):
    key = KEYS["P-256"]()
    answer = issued(world, key)
    _leaf, intermediate = x509.load_pem_x509_certificates(answer["chain"].encode())

    for authority in (intermediate.public_bytes(serialization.Encoding.PEM), answer["bundle"].encode()):
        with pytest.raises(InvalidLeafCertificateError):
            X509Svid.parse(authority, private(key))


def test_a_request_for_a_name_gets_nothing(world):
    key = KEYS["P-256"]()
    for extension, code in (
        (x509.SubjectAlternativeName([x509.DNSName(DNS_NAME)]), "csr.asks_for_names"),
        (x509.BasicConstraints(ca=True, path_length=None), "csr.asks_for_authority"),
    ):
        answer = world.ask_for(MESH, request(key, extension))
        assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_two_svids_speak_mutual_tls_and_a_stranger_does_not(world, tmp_path):
    def context(side, name):
        key = KEYS["P-256"]()
        answer = issued(world, key)
        (tmp_path / f"{name}.crt").write_text(answer["chain"])
        (tmp_path / f"{name}.key").write_bytes(private(key))
        (tmp_path / "roots.pem").write_text(answer["bundle"])
        made = ssl.SSLContext(side)
        made.load_cert_chain(tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
        made.load_verify_locations(tmp_path / "roots.pem")
        made.verify_mode = ssl.CERT_REQUIRED
        return made

    server = context(ssl.PROTOCOL_TLS_SERVER, "server")
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    seen = []

    def serve():
        for _ in range(2):
            connection, _address = listener.accept()
            try:
                with server.wrap_socket(connection, server_side=True) as secured:
                    seen.append(secured.getpeercert()["subjectAltName"])
                    secured.sendall(b"served")
            except ssl.SSLError as refused:
                seen.append(refused.reason)

    thread = threading.Thread(target=serve)
    thread.start()

    def call(client):
        with socket.create_connection(listener.getsockname(), timeout=10) as connection:
            with client.wrap_socket(connection, server_hostname=DNS_NAME) as secured:
                return secured.recv(16)

    assert call(context(ssl.PROTOCOL_TLS_CLIENT, "client")) == b"served"
    stranger = ssl.create_default_context(cafile=tmp_path / "roots.pem")
    with pytest.raises(OSError):
        call(stranger)
    thread.join(10)
    listener.close()

    assert ("URI", "spiffe://dev.cambio.test/ci/acme/shop/deploy") in seen[0]
    assert seen[1] == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
