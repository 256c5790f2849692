"""Many exposures: which count, rates, spectra, trends, repeated pixels, reference mask, page."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable, Table
from pyarrow import parquet
from scipy import stats
from summaries import event, telegraph, write_results

from ohana.cli.summarize import main
from ohana.errors import OhanaError
from ohana.export.columns import event_columns
from ohana.export.exposure import Detector, find_exposures, pixel_pitch
from ohana.statistics.rates import rate_rows, spectrum_rows, trend
from ohana.statistics.repeats import chance_of, repeated_pixels, write_reference_mask
from ohana.statistics.summarise import summarize
from ohana.statistics.summary import summary_text
from ohana.statistics.tally import Tally
from ohana.utils.intervals import poisson_interval

#: 5600 pixels of 18 micron.
AREA = 5600 * 0.0018**2


def tally_of(root):
    """Read all exposures below a folder, all of one detector."""
    exposures, skipped = find_exposures(root)
    assert not skipped
    tally = Tally(exposures[0].detector)
    for exposure in exposures:
        events = json.loads((exposure.folder / "detections.json").read_text())
        tally.add(exposure, event_columns(events, exposure))
    return tally


# Which exposures count.


def test_exposures_come_in_order_of_time(tmp_path):
    write_results(tmp_path / "b", start="2026-01-03T00:00:00.000")
    write_results(tmp_path / "deep" / "er" / "a", start="2026-01-02T00:00:00.000")
    write_results(tmp_path / "z", start="")
    write_results(tmp_path / "c", start="")
    exposures, skipped = find_exposures(tmp_path)
    assert [exposure.name for exposure in exposures] == ["a", "b", "c", "z"]
    assert skipped == []


def test_a_folder_of_results_can_be_summed_up_itself(tmp_path):
    [exposure], _ = find_exposures(write_results(tmp_path / "a"))
    assert exposure.live_time == 190
    assert exposure.active == 5600
    assert exposure.area_time == pytest.approx(AREA * 190)
    assert exposure.interval == 10
    assert np.isnan(exposure.mjd)


def test_live_time_of_averaged_reads_and_several_integrations(tmp_path):
    """Four frames of 2 s: the first and the last lie 3 s outside of the mean times."""
    facts = {"nframes": 4, "frame_time": 2.0}
    write_results(tmp_path / "a", facts=facts, integrations=[{}, {}])
    write_results(tmp_path / "b", facts=facts, frames=[1] + [4] * 19)
    exposures, _ = find_exposures(tmp_path)
    assert [exposure.live_time for exposure in exposures] == [2 * (190 + 6), 190 + 3]


def test_what_is_not_whole_is_named(tmp_path):
    write_results(tmp_path / "good")
    (write_results(tmp_path / "cut") / "run.json").unlink()
    (write_results(tmp_path / "other") / "detections.json").write_text("[ ]")
    (write_results(tmp_path / "lost") / "detections.json").unlink()
    (write_results(tmp_path / "odd") / "run.json").write_text("nonsense")
    run = json.loads((write_results(tmp_path / "poor") / "run.json").read_text())
    del run["facts"]["nframes"]
    (tmp_path / "poor" / "run.json").write_text(json.dumps(run))
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "x_temporal.npz").touch()
    write_results(tmp_path / ".hidden" / "x")
    (tmp_path / "nothing").mkdir()
    exposures, skipped = find_exposures(tmp_path)
    assert [exposure.name for exposure in exposures] == ["good"]
    reasons = {item.folder.name: item.reason for item in skipped}
    assert reasons.keys() == {"cut", "other", "lost", "odd", "poor", "begun"}
    assert reasons["cut"] == reasons["begun"] == "no run.json: the run did not finish"
    assert reasons["other"] == "detections.json does not match run.json"
    assert reasons["lost"] == "no detections.json"
    assert "wanted the record of a run, got no JSON" in reasons["odd"]
    assert "run.json has a missing or invalid field: KeyError('nframes')" in reasons["poor"]


@pytest.mark.parametrize("started", ["2026-01-02", "2025-12-31"])
def test_an_input_counts_once(tmp_path, started):
    """The last run counts, wherever it is."""
    first = write_results(tmp_path / "a", input={"fingerprint": "x"}, started="2026-01-01")
    second = write_results(tmp_path / "b", input={"fingerprint": "x"}, started=started)
    counts, other = (second, first) if started > "2026-01-01" else (first, second)
    [exposure], [skipped] = find_exposures(tmp_path)
    assert exposure.folder == counts
    assert skipped == (other, f"same input as {counts}: that counts")


def test_detectors_side_by_side_are_several(tmp_path):
    for index in range(2):
        config = {"detectors_side_by_side": 2, "detector_index": index}
        write_results(tmp_path / f"{index}", input={"fingerprint": "x"}, config=config)
    exposures, skipped = find_exposures(tmp_path)
    names = [exposure.detector.detector for exposure in exposures]
    assert names == ["NRCA1 0", "NRCA1 1"]
    assert not skipped


def test_pixel_pitch(tmp_path):
    def named(instrument, size):
        return Detector("", instrument, "", (size, size), (0, 0))

    sizes = [pixel_pitch(named(*each)) for each in [("NISP", 2048), ("", 4096), ("MIRI", 1024)]]
    assert sizes == [18, 10, 25]
    [exposure], _ = find_exposures(write_results(tmp_path / "a"), 15.0)
    assert exposure.pitch == 15


def test_files_of_older_versions_have_no_origin(tmp_path):
    folder = write_results(tmp_path / "a")
    run = json.loads((folder / "run.json").read_text())
    del run["facts"]["origin"]
    (folder / "run.json").write_text(json.dumps(run))
    [exposure], _ = find_exposures(tmp_path)
    assert exposure.detector.label == "unknown detector 64 x 108"
    assert exposure.detector.stem == "unknown_detector_64x108"


# Rates.


@pytest.mark.parametrize("count", [0, 1, 7, 1000])
def test_poisson_interval(count):
    """Each end is where a count as far away, or farther, has a chance of 15.87 %."""
    low, high = poisson_interval(count, 0.6827)
    assert stats.poisson.cdf(count, high) == pytest.approx((1 - 0.6827) / 2)
    if count:
        assert stats.poisson.sf(count - 1, low) == pytest.approx((1 - 0.6827) / 2)
    else:
        assert low == 0


def test_rates(tmp_path):
    """The border is left out, and telegraph noise has no rate in time."""
    border = event(row=2, col=50)
    write_results(tmp_path / "a", [event(), event(row=30), border, telegraph(9, 9)])
    write_results(tmp_path / "b", [event(spatial_extent=8), telegraph(9, 9), telegraph(1, 1)])
    rays, noise, balls = rate_rows(tally_of(tmp_path))
    assert (rays["events"], noise["events"], balls["events"]) == (3, 2, 0)
    assert rays["expected_real"] == pytest.approx(2.7)
    assert rays["rate"] == pytest.approx(3 / (AREA * 380))
    assert rays["rate_low"] < rays["rate"] < rays["rate_high"]
    assert rays["per_mpix"] == pytest.approx(3 / (2 * 0.0056))
    assert rays["hit_per_1000_s"] == pytest.approx(100 * 10 / (5600 * 380) * 1000)
    assert noise["per_mpix"] == pytest.approx(2 / (2 * 0.0056))
    assert "rate" not in noise
    assert balls["rate"] == 0
    assert balls["rate_high"] == pytest.approx(1.84 / (AREA * 380), rel=1e-2)


def test_trend():
    assert trend(np.array([1, 2]), np.ones(2), np.arange(2.0)) is None
    assert trend(np.zeros(5), np.ones(5), np.arange(5.0)) is None
    steady = trend(np.full(5, 10), np.ones(5), np.arange(5.0))
    assert steady[:3] == (0, 4, 1)
    assert steady.slope == 0
    longer = trend(np.array([10, 20, 40]), np.array([1.0, 2, 4]), np.zeros(3))
    assert longer.chi2 == 0
    assert np.isnan(longer.slope)


def test_trend_errors_are_right():
    """Of constant rates: slopes scatter as their error says, chances are even."""
    rng, time = np.random.default_rng(1), np.linspace(0, 3, 20)
    exposure = rng.uniform(1, 5, 20)
    found = [trend(rng.poisson(30 * exposure), exposure, time) for _ in range(400)]
    pull = np.array([each.slope / each.error for each in found])
    assert abs(pull.mean()) < 0.2
    assert pull.std() == pytest.approx(1, abs=0.12)
    assert stats.kstest([each.p for each in found], "uniform").pvalue > 1e-3


def test_spectra_hold_every_event(tmp_path):
    amplitudes = [10.5, 11.0, 300.0]
    events = [event(max_intensity=value, mean_intensity=value) for value in amplitudes]
    write_results(tmp_path / "a", [*events, telegraph(9, 9, max_intensity=50.0)])
    write_results(tmp_path / "b", [event()], facts={"sources": {}})
    tally = tally_of(tmp_path)
    rows = spectrum_rows(tally, "max_intensity")
    rays = [row for row in rows if row["type"] == "cosmic_ray"]
    assert [row["events"] for row in rays if row["events"]] == [2, 1, 1]
    assert rays[0]["low"] == pytest.approx(10)
    assert rays[-1]["high"] == pytest.approx(10**2.5)
    width = rays[0]["high"] - rays[0]["low"]
    assert rays[0]["rate"] * width * AREA * 380 == pytest.approx(2)
    [noise] = [row for row in rows if row["type"] == "telegraph_noise"]
    assert noise["per_mpix"] * (noise["high"] - noise["low"]) == pytest.approx(1 / 0.0112)
    # The gain of the second one is not known.
    charges = spectrum_rows(tally, "charge")
    assert sum(row["events"] for row in charges) == 3
    first = charges[0]
    assert first["rate"] * (first["high"] - first["low"]) * AREA * 190 == pytest.approx(2)


# Telegraph noise that comes again.


def test_chance_is_binomial():
    least = np.arange(6)
    assert chance_of(least, 5, 0.3) == pytest.approx(stats.binom.sf(least - 1, 5, 0.3))


def test_repeated_pixels(tmp_path):
    amplitudes = [40.0, 50.0, 90.0, 60.0]
    for number, amplitude in enumerate(amplitudes):
        again = telegraph(9, 9, amplitude, dwell_low=number + 1.0)
        once = telegraph(20 + number, 7)
        twice = [telegraph(40, 7, integration=0), telegraph(40, 7, integration=1)]
        write_results(tmp_path / f"{number}", [again, once, *(twice if number == 3 else [])])
    found = repeated_pixels(tally_of(tmp_path))
    assert (found.searched, found.least) == (4, 2)
    [pixel] = found.pixels
    assert (pixel["row"], pixel["col"], pixel["seen"], pixel["searched"]) == (9, 9, 4, 4)
    assert pixel["amplitude"] == 55
    assert pixel["amplitude_spread"] == pytest.approx(1.4826 * 10)
    assert pixel["dwell_low"] == 25  # reads 10 s apart
    assert pixel["dwell_high_spread"] == 0
    # In both integrations of one exposure is once.
    assert found.observed.tolist() == [64 * 108 - 6, 5, 0, 0, 1]
    density = 9 / (4 * 64 * 108)
    wanted = 64 * 108 * stats.binom.pmf(np.arange(5), 4, density)
    assert found.expected == pytest.approx(wanted)
    assert found.by_chance == pytest.approx(wanted[2:].sum())
    assert repeated_pixels(tally_of(tmp_path), 5).pixels == []


def test_detections_at_random_make_no_list(tmp_path):
    """Dense enough that many pixels are seen twice or more."""
    rng = np.random.default_rng(1)
    for number in range(10):
        places = np.column_stack([rng.integers(0, 64, 200), rng.integers(0, 108, 200)])
        write_results(tmp_path / f"{number}", [telegraph(*map(int, place)) for place in places])
    found = repeated_pixels(tally_of(tmp_path))
    assert found.observed[2] > 100
    assert found.observed[2] == pytest.approx(found.expected[2], abs=4 * np.sqrt(found.expected[2]))
    assert found.by_chance < 0.1
    assert len(found.pixels) <= 1
    assert repeated_pixels(tally_of(tmp_path), 2).pixels


def test_short_exposures_cannot_repeat(tmp_path):
    """With too few reads telegraph noise was not looked for."""
    write_results(tmp_path / "a", [telegraph(9, 9)])
    write_results(tmp_path / "b", shape=(4, 64, 108))
    assert repeated_pixels(tally_of(tmp_path)) is None


# All of it.


def fill(night):
    """Four exposures of one detector with a repeated pixel, one of another, one that is cut off."""
    for number in range(4):
        start = f"2026-01-0{number + 1}T00:00:00.000"
        events = [event(row=10 + number), telegraph(9, 12)]
        write_results(night / f"n{number}", events, start)
    other = {"telescope": "", "instrument": "<b>", "detector": "&1"}
    write_results(night / "other", [event()], origin=other)
    (write_results(night / "cut") / "run.json").unlink()
    return night


@pytest.fixture
def night(tmp_path):
    """A night that may be changed."""
    return fill(tmp_path / "night")


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave out what takes most of the time."""
    monkeypatch.setattr("ohana.statistics.page.write_page", lambda survey, folder: [])


