"""Fixtures: the world that `.ci/clients` started, and an environment in which a client finds nothing but what a test says."""

import os
import pathlib

import pytest

from world import World, another_repository

# What decides how a client behaves must come from the test, not from the machine.
FOREIGN = ("AWS_", "AZURE_", "CLOUDSDK_", "CURL_", "GCE_", "GCLOUD_", "GOOGLE_", "IDENTITY_", "MSI_", "NODE_", "REQUESTS_", "SSL_")
FOREIGN_NAMES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")


@pytest.fixture(scope="session")
def world():
    """The running development world."""

    def given(name):
        value = os.environ.get(name)
        assert value, f"{name} is not set: run .ci/clients, which starts `cambio dev` and tells these tests where it is"
        return value

    outputs = [pathlib.Path(given("CAMBIO_DEV_STDOUT")), pathlib.Path(given("CAMBIO_DEV_STDERR"))]
    return World(pathlib.Path(given("CAMBIO_DEV_READY")), int(given("CAMBIO_DEV_PID")), outputs)


@pytest.fixture(scope="session")
def program(world):
    """The `cambio` program that runs the world."""
    return os.environ["CAMBIO_BIN"]


@pytest.fixture(scope="session")
def neighbour(world):
    """Claims of another admitted workload, which the gateway knows and no cloud trusts."""
    # Another branch as well, so that for a job of yet another repository the example's entry stays the closest.
    job = {"repository_id": another_repository(), "ref": "refs/heads/release"}
    world.admit("neighbour-deploy", "/ci/acme/neighbour/deploy", job)
    return job


@pytest.fixture(autouse=True)
def setting(monkeypatch, tmp_path, world):
    """Sets the variables by which clients are configured; patches no client."""
    for name in list(os.environ):
        if name.startswith(FOREIGN) or name.upper() in FOREIGN_NAMES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CA_BUNDLE", world.ca_file)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", world.ca_file)

    def set_variables(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return set_variables


@pytest.fixture
def token_file(tmp_path):
    """Writes a token to a file as a workload's platform does: the token and nothing else."""

    def write(token):
        path = tmp_path / "token"
        path.write_text(token)
        return path

    return write
