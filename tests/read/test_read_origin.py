"""Detector and time of an exposure from headers of all kinds."""

import h5py
import numpy as np
import pytest

from ohana.ramp import ExposureInfo
from ohana.read import open_exposure
from ohana.read.detector import origin_of


@pytest.mark.parametrize(
    ("header", "start"),
    [
        ({"EXPSTART": 60369.25, "DATE-OBS": "1999-01-01"}, "2024-02-29T06:00:00.000"),
        ({"MJD-OBS": 60369}, "2024-02-29T00:00:00.000"),
        ({"DATE-BEG": "2024-02-29T06:00:00.1234"}, "2024-02-29T06:00:00.123"),
        ({"DATE-OBS": "2024-02-29", "TIME-OBS": "06:00:01"}, "2024-02-29T06:00:01.000"),
        ({"DATE-OBS": "2024-02-29T06:00:00", "UT": "01:00:00"}, "2024-02-29T06:00:00.000"),
        ({"DATE-OBS": "2024-02-29T06:00:00+02:00"}, "2024-02-29T04:00:00.000"),
        ({"DATE-OBS": "2024-02-29T06:00:00Z"}, "2024-02-29T06:00:00.000"),
        ({"DATE-OBS": "2024-02-29"}, "2024-02-29T00:00:00.000"),
        ({"DATE-OBS": "29/02/24"}, ""),
        ({"DATE-OBS": "soon", "TIME-OBS": "12:00"}, ""),
        ({"MJD-OBS": 0.0}, ""),
        ({"EXPSTART": 1e12}, ""),
        ({"EXPSTART": "now"}, ""),
        ({}, ""),
    ],
)
def test_begin(header, start):
    assert origin_of([header]).start == start


def test_the_first_header_counts():
    headers = [
        {"DETECTOR": "", "SUBSTRT1": 9},
        {"DETECTOR": "ir", "TELESCOP": "HST", "SUBSTRT1": 1},
    ]
    found = origin_of(headers)
    assert found == ExposureInfo("HST", "", "IR", "", (0, 8))


def test_attributes_of_hdf5(tmp_path):
    with h5py.File(tmp_path / "dark.h5", "w") as file:
        file["data"] = np.ones((5, 8, 8), np.uint16)
        file.attrs["DETECTOR"] = np.bytes_("h2rg-1")
        file["data"].attrs["DATE-OBS"] = "2024-02-29T06:00:00"
    [ramp] = open_exposure(tmp_path / "dark.h5")
    assert ramp.facts.origin == ExposureInfo("", "", "H2RG-1", "2024-02-29T06:00:00.000", (0, 0))


def test_what_has_no_header_has_no_origin(tmp_path):
    np.save(tmp_path / "dark.npy", np.ones((5, 8, 8), np.uint16))
    assert open_exposure(tmp_path / "dark.npy")[0].facts.origin == ExposureInfo()
