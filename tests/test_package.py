"""What a user of the package can rely on: a quick quiet import and names that exist."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest

import ohana

ROOT = Path(__file__).parents[1]
HEAVY = ("numpy", "numba", "scipy", "astropy", "torch", "matplotlib", "rich", "pydantic")


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_import_is_quiet_and_loads_nothing_heavy():
    result = run_python(
        "import sys, ohana\n"
        f"print([name for name in {HEAVY} if name in sys.modules], ohana.__version__)"
    )
    assert result.stdout == f"[] {ohana.__version__}\n"
    assert result.stderr == ""


@pytest.mark.parametrize("name", sorted(ohana.__all__))
def test_every_public_name_can_be_had(name):
    assert getattr(ohana, name) is not None
    assert name in dir(ohana)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'ohana' has no attribute 'nonsense'"):
        _ = ohana.nonsense


def test_version_is_the_same_everywhere():
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["version"] == ohana.__version__
    assert f"## {ohana.__version__}" in (ROOT / "CHANGES.md").read_text()


def test_pinned_versions_cover_all_that_is_installed():
    pinned = {
        re.split(r"==", line)[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    wanted = {re.match(r"[\w-]+", text)[0].lower() for text in requires("ohana")}
    assert wanted <= pinned
    assert "://" not in (ROOT / "constraints.txt").read_text()


def test_compiled_code_has_a_place_where_nothing_can_be_written():
    result = run_python(
        "import os; os.access = lambda *_: False; os.environ.pop('NUMBA_CACHE_DIR', None)\n"
        "import ohana; place = os.environ['NUMBA_CACHE_DIR']; print(place, os.path.isdir(place))"
    )
    place, was_there = result.stdout.split()
    assert was_there == "True"
    assert not Path(place).exists()
