"""Peers on the same ramps: what they are given, and what is made of their flags."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.correction.load import CorrectedRamp
from ohana.errors import OhanaError
from ohana.evaluate import other_codes
from ohana.evaluate.comparison import (
    SNR_BINS,
    allowed_false,
    compare,
    comparison_table,
    count_pixels,
    empty_pixels,
    equal_threshold,
    flags_of,
    plot_comparison,
    score,
)
from ohana.evaluate.other_codes import OTHER_CODES, FlaggedPixels, flag_ramp, requested_codes
from ohana.predictor import Predictor
from ohana.read import open_exposure
from ohana.refpix.fit import fit_reference
from ohana.results.catalogue import catalogue, read_catalogue
from ohana.simulate import SimulationConfig, TrueEvent, Truth, simulate_exposure, write_fits

READS, SIZE, BORDER = 12, 40, 4
CONFIG = SimulationConfig(reads=READS, rows=SIZE, cols=SIZE, border=BORDER, outputs=4, gain=2.0)
#: First read that cannot be used, where all can be.
NEVER = np.full((SIZE, SIZE), READS)

needs_stcal = pytest.mark.skipif(
    find_spec("stcal") is None, reason="stcal is not installed (dependency of the tests)"
)


@pytest.fixture
def source(tmp_path):
    simulated = simulate_exposure(CONFIG, np.random.default_rng(1))
    write_fits(simulated, tmp_path / "ramp.fits")
    config = DetectorConfig()
    ramp = open_exposure(tmp_path / "ramp.fits", config)[0]
    return CorrectedRamp(ramp, fit_reference(ramp, config)[0])


def flagged(*entries):
    return FlaggedPixels(*(np.array(column, np.int64) for column in zip(*entries, strict=True)))


def ray(pixels, snr, read=5):
    rows, cols = np.array(pixels, np.int32).T
    return TrueEvent(
        Label.COSMIC_RAY,
        read,
        rows,
        cols,
        np.full(len(rows), read, np.int32),
        np.full(len(rows), 1000.0, np.float32),
        np.array(snr, np.float32),
    )


def truth_of(*events):
    return Truth(CONFIG.shape, list(events), CONFIG)


def marking(wanted):
    """Return a code that flags the reads whose data equal a value, and notes what it was given."""
    seen = []

    def code(data, flags, noise, facts, threshold):
        seen.append((data.copy(), flags.copy(), noise.copy(), facts, threshold))
        return data == wanted

    return code, seen


class TestFlagRamp:
    def test_gives_every_light_sensitive_pixel_once(self, source, monkeypatch):
        monkeypatch.setattr(other_codes, "AT_ONCE", 100)  # several calls for each block of rows
        noise = np.arange(SIZE * SIZE, dtype=float).reshape(SIZE, SIZE)
        code, seen = marking(np.nan)
        assert len(flag_ramp(source, noise, code, 5.0).row) == 0
        given = np.concatenate([one[2].ravel() for one in seen])
        inside = noise[BORDER:-BORDER, BORDER:-BORDER]
        assert np.array_equal(np.sort(given), inside.ravel())
        assert all(one[0].shape == (READS, 1, one[2].size) for one in seen)
        assert all(one[4] == 5.0 for one in seen)

    def test_knows_where_a_flag_belongs(self, source):
        data = source.ramp.planes.read()
        data[:, 20, 30] = 0
        data[7:, 20, 30] = 30000
        target = replace(source.ramp, planes=_Memory(data))
        code, _ = marking(30000.0)
        found = flag_ramp(CorrectedRamp(target), np.ones((SIZE, SIZE)), code, 5.0)
        assert set(zip(*(part.tolist() for part in found), strict=True)) == {
            (20, 30, t) for t in range(7, READS)
        }

    def test_tells_the_peer_which_reads_not_to_use(self, source):
        data = source.ramp.planes.read()
        data[9:, 20, 20] = 65535
        data[4, 20, 21] = np.nan
        ramp = replace(source.ramp, planes=_Memory(data))
        use = np.zeros((SIZE, SIZE), bool)
        use[20, 20:22] = True
        code, seen = marking(np.nan)
        flag_ramp(CorrectedRamp(ramp), np.ones((SIZE, SIZE)), code, 5.0, use)
        ((data, flags, *_),) = (one for one in seen)
        assert np.isfinite(data).all()
        assert flags[:, 0, 0].tolist() == [0] * 9 + [other_codes.SATURATED] * 3
        assert flags[:, 0, 1].tolist() == [0] * 4 + [other_codes.DO_NOT_USE] + [0] * 7

    def test_leaves_out_pixels_of_unknown_noise(self, source):
        noise = np.full((SIZE, SIZE), np.nan)
        noise[20, 20] = 1.0
        code, seen = marking(np.nan)
        flag_ramp(source, noise, code, 5.0)
        assert sum(one[2].size for one in seen) == 1

    def test_refuses_uneven_reads(self, source):
        times = source.ramp.times.copy()
        times[1:] += 3.0
        ramp = replace(source.ramp, times=times)
        with pytest.raises(OhanaError, match=r"wants evenly spaced reads, got intervals from 1.4"):
            flag_ramp(CorrectedRamp(ramp), np.ones((SIZE, SIZE)), OTHER_CODES["stcal"], 5.0)


class _Memory:
    """Planes of a cube in memory."""

    def __init__(self, data):
        self.data, self.shape = data, data.shape[1:]

    def __len__(self):
        return len(self.data)

    def read(self, rows=slice(None), cols=slice(None)):
        return self.data[:, rows, cols].astype(np.float32)


@needs_stcal
@pytest.mark.oracle
@pytest.mark.parametrize("name", sorted(OTHER_CODES))
def test_peers_find_strong_hits_and_nothing_else(name, tmp_path):
    config = CONFIG.model_copy(update={"cosmic_rays": 12, "cosmic_ray_charge": 4000.0})
    simulated = simulate_exposure(config, np.random.default_rng(5))
    write_fits(simulated, tmp_path / "ramp.fits")
    ramp = open_exposure(tmp_path / "ramp.fits", DetectorConfig())[0]
    source = CorrectedRamp(ramp, fit_reference(ramp, DetectorConfig())[0])
    noise = config.total_noise(simulated.noise) / config.gain
    found = flag_ramp(source, noise, OTHER_CODES[name], 5.0)
    empty = empty_pixels(simulated.truth, simulated.stop)
    result = score(name, 5.0, simulated.truth, found, empty)
    bright = [one for one in result.pixels if one.low >= 25]
    assert sum(one.count for one in bright) >= 5
    assert all(one.found == one.count for one in bright)
    assert result.false <= 1


@needs_stcal
@pytest.mark.oracle
def test_compare_sets_peers_to_equal_false_alarms(tmp_path):
    config = CONFIG.model_copy(update={"cosmic_rays": 8})
    simulated = simulate_exposure(config, np.random.default_rng(6))
    write_fits(simulated, tmp_path / "ramp.fits")
    Predictor().predict(tmp_path / "ramp.fits", tmp_path, processed=False)
    found = read_catalogue(tmp_path / "detections.json")
    ramp = open_exposure(tmp_path / "ramp.fits", DetectorConfig())[0]
    source = CorrectedRamp(ramp, fit_reference(ramp, DetectorConfig())[0])
    noise = config.total_noise(simulated.noise) / config.gain
    maps = {"noise": noise, "stop": simulated.stop}
    ours, theirs = compare(simulated.truth, source, maps, found, ["stcal"], 5.0)
    assert ours.name == "ohana"
    assert theirs.name == "stcal"
    assert theirs.false <= allowed_false(ours.false, ours.empty)
    assert 2 < theirs.threshold < 6


class TestScore:
    def test_counts_pixels_by_snr(self):
        event = ray([(10, 10), (10, 11), (10, 12)], [30.0, 7.0, 7.5])
        hits = flagged((10, 10, 5), (10, 11, 6), (10, 12, 8), (30, 30, 5))
        truth = truth_of(event)
        result = score("ohana", 5.0, truth, hits, empty_pixels(truth, NEVER))
        by_low = {one.low: (one.count, one.found) for one in result.pixels if one.count}
        # The second is off by one read, which is allowed; the third by three, which is not.
        assert by_low == {6.0: (2, 1), 25.0: (1, 1)}
        assert result.false_rate == pytest.approx(1e6 / (32 * 32 - 3))

    def test_pixels_of_two_events_do_not_count(self):
        events = ray([(10, 10)], [30.0]), ray([(10, 10), (11, 10)], [30.0, 30.0], read=8)
        truth = truth_of(*events)
        result = score("ohana", 5.0, truth, flagged((10, 10, 5)), empty_pixels(truth, NEVER))
        assert [(one.count, one.found) for one in result.pixels if one.count] == [(1, 0)]

    def test_nothing_at_all(self):
        result = score("ohana", 5.0, truth_of(), flags_of([]), empty_pixels(truth_of(), NEVER))
        assert len(result.pixels) == len(SNR_BINS) - 1
        assert not any(one.count for one in result.pixels)
        assert result.false_rate == 0

    def test_empty_pixels_have_no_event_see_light_and_do_not_fill_up(self):
        stop = NEVER.copy()
        stop[20, 20] = READS - 1
        empty = empty_pixels(truth_of(ray([(10, 10)], [9.0])), stop)
        assert empty.sum() == 32 * 32 - 2
        assert not empty[[10, 20], [10, 20]].any()
        assert not empty[BORDER - 1].any()
        assert count_pixels(flagged((10, 10, 1), (11, 11, 1), (11, 11, 2)), empty) == 1

    def test_table_and_plot(self):
        from matplotlib.figure import Figure

        event = ray([(10, 10)], [30.0])
        truth, empty = truth_of(event), empty_pixels(truth_of(event), NEVER)
        one = score("ohana", 5.0, truth, flagged((10, 10, 5)), empty)
        two = score("stcal", 6.5, truth, flags_of([]), empty)
        heading, first, second = comparison_table([one, two])
        assert heading[:3] == ("code", "threshold", "false/million")
        assert heading[-2:] == ("S/N 25-50", "telegraph as jump")
        assert first[:3] == ("ohana", "5.00", "0")
        assert (first[-2], second[-2]) == ("100.0%", "0.0%")
        ax = Figure().add_subplot()
        plot_comparison([one, two], ax)
        assert [text.get_text() for text in ax.get_legend().get_texts()] == [
            "ohana, 5.00 $\\sigma$",
            "two-point (JWST jump), 6.50 $\\sigma$",
        ]


def test_flags_of_a_catalogue():
    entry = {"integration": 0, "type": "cosmic_ray", "first_frame": 3, "pixels": [[1, 2], [1, 3]]}
    entries = [
        entry,
        entry | {"type": "snowball", "first_frame": 4, "pixels": [[5, 6]]},
        entry | {"type": "telegraph_noise", "first_frame": None, "pixels": [[7, 7]]},
        entry | {"integration": 1},
    ]
    found = flags_of(entries)
    assert [part.tolist() for part in found] == [[1, 1, 5], [2, 3, 6], [3, 3, 4]]
    assert catalogue([]) == []


@pytest.mark.parametrize("target", [0, 1, 7, 50])
def test_equal_threshold_is_the_lowest_that_serves(target):
    levels = np.sort(np.random.default_rng(target).uniform(2.5, 11, 60))

    def count(at):
        return int((levels > at).sum())

    at = equal_threshold(count, target)
    assert count(at) <= target < count(at - 0.05) or at < 2.05


class TestNames:
    def test_unknown_peer(self):
        with pytest.raises(OhanaError, match="wanted some of stcal, likelihood, got 'stcall'"):
            requested_codes("likelihood,stcall")

    def test_peer_that_is_not_installed(self, monkeypatch):
        monkeypatch.setattr(other_codes, "find_spec", lambda name: None)
        with pytest.raises(OhanaError, match="needs the package stcal, which is not installed"):
            requested_codes("stcal")

    def test_several(self, monkeypatch):
        monkeypatch.setattr(other_codes, "find_spec", lambda name: True)
        assert requested_codes("stcal, likelihood") == ["stcal", "likelihood"]


@pytest.mark.parametrize(("ours", "empty", "allowed"), [(0, 10**6, 20), (30, 10**6, 30), (0, 9, 0)])
def test_allowed_false_pixels(ours, empty, allowed):
    assert allowed_false(ours, empty) == allowed