@pytest.fixture(scope="module")
def summed(tmp_path_factory):
    """The summary of a night, to be looked at."""
    return summarize(fill(tmp_path_factory.mktemp("summed") / "night"))


def test_files(summed):
    folder = summed.root / "summary"
    assert sorted(folder.iterdir()) == sorted(summed.files)
    events = parquet.read_table(folder / "events.parquet")
    names = ["n0", "n0", "n1", "n1", "n2", "n2", "n3", "n3", "other"]
    assert events["exposure"].to_pylist() == names
    rates = QTable.read(folder / "rates.ecsv")
    assert rates["rate"].unit == 1 / (u.cm**2 * u.s)
    assert len(rates) == 6
    exposures = QTable.read(folder / "exposures.ecsv")
    assert exposures["folder"].tolist() == ["other", "n0", "n1", "n2", "n3"]
    assert exposures["mjd"].unit == u.d
    assert exposures["cosmic_ray"].tolist() == [1] * 5
    spectrum = QTable.read(folder / "spectrum_charge.ecsv")
    assert spectrum["rate"].unit == 1 / (u.cm**2 * u.s * u.electron)
    pixels = QTable.read(folder / "jwst_nircam_nrca1_64x108_telegraph_pixels.ecsv")
    assert (pixels["row"][0], pixels["col"][0], pixels["seen"][0]) == (9, 12, 4)
    assert pixels["amplitude"][0] == 50 * u.DN
    assert pixels["dwell_low"][0] == 40 * u.s
    assert not (folder / "b_1_64x108_telegraph_pixels.ecsv").exists()  # seen once


