"""The truth of simulated exposures: every step with its S/N, and its file."""

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohana.classes import Label
from ohana.errors import OhanaError
from ohana.rampfit.covariance import difference_covariance
from ohana.simulate import SimulationConfig, TrueEvent, Truth, simulate_exposure
from ohana.simulate.optimal_snr import path_chi2, step_errors
from ohana.simulate.truth import PixelSteps

SMALL = {"reads": 20, "rows": 64, "cols": 96, "outputs": 4}
EVENTS = {"cosmic_rays": 12, "telegraph_pixels": 6, "snowballs": 1, "snowball_radius": (3.0, 4.0)}


def simulate(seed=1, **settings):
    return simulate_exposure(SimulationConfig(**(SMALL | settings)), np.random.default_rng(seed))


def test_errors_of_steps_agree_with_dense_matrices():
    reads, stop = np.array([1, 4, 9, 3, 5, 6]), np.array([10, 10, 10, 6, 5, 5])
    noise, rate = np.full(6, 8.0), np.full(6, 20.0)
    errors = step_errors(reads, stop, noise, rate, difference_covariance(np.arange(11.0)))

    def dense(read, count):
        diagonal = np.full(count, 2 * 64.0 + 20.0)
        covariance = np.diag(diagonal) - 64 * (np.eye(count, k=1) + np.eye(count, k=-1))
        design = np.stack([np.ones(count), np.arange(1, count + 1) == read], axis=1)
        return np.sqrt(np.linalg.inv(design.T @ np.linalg.solve(covariance, design))[1, 1])

    expected = [dense(1, 9), dense(4, 9), dense(9, 9), dense(3, 5), np.sqrt(2 * 64 + 20), np.inf]
    np.testing.assert_allclose(errors, expected, rtol=0.005)


def path_of(levels, noise=10.0, rate=1.0):
    steps = np.diff(np.asarray(levels, float))[:, None]
    model = difference_covariance(np.arange(float(len(levels))))
    stop = np.array([len(levels)])
    return path_chi2(steps, stop, np.array([noise]), np.array([rate]), model)[0]


def test_chi2_of_a_path_has_no_straight_part():
    path = np.array([0, 0, 50, 50, 0, 0, 50.0])
    assert path_of(path) == pytest.approx(path_of(path + 7 * np.arange(7)))
    assert path_of(np.zeros(7)) == 0.0
    assert path_of([0.0, 30.0]) == 0.0
    # white noise alone: the sum of squares about the best straight line
    line = np.polyval(np.polyfit(np.arange(7), path, 1), np.arange(7))
    assert path_of(path, 10.0, 0.0) == pytest.approx(np.sum((path - line) ** 2) / 100)


def covariance_of_reads(config, noise, rate):
    """Covariance of the reads [e-2], from every frame: no formula for averages."""
    times = config.frame_times.ravel()
    frames = rate * np.minimum.outer(times, times) + noise**2 * np.eye(len(times))
    mean = np.kron(np.eye(config.reads), np.full(config.nframes, 1 / config.nframes))
    return mean @ frames @ mean.T


def snr_by_brute_force(levels, config, noise, rate):
    """S/N of a known change of the reads (T,), with pedestal and slope free."""
    inverse = np.linalg.inv(covariance_of_reads(config, noise, rate))
    free = np.stack([np.ones(config.reads), config.read_times], axis=1)
    rest = inverse - inverse @ free @ np.linalg.solve(free.T @ inverse @ free, free.T @ inverse)
    return np.sqrt(max(levels @ rest @ levels, 0))


TIMINGS = {
    "plain": {"reads": 12},
    "averaged": {"reads": 8, "nframes": 4, "groupgap": 1},
    "uneven": {"reads": 9, "first_interval": 0.4, "frame_time": 10.0},
}


