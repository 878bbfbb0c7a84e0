"""CreateSession of IAM Roles Anywhere, signed and verified by the documented steps with `cryptography` alone.

Source: IAM Roles Anywhere User Guide, "Signing process". No line of Cambio takes part.
"""

import base64
import datetime
import hashlib
from urllib.parse import parse_qsl, quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

PATH = "/sessions"


def canonical_query(pairs):
    return "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs))


def string_to_sign(algorithm, scope, query, headers, signed_headers, body):
    """Steps 1 and 2: the canonical request, and what is signed of it."""
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in signed_headers)
    canonical = "\n".join(
        ["POST", PATH, query, lines, ";".join(signed_headers), hashlib.sha256(body).hexdigest()]
    )
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    return f"{algorithm}\n{headers['x-amz-date']}\n{scope}\n{hashed}".encode()


def algorithm_of(key):
    return "AWS4-X509-RSA-SHA256" if isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey)) else "AWS4-X509-ECDSA-SHA256"


def sign(key, chain, region, host, query, body):
    """Returns the headers of a signed request; `chain` are certificates, the key's own first."""
    der = [base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode() for one in chain]
    now = datetime.datetime.now(datetime.timezone.utc)
    headers = {
        "content-type": "application/json",
        "host": host,
        "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
        "x-amz-x509": der[0],
        # Signed although nothing demands it, as the service's own client does.
        "amz-sdk-request": "attempt=1; max=3",
    }
    if der[1:]:
        headers["x-amz-x509-chain"] = ",".join(der[1:])
    names = sorted(headers)
    scope = f"{now:%Y%m%d}/{region}/rolesanywhere/aws4_request"
    algorithm = algorithm_of(key)
    message = string_to_sign(algorithm, scope, canonical_query(query), headers, names, body)
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    else:
        signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
    headers["authorization"] = (
        f"{algorithm} Credential={chain[0].serial_number}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature.hex()}"
    )
    return headers


def verify(headers, raw_query, body, region):
    """Checks a request and returns the certificate that signed it; raises where anything is amiss."""
    headers = {name.lower(): value for name, value in headers.items()}
    algorithm, _, fields = headers["authorization"].partition(" ")
    fields = dict(field.strip().split("=", 1) for field in fields.split(","))
    chain = [headers["x-amz-x509"], *filter(None, headers.get("x-amz-x509-chain", "").split(","))]
    chain = [x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in chain]
    leaf = chain[0]
    names = fields["SignedHeaders"].split(";")
    required = {"host", "x-amz-date", "x-amz-x509"} | ({"x-amz-x509-chain"} & headers.keys())
    assert names == sorted(names) and required <= set(names), names
    scope = f"{headers['x-amz-date'][:8]}/{region}/rolesanywhere/aws4_request"
    assert fields["Credential"] == f"{leaf.serial_number}/{scope}", fields["Credential"]
    assert fields["Signature"] == fields["Signature"].lower()
    query = canonical_query(parse_qsl(raw_query, keep_blank_values=True, strict_parsing=True))
    message = string_to_sign(algorithm, scope, query, headers, names, body)
    key, signature = leaf.public_key(), bytes.fromhex(fields["Signature"])
    assert algorithm == algorithm_of(key), algorithm
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    else:
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    for certificate, issuer in zip(chain, chain[1:]):
        certificate.verify_directly_issued_by(issuer)
    return chain
