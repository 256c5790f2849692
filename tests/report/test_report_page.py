"""The report as a file: what it holds, how exactly, and how large it becomes."""

import base64
import json
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest
from report_pages import RAYS, READS, RTN, entry, small_prediction

from ohana.classes import CLASSES, Label
from ohana.errors import OhanaError
from ohana.report import fitted_ramp as fits
from ohana.report.page.build import write_report
from ohana.report.page.cutouts import Fits, chosen_reads, gather, thin
from ohana.report.page.events import MAX_SAMPLES, MIN_SAMPLES, choose, most_significant
from ohana.report.page.packing import (
    BLANK,
    LIFT,
    Scale,
    changes,
    noise_of,
    pack,
    pack_picture,
    scale_for,
)
from ohana.report.page.run_details import sections
from ohana.results.prediction import prediction_of
from ohana.results.prediction_files import StoredReads


@pytest.fixture(scope="module")
def prediction(tmp_path_factory):
    return small_prediction(tmp_path_factory.mktemp("report") / "x")


@pytest.fixture(scope="module")
def page(prediction, tmp_path_factory):
    path = write_report(prediction, tmp_path_factory.mktemp("page") / "report.html")
    return path.read_text("utf-8")


def block(page, name):
    """Return the bytes of a block of the page."""
    found = re.search(f'<script type="text/plain" id="{name}">([^<]*)</script>', page)
    return zlib.decompress(base64.b64decode(found[1]))


def unpacked(raw):
    """Return int16 codes, as the page's own script finds them."""
    low, high = np.frombuffer(raw, np.uint8).reshape(2, -1).astype(np.int32)
    return ((low | high << 8) - LIFT).astype(np.int16)


def test_codes_survive_packing():
    codes = np.array([0, 1, -1, 127, -128, 300, -300, 32767, BLANK, 32640], np.int16)
    assert unpacked(zlib.decompress(base64.b64decode(pack(codes)))).tolist() == codes.tolist()


def test_changes_add_up_with_blanks_between():
    codes = np.array([[0], [32767], [BLANK], [-32767], [5]], np.int16)
    assert np.cumsum(changes(codes), axis=0, dtype=np.int16).tolist() == codes.tolist()


def test_scale_reaches_what_steps_cannot():
    values = np.array([-1e6, np.nan, 1e6])
    scale = scale_for(values, 0.1)
    codes = scale.codes(values)
    assert codes[1] == BLANK
    assert (
        np.abs(scale.zero + scale.step * codes[[0, 2]] - values[[0, 2]]).max() <= 0.51 * scale.step
    )
    assert scale_for(np.array([np.nan]), 0.0) == Scale(0.0, 1.0)


def test_noise_is_that_of_one_read():
    ramps = np.random.default_rng(2).normal(0, 4, (400, 10)) + 7 * np.arange(400)[:, None]
    assert noise_of(ramps) == pytest.approx(4, rel=0.05)
    assert noise_of(np.array([1.0, np.nan, 2.0])) == 0.0


@pytest.mark.parametrize("bright", [0, 1e5])
def test_pictures_are_exact_to_a_fraction_of_their_scatter(bright):
    image = np.random.default_rng(3).normal(100, 5, (60, 50))
    image[4, 4] += bright
    image[0, 0] = np.nan
    picture = pack_picture(image, 1e6)
    codes = unpacked(zlib.decompress(base64.b64decode(picture.packed))).reshape(image.shape)
    values = picture.zero + picture.soft * np.sinh(codes / picture.codes_per_soft)
    assert codes[0, 0] == BLANK
    error = np.abs(values - image).ravel()[1:]
    assert np.median(error) < 5 / 16
    assert error.max() < 5 / 8 + 0.005 * bright


