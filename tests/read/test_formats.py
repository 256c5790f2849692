"""The table of formats: every row works, and names of exposures have no ending of any."""

from pathlib import Path

import pytest

from ohana.read.formats import ENDINGS, FORMATS
from ohana.read.integrations import exposure_name


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: each.name)
def test_every_reader_can_be_imported(each):
    assert callable(each.load_reader())


def test_no_two_formats_share_first_bytes_or_endings():
    magic = [start for each in FORMATS for start in each.magic]
    endings = [ending for each in FORMATS for ending in each.endings]
    assert len(set(magic)) == len(magic)
    assert len(set(endings)) == len(endings) == len(ENDINGS)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_name_of_an_exposure_has_no_ending(ending):
    for name in (f"dark_v1.5{ending}", f"dark_v1.5{ending.upper()}", f"dark_v1.5{ending}.gz"):
        assert exposure_name(Path("night.2") / name) == "dark_v1.5"
    assert exposure_name(Path(f"a{ending}.d")) == f"a{ending}.d"