def test_reference_mask(summed):
    """The layout that CRDS has for reference files of type MASK."""
    [path] = [file for file in summed.files if file.suffix == ".fits"]
    with fits.open(path) as file:
        assert [hdu.name for hdu in file] == ["PRIMARY", "DQ", "DQ_DEF"]
        header, quality, meaning = file[0].header, file["DQ"].data, file["DQ_DEF"].data
        assert quality.dtype.name == "uint32"
        assert quality.shape == (64, 108)
        assert np.argwhere(quality).tolist() == [[9, 12]]
        assert quality[9, 12] == 32768 == 1 << 15
        assert list(meaning[0])[:3] == [15, 32768, "TELEGRAPH"]
        assert list(meaning.names) == ["BIT", "VALUE", "NAME", "DESCRIPTION"]
    wanted = {
        "REFTYPE": "MASK",
        "TELESCOP": "JWST",
        "INSTRUME": "NIRCAM",
        "DETECTOR": "NRCA1",
        "PEDIGREE": "INFLIGHT 2026-01-01 2026-01-04",
        "USEAFTER": "2026-01-01T00:00:00",
        "SUBSTRT1": 1,
        "SUBSIZE1": 108,
        "SUBSIZE2": 64,
        "FASTAXIS": 1,
        "NPIXELS": 1,
    }
    assert {key: header[key] for key in wanted} == wanted
    assert header["DESCRIP"]
    assert header["AUTHOR"]


