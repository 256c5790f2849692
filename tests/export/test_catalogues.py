"""Catalogues as ECSV, Parquet and DS9 regions: units, what is not known, coordinates."""

import json
import re

import numpy as np
import pandas
import pytest
from astropy import units as u
from astropy.table import QTable
from pyarrow import parquet
from regions import Regions
from summaries import event, telegraph, write_results

import ohana.export.table
from ohana import Predictor
from ohana.errors import OhanaError
from ohana.export.columns import COLUMNS, event_columns
from ohana.export.exposure import find_exposures
from ohana.export.formats import FORMATS, remove_catalogues, wanted_formats, write_catalogues
from ohana.export.regions import regions_of, write_regions
from ohana.export.table import writing_parquet

SNOWBALL = event(
    "snowball", 40, 50, spatial_extent=100, mean_intensity=7.5, core_radius=3.5, halo_radius=9.0,
    centroid=[40.25, 50.5], saturated=True, first_frame=0,
)  # fmt: skip
RAY = event(saturated=False, step_amplitude=100.0, step_error=8.0)
UNKNOWN = event(row=7, mean_intensity=None, max_intensity=None, significance=None)
EVENTS = [SNOWBALL, RAY, UNKNOWN, telegraph(10, 11)]


@pytest.fixture
def folder(tmp_path):
    return write_results(tmp_path / "dark", EVENTS, "2024-02-29T06:00:00.000")


def columns_of(folder):
    [exposure], _ = find_exposures(folder)
    return event_columns(json.loads((folder / "detections.json").read_text()), exposure)


def test_columns(folder):
    columns = columns_of(folder)
    assert columns.keys() == {column.name for column in COLUMNS}
    assert columns["exposure"].tolist() == ["dark"] * 4
    assert columns["mjd"].tolist() == [60369.25] * 4
    assert columns["row"].tolist() == [40, 20, 7, 10]
    assert columns["row"].dtype == np.int64
    assert columns["centroid_row"].tolist() == [40.25, 20, 7, 10]
    assert columns["col_stop"].tolist() == [51, 31, 31, 12]
    assert columns["first_frame"].tolist() == [0, 5, 5, None]
    assert columns["time"].tolist() == [10, 60, 60, None]
    # 100 pixels of 7.5 DN and 2 e-/DN; levels of telegraph noise are no charge.
    assert columns["charge"].tolist() == [1500, 200, None, None]
    assert columns["saturated"].tolist() == [True, False, None, None]
    assert columns["n_levels"].tolist() == [None, None, None, 2]
    assert columns["trailed"].mask.all()


def test_no_charge_without_a_known_gain(tmp_path):
    facts = {"sources": {"gain": "default"}}
    folder = write_results(tmp_path / "dark", EVENTS, facts=facts)
    assert columns_of(folder)["charge"].mask.all()
    assert columns_of(folder)["mjd"].mask.all()


def test_an_event_after_the_last_read(tmp_path):
    folder = write_results(tmp_path / "dark", [event(first_frame=20)])
    with pytest.raises(OhanaError, match="first_frame: wanted one of 20 reads, got 20"):
        columns_of(folder)


def test_ecsv(folder):
    [path] = write_catalogues(folder, ["ecsv"])
    table = QTable.read(path)
    assert table["max_intensity"].unit == u.DN
    assert table["charge"].unit == u.electron
    assert table["charge"][0] == 1500 * u.electron
    assert table["charge"].mask.tolist() == [False, False, True, True]
    assert table["first_frame"].mask.tolist() == [False, False, False, True]
    assert table["type"].tolist()[3] == "telegraph_noise"
    assert table["row"].dtype.kind == "i"
    assert table["saturated"].dtype == bool
    assert table["core_radius"][0] == 3.5 * u.pix
    assert table["row"].info.description == "Row of the strongest pixel, from 0"
    assert table.meta["detector"] == "NRCA1"
    assert table.meta["live_time_s"] == 190
    assert table.meta["active_pixels"] == 56 * 100
    assert "trailed" not in table.colnames  # not one value


def test_parquet(folder):
    [path] = write_catalogues(folder, ["parquet"])
    table = parquet.read_table(path)
    assert table.column_names == [column.name for column in COLUMNS]
    for name, kind, unit, description in COLUMNS:
        told = table.schema.field(name).metadata
        assert told.get(b"unit", b"").decode() == unit
        assert told[b"description"].decode() == description
        wanted = {str: "string", int: "int32", float: "double", bool: "bool"}[kind]
        assert str(table.schema.field(name).type) == wanted
    assert table["first_frame"].to_pylist() == [0, 5, 5, None]
    assert table["max_intensity"].null_count == 1
    assert table["saturated"].to_pylist() == [True, False, None, None]
    assert table.schema.metadata[b"start_utc"] == b"2024-02-29T06:00:00.000"


def test_parquet_is_read_by_astropy(folder):
    table = QTable.read(write_catalogues(folder, ["parquet"])[0])
    assert table["charge"][0] == 1500 * u.electron
    assert table["type"][3] == "telegraph_noise"
    assert table.meta["detector"] == "NRCA1"


def test_parquet_is_read_by_pandas(folder):
    table = pandas.read_parquet(write_catalogues(folder, ["parquet"])[0])
    assert table["first_frame"].fillna(-1).tolist() == [0, 5, 5, -1]
    assert table["charge"].dtype == np.float64


def test_no_event(tmp_path):
    folder = write_results(tmp_path / "dark")
    for path in write_catalogues(folder, FORMATS):
        assert path.stat().st_size > 0
    assert len(QTable.read(folder / "detections.ecsv")) == 0
    assert parquet.read_table(folder / "detections.parquet").num_rows == 0


