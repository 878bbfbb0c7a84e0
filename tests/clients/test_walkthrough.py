"""The walkthrough of IAM Roles Anywhere, run with AWS's own command line: what it prints is what the page says."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

PAGE = pathlib.Path(__file__).parents[2] / "src" / "manual" / "roles-anywhere.md"
SECONDS = 120
# What is another one each time: times, exchange ids, identifiers of AWS.
DRAWN = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
    (r"[0-9a-f]{32}", "HEX"),
    (r"AROA[A-Z0-9]+", "AROA"),
)


def comparable(text):
    for pattern, name in DRAWN:
        text = re.sub(pattern, name, text)
    return text.split()


def test_the_walkthrough_of_roles_anywhere_does_what_it_says(program, tmp_path):
    missing = [needed for needed in ("bash", "curl", "jq") if not shutil.which(needed)]
    if missing:
        print(f"LEFT OUT: the walkthrough of Roles Anywhere: no {missing}", file=sys.__stderr__)
        pytest.skip(f"no {missing}")
    # What commands print stands right below them.
    blocks = re.findall(r"^```sh\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    steps = [commands for commands, _ in blocks]
    script = ["trap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT", "set -e"]
    for number, commands in enumerate(steps):
        (tmp_path / f"step-{number}").write_text(commands)
        script.append(f"{{ . {tmp_path}/step-{number}; }} > {tmp_path}/printed-{number} 2>&1")
    (tmp_path / "script").write_text("\n".join(script) + "\n")
    path = [pathlib.Path(program).parent, pathlib.Path(sys.executable).parent, os.environ["PATH"]]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CAMBIO_"))}

    ran = subprocess.run(
        ["bash", "script"],
        cwd=tmp_path,
        env={**kept, "PATH": os.pathsep.join(map(str, path)), "AWS_EC2_METADATA_DISABLED": "true"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=SECONDS,
        check=False,
    )

    printed = [(tmp_path / f"printed-{number}") for number in range(len(steps))]
    printed = [path.read_text() if path.exists() else "" for path in printed]
    assert ran.returncode == 0, printed
    expected = [said for _, said in blocks]
    assert len([said for said in expected if said]) >= 5, "blocks of commands have what they print below them"
    for commands, found, said in zip(steps, printed, expected):
        assert comparable(found) == comparable(said), f"{commands}\nprinted:\n{found}"