def test_reference_mask_of_exposures_with_any_name(summed, tmp_path):
    [repeats] = [each for each in summed.repeats if each and each.pixels]
    exposures = [replace(each, name="süd") for each in summed.exposures]
    path = write_reference_mask(tmp_path / "mask.fits", repeats, exposures)
    assert r"s\xfcd" in str(fits.getheader(path)["HISTORY"])


def test_the_page_needs_nothing_else(summed):
    page = (summed.root / "summary" / "summary.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "<script" not in page
    assert "<!-- " not in page.replace("<!-- Nothing is ever asked", "")
    assert page.count("<img") == 5  # three pictures, and two of the detector that was used once
    assert "&lt;b&gt;" in page.lower()
    assert "no run.json: the run did not finish" in page
    assert "1 pixel in 2 or more of 4 exposures, " in page


def test_a_second_run_replaces_all_by_the_same(night):
    files = {path: path.read_bytes() for path in summarize(night).files}
    again = summarize(night).files
    assert {path: path.read_bytes() for path in again} == files


def test_more_exposures_later(night, no_pictures):
    summarize(night)
    write_results(night / "late", [event()], "2026-02-01T00:00:00.000")
    shutil.rmtree(night / "n0")
    own, gone = night / "summary" / "my_trends.png", night / "summary" / "b_1_64x108_trends.png"
    for path in (own, gone):
        path.touch()
    summarize(night)
    assert own.exists()
    assert not gone.exists()
    events = parquet.read_table(night / "summary" / "events.parquet")
    assert set(events["exposure"].to_pylist()) == {"n1", "n2", "n3", "late", "other"}


def test_a_catalogue_that_cannot_be_read_is_left_out(night, no_pictures):
    broken = night / "n1"
    text = "[" + (broken / "detections.json").read_text()[1:-1] + ","
    (broken / "detections.json").write_text(text)
    survey = summarize(night)
    assert [item.folder.name for item in survey.skipped] == ["cut", "n1"]
    assert len(survey.exposures) == 4


def test_different_settings_are_told(night, no_pictures):
    write_results(night / "n2", [event()], config_fingerprint="other")
    [notice] = [each for each in summarize(night).notices if "2 ways" in each]
    assert "found_by in exposures.ecsv" in notice


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda root: root / "none",
            "none: wanted a folder with results of ohana-predict, got none",
        ),
        (lambda root: root, "got none that are whole$"),
        (
            lambda root: (write_results(root / "a") / "run.json").unlink() or root,
            "whole; .*a: no run",
        ),
    ],
)
def test_nothing_to_sum_up(tmp_path, make, told):
    with pytest.raises(OhanaError, match=told):
        summarize(make(tmp_path))