@pytest.mark.parametrize("timing", TIMINGS)
def test_signal_to_noise_is_that_of_generalised_least_squares(timing):
    simulated = simulate(3, cosmic_rays=40, telegraph_pixels=6, sky=3.0, ipc=0.0, **TIMINGS[timing])
    config = simulated.config
    noise = float(config.total_noise(config.read_noise))
    rate = config.dark_current + config.sky
    checked = 0
    for event in simulated.truth.events:
        steps = event.pixel_steps()
        for i in range(0, len(event.rows), 5):
            row, col = event.rows[i], event.cols[i]
            if simulated.stop[row, col] < config.reads:
                continue
            mine = (steps.row == row) & (steps.col == col)
            change = np.zeros(config.reads)
            np.add.at(change, steps.read[mine], steps.charge[mine])
            expected = snr_by_brute_force(np.cumsum(change), config, noise, rate)
            assert event.snr[i] == pytest.approx(expected, rel=0.006, abs=1e-3)
            for read, charge, snr in zip(*(column[mine] for column in steps[2:]), strict=True):
                one = charge * (np.arange(config.reads) >= read)
                alone = snr_by_brute_force(one, config, noise, rate)
                assert snr == pytest.approx(np.sign(charge) * alone, rel=0.006, abs=1e-3)
                checked += 1
    assert checked > 60


def test_hit_within_averaged_frames_is_spread_over_two_reads():
    simulated = simulate(5, cosmic_rays=60, nframes=4, groupgap=2, reads=6)
    events = [event for event in simulated.truth.events if len(event.repeated.row)]
    assert len(events) > 20
    for event in events:
        steps = event.pixel_steps()
        bright = event.charge.argmax()
        mine = (steps.row == event.rows[bright]) & (steps.col == event.cols[bright])
        share = steps.charge[mine] / event.charge[bright]
        assert steps.read[mine].tolist() == [event.first_frame, event.first_frame + 1]
        if event.charge[bright] < 7e4:
            assert share[0] * 4 == pytest.approx(round(share[0] * 4), abs=1e-3)


def test_pixel_steps_add_up_to_the_charge():
    for event in simulate(7, **EVENTS, reads=30).truth.events:
        steps = event.pixel_steps()
        assert (np.diff(steps.read) >= 0).all()
        assert steps.read.min(initial=1) >= 1
        if event.label == Label.TELEGRAPH_NOISE:
            levels, states = event.facts["levels"], event.facts["states"]
            np.testing.assert_allclose(steps.charge, np.diff(np.array(levels)[states]), rtol=1e-5)
            assert steps.read.tolist() == event.facts["transitions"]
            np.testing.assert_array_equal(np.sign(steps.snr), np.sign(steps.charge))
        else:
            assert steps.charge.sum() == pytest.approx(event.charge.sum(), rel=1e-4)
            for i in range(len(event.rows)):
                mine = (steps.row == event.rows[i]) & (steps.col == event.cols[i])
                assert steps.charge[mine].sum() == pytest.approx(event.charge[i], rel=1e-3)
                assert steps.read[mine].min() == event.reads[i]


@pytest.mark.parametrize("timing", TIMINGS)
def test_steps_are_what_the_reads_show(timing):
    balls = {"snowballs": 2, "snowball_radius": (4.0, 4.0), "snowball_afterglow": 0.05}
    timing = TIMINGS[timing] | {"ktc_noise": 0.0, "dark_current": 0.0}
    simulated = simulate(5, cosmic_rays=20, **balls, **timing)
    still = simulate(5, **timing).cube
    shown = (simulated.cube - still.astype(float)) * simulated.config.gain
    shown -= shown[0]
    told, events = np.zeros_like(shown), np.zeros(shown.shape[1:], int)
    for event in simulated.truth.events:
        events[event.rows, event.cols] += 1
        row, col, read, charge, _ = event.pixel_steps()
        np.add.at(told, (read, row, col), charge)
    told = np.cumsum(told, axis=0)
    before = np.arange(len(shown))[:, None, None] < simulated.stop
    # where two meet, both are cut short by the full well; elsewhere, what is not listed yet or
    # never, and two roundings
    assert np.abs(shown - told)[before & (events < 2)].max() < 3 + 1 + 1.5
    assert np.abs(told).max() > 1e4
    assert len(np.unique(np.nonzero(np.abs(told) > 500)[0])) > 3


