"""The running development world, as a client sees it: the ready file, a CI system, a gateway and its audit file.

It speaks plain HTTP where no official client exists, and never reads the store or the source of Cambio.
"""

import base64
import json
import os
import pathlib
import secrets
import signal
import time

import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
PATIENCE_SECONDS = 10


class World:
    """What `cambio dev` started, and every secret that went through these tests."""

    def __init__(self, ready_file, process_id, outputs):
        self.ready = json.loads(ready_file.read_text())
        self.ca_file = self.ready["ca_file"]
        self.process_id = process_id
        self.outputs = outputs
        self.secrets = set()
        self.http = requests.Session()
        # Otherwise REQUESTS_CA_BUNDLE and proxies of the machine would decide.
        self.http.trust_env = False
        self.http.verify = self.ca_file

    def party(self, section):
        """Returns the relying party's name for `aws`, `azure` or `gcp`."""
        return self.ready["relying_parties"][section]

    def remember(self, secret):
        """Notes a secret, which must then stand in no file that `cambio dev` writes for people."""
        self.secrets.add(secret)
        if secret.count(".") == 2:
            # A part of a token is as bad as the whole.
            self.secrets.update(part for part in secret.split(".")[1:] if len(part) > 40)
        return secret

    def evidence(self, **changed):
        """Returns a fresh token of the CI system for the example job with some claims changed."""
        answer = self.http.post(f"{self.ready['ci_issuer']}/token", json={**self.ready["example"], **changed})
        answer.raise_for_status()
        return self.remember(answer.json()["token"])

    def ask_for_svid(self, section, **changed):
        """Asks for the JWT-SVID that a relying party takes and returns the answer."""
        form = {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": self.evidence(**changed),
            "subject_token_type": JWT,
            "requested_token_type": JWT,
            "audience": self.party(section),
        }
        return self.http.post(f"{self.ready['gateway']}/v1/token", data=form)

    def svid(self, section, **changed):
        """Returns a fresh JWT-SVID for a relying party."""
        answer = self.ask_for_svid(section, **changed)
        assert answer.status_code == 200, answer.text
        return self.remember(answer.json()["access_token"])

    def ask_for_credentials(self, *sections, **changed):
        """Exchanges one job's token at the gateway and returns the answer."""
        body = {
            "evidence": {"token": self.evidence(**changed)},
            "relying_parties": [self.party(section) for section in sections],
        }
        return self.http.post(f"{self.ready['gateway']}/v1/exchange", json=body)

    def exchange(self, *sections):
        """Exchanges one job's token for the credentials of several clouds."""
        answer = self.ask_for_credentials(*sections)
        assert answer.status_code == 200, answer.text
        answer = answer.json()
        assert answer["refusals"] == {}, answer["refusals"]
        for credential in answer["credentials"].values():
            for member in ("SecretAccessKey", "SessionToken", "access_token"):
                if member in credential:
                    self.remember(credential[member])
        return answer

    def entries(self, exchange_id, expected):
        """Returns the audit file's entries about an exchange, in their order, once there are as many as expected.

        The store's trail is what an answer waits for; the file is a copy made after the commit.
        """
        found = []

        def complete():
            lines = pathlib.Path(self.ready["audit_file"]).read_text().splitlines(keepends=True)
            entries = [json.loads(line) for line in lines if line.endswith("\n")]
            found[:] = [entry for entry in entries if entry.get("exchange_id") == exchange_id]
            return len(found) >= expected

        self.until(complete)
        assert len(found) == expected, found
        return found

    def admit(self, entry, spiffe_id, job):
        """Adds a registration entry to the configuration, grants it what the example has, and has it read again."""
        repository_id, ref = job["repository_id"], job["ref"]
        path = pathlib.Path(self.ready["config_file"])
        before = path.read_text()
        after = before.replace('entries = ["shop-deploy"]', f'entries = ["shop-deploy", "{entry}"]')
        assert after != before, "the development configuration grants nothing to `shop-deploy`"
        after += (
            f'\n[[entry]]\nname = "{entry}"\nattestor = "github"\n'
            f'match = {{ "ci.repo_id" = "{repository_id}", "ci.ref" = "{ref}" }}\nspiffe_id = "{spiffe_id}"\n'
        )
        path.write_text(after)
        os.kill(self.process_id, signal.SIGHUP)
        self.until(lambda: self.ask_for_svid("aws", **job).status_code == 200)

    def add_mesh(self, name, dns_name):
        """Adds a relying party for certificates, grants it to the example, and has the configuration read again."""
        path = pathlib.Path(self.ready["config_file"])
        before = path.read_text()
        if f'name = "{name}"' in before:
            return
        after = before.replace("relying_parties = [", f'relying_parties = ["{name}", ', 1)
        assert after != before, "the development configuration has no grant"
        after += f'\n[[relying_party]]\nname = "{name}"\nkind = "svid"\nx509 = true\ndns_names = ["{dns_name}"]\n'
        path.write_text(after)
        os.kill(self.process_id, signal.SIGHUP)
        self.until(lambda: self.knows(name))

    def knows(self, name):
        """Returns whether the gateway knows a relying party."""
        body = {"evidence": {"token": self.evidence()}, "relying_parties": [name]}
        answer = self.http.post(f"{self.ready['gateway']}/v1/exchange", json=body).json()
        return answer["refusals"][name]["code"] == "mint.csr_missing"

    def ask_for(self, name, csr=""):
        """Asks for an X.509-SVID and returns the answer."""
        body = {"evidence": {"token": self.evidence()}, "csr": csr, "relying_party": name}
        return self.http.post(f"{self.ready['gateway']}/v1/svid/x509", json=body)

    @staticmethod
    def until(condition):
        """Waits for a condition that must come true soon."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < end, f"not so within {PATIENCE_SECONDS} s"
            time.sleep(0.2)


def claims_unverified(token):
    """Returns the claims of a token without verifying anything."""
    return json.loads(_decoded(token.split(".")[1]))


def forged(token):
    """Returns the same header and claims, signed by a key that the issuer never published."""
    signed = token.rsplit(".", 1)[0]
    assert json.loads(_decoded(token.split(".")[0]))["alg"] == "RS256"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return f"{signed}.{_encoded(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def retold(token, **changed):
    """Returns the token with some claims changed under the signature of the others."""
    header, _, signature = token.split(".")
    claims = json.dumps({**claims_unverified(token), **changed}).encode()
    return f"{header}.{_encoded(claims)}.{signature}"


def another_repository():
    """Returns a repository id that no entry names."""
    return str(10**9 + secrets.randbelow(10**9))


def _decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encoded(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