@pytest.mark.parametrize("rows", [1, 6, 100])
def test_many_exposures_in_one_file(folder, tmp_path, monkeypatch, rows):
    """Whatever is written together, the order stays, and every exposure can be chosen."""
    monkeypatch.setattr(ohana.export.table, "GROUP", rows)
    path, columns = tmp_path / "all.parquet", columns_of(folder)
    exposures, _ = find_exposures(folder)
    with writing_parquet(path, exposures, {}) as add:
        for number in range(3):
            names = np.ma.masked_array([f"dark{number}"] * 4, dtype=object)
            add(columns | {"exposure": names})
    table = parquet.read_table(path)
    assert table["exposure"].to_pylist() == [f"dark{k}" for k in range(3) for _ in range(4)]
    some = parquet.read_table(path, filters=[("exposure", "=", "dark1")])
    assert some["row"].to_pylist() == [40, 20, 7, 10]


def test_what_fails_leaves_the_older_file(folder, tmp_path):
    path = tmp_path / "all.parquet"
    path.write_bytes(b"older")
    exposures, _ = find_exposures(folder)

    def fail():
        with writing_parquet(path, exposures, {}) as add:
            add(columns_of(folder))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == b"older"
    assert [item.name for item in tmp_path.iterdir() if item.is_file()] == ["all.parquet"]


def numbers(line):
    """Return the numbers in the first brackets of a line."""
    return [float(number) for number in re.search(r"\((.*?)\)", line)[1].split(",")]


def test_regions_count_from_one(tmp_path):
    path = write_regions(tmp_path / "x.reg", EVENTS)
    head, _, system, *lines = path.read_text().splitlines()
    assert head == "# Region file format: DS9 version 4.1"
    assert system == "image"
    core, halo, ray, _, spot = lines
    assert numbers(core) == [51.5, 41.25, 3.5]
    assert numbers(halo) == [51.5, 41.25, 9.0]
    assert "dash=1" in halo
    # The pixel at row 20, column 30 is (31, 21) in DS9, with edges half a pixel away.
    corners = np.array(numbers(ray)).reshape(-1, 2)
    assert sorted(map(tuple, corners)) == [(30.5, 20.5), (30.5, 21.5), (31.5, 20.5), (31.5, 21.5)]
    assert "color=#FF9248" in ray
    assert "tag={read 5}" in ray
    assert numbers(spot) == [12, 11]
    assert "read" not in spot


def test_a_polygon_holds_all_pixels_of_a_track():
    """A diagonal track: every centre is inside, the corners off the diagonal are not."""
    pixels = [[5, 5], [6, 6], [7, 6], [8, 8]]
    [line] = regions_of(event(pixels=pixels, spatial_extent=4))
    corners = np.array(numbers(line)).reshape(-1, 2)
    ahead = np.roll(corners, -1, axis=0) - corners

    def inside(row, col):
        away = np.array([col + 1, row + 1]) - corners
        return bool((ahead[:, 0] * away[:, 1] - ahead[:, 1] * away[:, 0] > 0).all())

    assert all(inside(*pixel) for pixel in pixels)
    assert not inside(5, 8)
    assert not inside(8, 5)


def test_a_snowball_without_radii():
    [line] = regions_of(event("snowball", spatial_extent=314))
    assert numbers(line)[2] == pytest.approx(10, abs=0.01)


def test_regions_are_read_by_the_package_for_them(tmp_path):
    path = write_regions(tmp_path / "x.reg", EVENTS)
    core, halo, ray, _, spot = Regions.read(path, format="ds9")
    assert (core.center.x, core.center.y, core.radius) == (50.5, 40.25, 3.5)
    assert halo.radius == 9
    assert (ray.vertices.x.mean(), ray.vertices.y.mean()) == (30, 20)
    assert (spot.center.x, spot.center.y) == (11, 10)
    assert spot.visual["color"] == "#5CB8F0"


def test_formats():
    assert wanted_formats("parquet,ecsv,ecsv") == ["ecsv", "parquet"]
    for wrong in ("", "ecsv,csv", ","):
        with pytest.raises(ValueError, match="wanted some of ecsv,parquet,regions, got"):
            wanted_formats(wrong)


def test_no_catalogue_of_what_is_not_whole(folder):
    (folder / "run.json").unlink()
    with pytest.raises(OhanaError, match=r"dark: no run.json: the run did not finish"):
        write_catalogues(folder, ["ecsv"])


def test_removed(folder):
    write_catalogues(folder, FORMATS)
    remove_catalogues(folder)
    assert {path.name for path in folder.iterdir()} == {"detections.json", "run.json"}


def test_a_prediction_writes_them_and_never_leaves_those_of_another(tmp_path):
    rng = np.random.default_rng(1)
    cube = 1000 + np.cumsum(rng.normal(1, 2, (12, 16, 32)), 0).astype(np.float32)
    cube[6:, 8, 8] += 500
    np.save(tmp_path / "dark.npy", cube)
    predictor = Predictor()
    out = tmp_path / "out"
    summary = predictor.predict(tmp_path / "dark.npy", out, catalogues=["ecsv", "regions"])
    assert [path.name for path in summary.files[-2:]] == ["detections.ecsv", "detections.reg"]
    table = QTable.read(out / "detections.ecsv")
    assert (table["row"][0], table["col"][0], table["first_frame"][0]) == (8, 8, 6)
    predictor.predict(tmp_path / "dark.npy", out)
    assert not (out / "detections.ecsv").exists()
    assert not (out / "detections.reg").exists()