def test_growth_of_a_snowball_is_listed_above_a_floor():
    (event,) = simulate(2, snowballs=1, snowball_radius=(4.0, 4.0), reads=30).truth.events
    steps = event.pixel_steps()
    later = steps.read > event.first_frame
    assert 20 < later.sum() < 5 * len(event.rows)
    assert np.abs(event.repeated.charge).min() > 3
    assert np.all(steps.charge[later & (steps.snr == 0)] > 0)


def test_truth_round_trip(tmp_path):
    truth = simulate(7, **EVENTS).truth
    truth.save(tmp_path / "truth.json")
    again = Truth.load(tmp_path / "truth.json")
    assert again.shape == truth.shape
    assert again.config == truth.config
    for one, two in zip(truth.events, again.events, strict=True):
        assert (one.label, one.first_frame, one.gain) == (two.label, two.first_frame, two.gain)
        assert one.facts == two.facts
        np.testing.assert_array_equal(one.rows, two.rows)
        np.testing.assert_allclose(one.charge, two.charge, atol=1e-3)
        np.testing.assert_allclose(one.snr, two.snr, atol=1e-3)
        for mine, other in zip(one.repeated, two.repeated, strict=True):
            np.testing.assert_allclose(mine, other, atol=1e-3)
            assert mine.dtype == other.dtype


def saved(tmp_path, **changes):
    """Return a path with the plain content of a truth, changed."""
    path = tmp_path / "truth.json"
    simulate(7, **EVENTS).truth.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1, 2]", "a list or a single value"),
        (b"SIMPLE\x92", "bytes that are no text"),
        (b"", "Expecting value: line 1 column 1"),
        (b'{"shape": [5, 8, 8]}', "none of the key 'events'"),
    ],
)
def test_file_that_is_no_truth_is_told_in_one_line(tmp_path, content, message):
    path = tmp_path / "truth.json"
    path.write_bytes(content)
    with pytest.raises(OhanaError, match="truth.json: wanted a truth written by ohana, got ") as e:
        Truth.load(path)
    assert message in str(e.value)
    assert "\n" not in str(e.value)


def test_truncated_truth(tmp_path):
    path = saved(tmp_path)
    path.write_text(path.read_text()[:5000])
    with pytest.raises(OhanaError, match="wanted a truth written by ohana, got .* line 1 column"):
        Truth.load(path)


def test_missing_file(tmp_path):
    with pytest.raises(OhanaError, match="none.json: wanted a truth .* no such file"):
        Truth.load(tmp_path / "none.json")


COLUMNS = {"rows": [1], "cols": [2], "reads": [3], "charge": [4.0], "snr": [5.0]}
HEAD = {"type": "cosmic_ray", "first_frame": 3, "gain": 1.5, "facts": {}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": {"raeds": 5}}, "config: raeds: Extra inputs are not permitted"),
        ({"events": [HEAD]}, "none of the key 'rows'"),
        ({"events": [HEAD | COLUMNS | {"type": "comet"}]}, "class name: wanted one of .*'comet'"),
        ({"events": [HEAD | COLUMNS | {"snr": []}]}, "columns of different lengths"),
        ({"events": [HEAD | COLUMNS | {"repeated": {"row": [1]}}]}, "none of the key 'col'"),
    ],
)
def test_wrong_content_is_named(tmp_path, changes, message):
    with pytest.raises(OhanaError, match=f"wanted a truth written by ohana, got .*{message}"):
        Truth.load(saved(tmp_path, **changes))


NUMBERS = st.floats(0, 1e5, width=32)
STEPS = st.lists(
    st.tuples(*[st.integers(0, 2047)] * 2, st.integers(1, 449), NUMBERS, NUMBERS), max_size=5
)