def test_command(night, no_pictures, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([str(night), "--output", str(out), "--repeats", "3", "--catalogues", "ecsv"]) == 0
    told, messages = capsys.readouterr()
    assert "JWST NIRCAM NRCA1 64 x 108" in told
    assert "repeated telegraph noise: 1 pixel in 3 or more of 4 exposures" in told
    assert str(out / "events.parquet") in told
    assert f"warning: {night / 'cut'}: skipped: no run.json: the run did not finish" in messages
    assert (night / "n0" / "detections.ecsv").exists()
    assert not (night / "summary").exists()


@pytest.mark.parametrize(
    "wrong", [["--pitch", "0"], ["--repeats", "0"], ["--catalogues", "csv"], []]
)
def test_wrong_usage(wrong, capsys):
    with pytest.raises(SystemExit) as end:
        main(["x", *wrong] if wrong else [])
    assert end.value.code == 2


def test_a_failure_is_one_line(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    error = f"error: {tmp_path}: wanted results of ohana-predict, got none that are whole\n"
    assert capsys.readouterr().err.endswith(error)


def test_health_is_summed_up(tmp_path):
    entry = {"integration": 0, "rises": 30, "falls": 4, "decoys": 3, "decoys_by_noise": 0.5}
    entry |= {"pixels_in_events": 0.1, "suspect_pixels": 0, "reads": {}, "missing": []}
    entry |= {"not_searched": [{"read": 1, "reason": "unsettled"}], "warnings": []}
    for number in range(7):
        told = {"warnings": ["12 % of all pixels step in read 3: not believable"]}
        write_results(tmp_path / f"x{number}", health=[entry | told, entry])
    write_results(tmp_path / "well", health=[entry | {"decoys_by_noise": None}])
    kinds = [event(), event("snowball", 40, 50), telegraph(30, 30)]
    write_results(tmp_path / "old", kinds)
    statistics = summarize(tmp_path, tmp_path / "out")
    text = summary_text(statistics)
    assert (
        "health: 450 rises, 60 falls; falls like events: 45 (7 by noise); 15 reads not searched; "
        "warnings in 7 of 8 exposures"
    ) in text
    assert "x0: 12 % of all pixels step in read 3: not believable" in statistics.notices
    assert any("warnings on 2 more, see exposures.ecsv" in notice for notice in statistics.notices)
    assert "warnings in 7 of 8" in (tmp_path / "out/summary.html").read_text("utf-8")
    table = Table.read(tmp_path / "out" / "exposures.ecsv")
    row = table[table["exposure"] == "x0"][0]
    assert (row["rises"], row["decoys"], row["reads_not_searched"]) == (60, 6, 2)
    assert row["warnings"].startswith("12 % of all pixels")