def test_large_pictures_are_averaged_or_left_out():
    image = np.random.default_rng(4).normal(0, 1, (200, 101))
    picture = pack_picture(image, 4000)
    assert picture.bin > 1
    assert picture.shape == (200 // picture.bin, -(-101 // picture.bin))
    assert len(picture.packed) <= 4000
    assert pack_picture(image, 50) is None


def test_strongest_pixels_keep_their_ramps(prediction, page):
    heads = json.loads(block(page, "entries"))
    ramps = unpacked(block(page, "ramps")).reshape(len(heads), READS)
    assert [head["entry"] for head in heads] == prediction.events
    for head, codes in zip(heads, ramps, strict=True):
        zero, step = head["ramp"]
        wanted = prediction.ramp(*head["entry"]["position"])
        got = zero + step * np.cumsum(codes, dtype=np.int16)
        assert np.abs(got - wanted).max() <= 0.0005001 * np.ptp(wanted)


def test_surroundings_are_those_of_the_cube(prediction, page):
    heads, codes = json.loads(block(page, "entries")), unpacked(block(page, "windows"))
    place = 0
    for head in heads:
        window = head["window"]
        (top, left), (reads, height, width) = window["corner"], window["shape"]
        part = codes[place : place + reads * height * width].reshape(reads, height, width)
        place += part.size
        got = window["scale"][0] + window["scale"][1] * np.cumsum(part, axis=0, dtype=np.int16)
        rows, cols = slice(top, top + height), slice(left, left + width)
        wanted = prediction.cube(slice(0, READS), rows, cols)
        assert window["reads"] is None  # there is room for all
        assert np.abs(got - wanted).max() <= window["scale"][1] * 0.51
        assert window["scale"][1] < 1.0  # of a noise of 3
    assert place == codes.size


def test_page_asks_for_nothing_else(page):
    for tag in re.findall(r"<(?:script|link|img|iframe)[^>]*>", page[:5000] + page[-60000:]):
        assert "src=" not in tag
        assert "href=" not in tag or 'href="data:,"' in tag
    assert "default-src 'none'" in page


def test_names_are_escaped(tmp_path):
    cube = np.zeros((4, 8, 8))
    path = write_report(prediction_of(cube, [], name="</title><script>x"), tmp_path / "r.html")
    assert "<script>x" not in path.read_text("utf-8")


def many(number):
    """Return a prediction of many events: cosmic rays, some telegraph noise, few snowballs."""
    random = np.random.default_rng(6)
    cube = random.normal(0, 5, (20, 128, 160)).astype(np.float32)
    kinds = random.choice(
        ["cosmic_ray", "telegraph_noise", "snowball"], number, p=[0.9, 0.09, 0.01]
    )
    events = [
        entry(str(kind), [[int(row), int(col)]], None if kind[0] == "t" else int(read), float(step))
        for kind, row, col, read, step in zip(
            kinds,
            random.integers(0, 128, number),
            random.integers(0, 160, number),
            random.integers(1, 20, number),
            random.uniform(30, 3000, number),
            strict=True,
        )
    ]
    return prediction_of(cube, events)


def test_file_keeps_its_limit(tmp_path):
    prediction = many(300)
    sizes = {}
    for limit in (1_500_000, 1_600_000, 4_000_000):
        path = write_report(prediction, tmp_path / "report.html", max_bytes=limit)
        heads = json.loads(block(path.read_text("utf-8"), "entries"))
        sizes[limit] = len(heads)
        assert path.stat().st_size <= limit
    assert sizes[4_000_000] == 300
    assert 10 < sizes[1_500_000] <= 300


def test_page_says_what_it_leaves_out(tmp_path):
    prediction = many(3000)
    path = write_report(prediction, tmp_path / "report.html", max_bytes=1_700_000)
    page = path.read_text("utf-8")
    kept = [head["index"] for head in json.loads(block(page, "entries"))]
    left = json.loads(block(page, "facts"))["left_out"]
    assert len(kept) + sum(row["number"] for row in left) == 3000
    assert kept == sorted(set(kept))
    by_type = {row["type"]: row for row in left}
    weakest = min(
        prediction.events[i]["significance"]
        for i in kept
        if prediction.events[i]["type"] == "cosmic_ray"
    )
    assert weakest >= by_type["cosmic_ray"]["below"]
    # The rare class, which needs less than its share, is whole.
    assert "snowball" not in by_type


def test_an_event_that_cannot_be_fitted_costs_no_page(prediction, tmp_path, monkeypatch, caplog):
    right = fits.fitted_ramp

    def failing(prediction, event, y, x):
        if event["type"] == "snowball":
            raise ArithmeticError("no pivot")
        return right(prediction, event, y, x)

    monkeypatch.setattr(fits, "fitted_ramp", failing)
    path = tmp_path / "report.html"
    text = write_report(prediction, path).read_text("utf-8")
    assert len(json.loads(block(text, "entries"))) == len(prediction.events)
    models = unpacked(block(text, "models")).reshape(-1, READS)
    blank = [(model == BLANK).all() for model in np.cumsum(models, axis=1).astype(np.int16)]
    kinds = [event["type"] for event in prediction.events]
    assert blank == [kind == "snowball" for kind in kinds]
    row, col = prediction.events[kinds.index("snowball")]["position"]
    assert caplog.messages == [
        f"x: 1 of {len(kinds)} events shown without a fit, first event {kinds.index('snowball')} "
        f"(snowball at row {row}, column {col}): unexpected ArithmeticError: no pivot"
    ]


def test_too_small_a_file_is_refused(prediction, tmp_path):
    with pytest.raises(OhanaError, match="at most 100000 bytes, the frame alone needs more"):
        write_report(prediction, tmp_path / "report.html", max_bytes=100_000)
    assert not (tmp_path / "report.html").exists()


def test_shares_go_where_they_are_needed():
    events = [entry("cosmic_ray", [[0, i]], 1, float(i)) for i in range(10)]
    events += [entry("snowball", [[1, i]], 1, 1.0) for i in range(2)]
    assert most_significant(events, 6).tolist() == [6, 7, 8, 9, 10, 11]
    assert most_significant(events, 12).tolist() == list(range(12))
    assert most_significant([], 5).tolist() == []


def test_detail_follows_room():
    prediction = many(60)
    assert choose(prediction, 1e7, Fits(prediction)).samples == MAX_SAMPLES
    some = choose(prediction, 40_000, Fits(prediction))
    assert MIN_SAMPLES <= some.samples < MAX_SAMPLES
    assert len(some.events) == 60
    assert len(choose(prediction, 5_000, Fits(prediction)).events) < 60


def test_thin_surroundings_hold_the_moment_and_the_event(prediction):
    everything = np.arange(len(prediction.events))
    for shown in gather(prediction, everything, MAX_SAMPLES, Fits(prediction)):
        event = prediction.events[shown.place]
        less = thin(shown, event, MIN_SAMPLES)
        assert {0, less.moment - 1, less.moment, READS - 1} <= set(less.reads.tolist())
        rows, cols = (
            slice(c, c + n) for c, n in zip(less.corner, less.cube.shape[1:], strict=True)
        )
        assert rows.start <= event["bbox"][0]
        assert rows.stop >= event["bbox"][2]
        assert (less.cube == prediction.cube(slice(0, READS), rows, cols)[less.reads]).all()


def test_telegraph_noise_is_shown_where_it_jumps(prediction):
    shown = next(iter(gather(prediction, np.array([3]), MAX_SAMPLES, Fits(prediction))))
    assert prediction.events[3]["position"] == list(RTN)
    assert shown.moment % 5 == 0


@pytest.mark.parametrize("moment", [1, 30, 99])
def test_chosen_reads_hold_both_sides(moment):
    reads = chosen_reads(100, moment, 10)
    assert {0, moment - 1, moment, 99} <= set(reads.tolist())
    assert len(reads) <= 10


def test_run_is_summed_up_with_changed_settings_first(prediction):
    run = {"config": {"sigma_threshold": 6.5, "gain": None}, "notices": ["look here"]}
    shown = sections(replace(prediction, run=run))
    titles = [section["title"] for section in shown]
    assert ["notice", "look here"] in shown[0]["rows"]
    changed = shown[titles.index("Settings that differ from the defaults")]["rows"]
    assert changed[0][0] == "sigma_threshold"
    assert changed[0][1].startswith("6.5 (default ")
    assert titles[-1] == "Settings by default"
    assert ["network", "none, by rules alone"] in shown[0]["rows"]
    assert sections(prediction)[0]["rows"][-1][0] == "record"


def test_events_have_the_reads_of_their_integration(prediction, tmp_path):
    second = StoredReads(-2 * np.asarray(prediction.reads[0].cube))
    events = [event | {"integration": i % 2} for i, event in enumerate(prediction.events)]
    both = replace(
        prediction,
        events=events,
        reads=(prediction.reads[0], second),
        features=2 * prediction.features,
    )
    page = write_report(both, tmp_path / "report.html").read_text("utf-8")
    facts, heads = (json.loads(block(page, name)) for name in ("facts", "entries"))
    ramps = unpacked(block(page, "ramps")).reshape(len(heads), READS)
    assert facts["integrations"] == 2
    assert facts["pictures"][0]["title"] == "count rate, integration 0"
    for i, (head, codes) in enumerate(zip(heads, ramps, strict=True)):
        got = head["ramp"][0] + head["ramp"][1] * np.cumsum(codes, dtype=np.int16)
        wanted = both.ramp(*head["entry"]["position"], integration=i % 2)
        assert np.abs(got - wanted).max() <= 0.0005001 * np.ptp(wanted)


def test_every_class_has_a_look():
    assert list(CLASSES) == [label.key for label in Label if label != Label.BACKGROUND]
    assert len(RAYS) == 3