@settings(max_examples=30, deadline=None)
@given(STEPS, STEPS, st.sampled_from([Label.COSMIC_RAY, Label.SNOWBALL, Label.TELEGRAPH_NOISE]))
def test_any_truth_comes_back(tmp_path_factory, pixels, repeated, label):
    kinds = (np.int32, np.int32, np.int32, np.float32, np.float32)
    columns, more = (
        [np.array([row[i] for row in rows], kind) for i, kind in enumerate(kinds)]
        for rows in (pixels, repeated)
    )
    event = TrueEvent(label, None, *columns, 1.5, {"levels": [0.0, 3.5]}, PixelSteps(*more))
    path = tmp_path_factory.mktemp("any") / "truth.json"
    Truth((450, 2048, 2048), [event], SimulationConfig()).save(path)
    (again,) = Truth.load(path).events
    assert (again.label, again.first_frame, again.facts) == (label, None, event.facts)
    mine = (event.rows, event.cols, event.reads, event.charge, event.snr, *event.repeated)
    theirs = (again.rows, again.cols, again.reads, again.charge, again.snr, *again.repeated)
    for one, two in zip(mine, theirs, strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_allclose(one, two, atol=6e-4, rtol=1e-6)


def test_many_events_are_written_and_read_in_seconds(tmp_path):
    one = np.arange(18, dtype=np.int32)
    charge = np.linspace(1.234, 4567.8, 18).astype(np.float32)
    event = TrueEvent(Label.COSMIC_RAY, 9, one, one, one, charge, charge / 20, 1.5, {"length": 1.5})
    truth = Truth((450, 2048, 2048), [event] * 25_000, SimulationConfig())
    begin = time.perf_counter()
    truth.save(tmp_path / "truth.json")
    assert len(Truth.load(tmp_path / "truth.json").events) == 25_000
    assert time.perf_counter() - begin < 20  # 3 s on an idle core
    assert (tmp_path / "truth.json").stat().st_size < 25e6


def test_telegraph_noise_of_reference_pixels_is_marked():
    simulated = simulate(3, telegraph_pixels=300, telegraph_border=True, reads=30)
    events = simulated.truth.events
    border = np.ones(simulated.cube.shape[1:], bool)
    border[4:-4, 4:-4] = False
    for event in events:
        assert event.facts["reference_pixel"] == border[event.rows[0], event.cols[0]]
    # as many as its share of the area: 1216 of 6144 pixels
    count = sum(event.facts["reference_pixel"] for event in events)
    assert count == pytest.approx(300 * border.mean(), abs=4 * np.sqrt(300 * border.mean()))
    still = simulate(3, reads=30).cube
    change = (simulated.cube.astype(float) - still) * simulated.config.gain
    for event in events:
        path = np.repeat(0.0, 30)
        for start, state in zip(
            [0, *event.facts["transitions"]], event.facts["states"], strict=True
        ):
            path[start:] = event.facts["levels"][state]
        np.testing.assert_allclose(change[:, event.rows[0], event.cols[0]], path, atol=1.6)


def test_afterglow_of_an_open_core_is_in_the_truth():
    glow = {"snowball_afterglow": 0.1, "snowball_afterglow_time": 3.0}
    quiet = {"snowball_growth": 0.0, "snowball_ring": 0.0, "trail_fraction": 0.0}
    half = {"snowball_core": (0.5, 0.5), "snowball_radius": (5.0, 5.0)}
    simulated = simulate(2, snowballs=1, reads=40, **glow, **quiet, **half)
    (event,) = simulated.truth.events
    steps = event.pixel_steps()
    later = event.repeated.read > event.first_frame
    radius = np.hypot(*(np.stack(event.repeated[:2]).T - event.facts["center"]).T)
    assert radius[later].max() < 7
    core = radius < 4
    reads = event.repeated.read - event.first_frame
    total = event.repeated.charge[core & later].sum() / event.repeated.charge[core].sum()
    assert total == pytest.approx(0.1 / 1.1, rel=0.03)
    share = [event.repeated.charge[core & (reads == k)].sum() for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(np.diff(np.log(share)), -1 / 3, atol=0.02)
    # what the truth says is what the reads show
    change = np.diff(simulated.cube.astype(float) - simulate(2, reads=40).cube, axis=0) * 1.5
    deep = (steps.read > event.first_frame) & (steps.charge > 300)
    found = change[steps.read[deep] - 1, steps.row[deep], steps.col[deep]]
    np.testing.assert_allclose(found, steps.charge[deep], atol=4)
