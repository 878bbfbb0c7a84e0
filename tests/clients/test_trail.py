"""No secret that went through these tests stands anywhere in what `cambio dev` writes for people.

Its name puts it last, so that it judges every secret of the run; alone, it judges those of its own exchange.
"""

import pathlib

CLOUDS = ("aws", "gcp", "azure")


def test_no_secret_stands_in_the_audit_file_or_in_what_the_process_prints(world):
    for cloud in CLOUDS:
        world.svid(cloud)
    world.exchange(*CLOUDS)
    denied = world.ask_for_credentials("aws", event_name="pull_request").json()["exchange_id"]
    # Once the last entry is there, so are those before it.
    world.entries(denied, 1)
    audit = pathlib.Path(world.ready["audit_file"]).read_text()
    printed = "".join(path.read_text() for path in world.outputs)

    assert "serving until interrupted" in printed, "the output that was searched is not that of the process"
    # 8 tokens of 3 parts at least; were there none, nothing would have been searched for.
    assert len(world.secrets) >= 12
    for secret in world.secrets:
        assert len(secret) >= 30, "too short to tell a leak from chance"
        # Not `secret in audit` in the assertion: a failure must not print what leaked.
        where = [name for name, text in (("audit file", audit), ("output", printed)) if secret in text]
        assert where == [], f"a secret that ends in ..{secret[-4:]} stands there"
