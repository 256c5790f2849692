"""Scores of hand-made truths and detections with known numbers."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from ohana.classes import Label
from ohana.evaluate import evaluate, expected_false, pixel_confusion, truth_mask
from ohana.evaluate.truth.report import as_plain
from ohana.rampfit.covariance import difference_covariance
from ohana.rampfit.gls import fit_steps
from ohana.simulate import SimulationConfig, TrueEvent, Truth

CONFIG = SimulationConfig(reads=20, rows=40, cols=50, outputs=1, border=0)


def true(label, pixels, read, snr, **facts):
    rows, cols = np.array(pixels, np.int32).T
    snr = np.broadcast_to(np.asarray(snr, np.float32), rows.shape)
    reads = np.full(len(rows), -1 if read is None else read, np.int32)
    return TrueEvent(label, read, rows, cols, reads, 100 * snr, snr, 1.5, facts)


def ray(pixels, read, snr=50.0):
    return true(Label.COSMIC_RAY, pixels, read, snr)


def flicker(pixel, chi2, transitions=6):
    changes = list(range(2, 2 + transitions))
    return true(Label.TELEGRAPH_NOISE, [pixel], None, np.sqrt(chi2), transitions=changes, chi2=chi2)


def detection(kind, pixels, read, **more):
    return {
        "type": kind,
        "pixels": pixels,
        "position": pixels[0],
        "first_frame": read,
        "max_intensity": 500.0,
        "significance": 50.0,
        "confidence": 0.9,
        "integration": 0,
    } | more


def score(events, detections, **options):
    return evaluate(Truth(CONFIG.shape, events, CONFIG), detections, **options)


def test_counts_of_cosmic_rays():
    events = [
        ray([[1, 1], [1, 2]], 5),  # found
        ray([[9, 9]], 5),  # found one read late
        ray([[20, 20]], 5),  # found two reads late: missed, and a false detection
        ray([[30, 30]], 5, snr=3.0),  # too faint to count
        ray([[5, 40], [5, 41], [5, 42]], 7),  # found in two pieces
    ]
    detections = [
        detection("cosmic_ray", [[1, 2], [1, 3]], 5),
        detection("cosmic_ray", [[9, 9]], 6),
        detection("cosmic_ray", [[20, 20]], 7),
        detection("cosmic_ray", [[5, 40]], 7),
        detection("cosmic_ray", [[5, 42]], 7),
        detection("cosmic_ray", [[0, 0]], 7, integration=1),
    ]
    counts = score(events, detections).classes[0]
    assert (counts.injected, counts.detectable, counts.found) == (5, 4, 3)
    assert (counts.detected, counts.real, counts.split) == (5, 4, 1)
    assert counts.completeness == 0.75
    assert counts.purity == 0.8


def test_faint_event_that_is_found_is_not_false():
    counts = score([ray([[3, 3]], 5, snr=4.0)], [detection("cosmic_ray", [[3, 3]], 5)]).classes[0]
    assert (counts.detectable, counts.found, counts.real) == (0, 0, 1)
    assert np.isnan(counts.completeness)


def test_other_class_at_the_same_place_does_not_count():
    result = score([ray([[3, 3]], 5)], [detection("snowball", [[3, 3]], 5)])
    assert [c.real for c in result.classes] == [0, 0, 0]
    assert result.classes[0].found == 0
    assert result.classes[2].purity == 0


def test_pixels_of_cosmic_rays_in_bins_of_snr():
    events = [
        ray([[1, 1], [1, 2], [1, 3]], 5, snr=[5.5, 7.0, 4.0]),
        ray([[7, 7], [7, 8]], 9, snr=[5.0, 30.0]),
        ray([[7, 8]], 15, snr=20.0),  # shares a pixel: neither counts there
    ]
    detections = [
        detection("cosmic_ray", [[1, 1], [1, 2], [1, 3]], 5),
        detection("cosmic_ray", [[7, 8]], 9),
    ]
    bins = score(events, detections).pixels.rays
    assert [(b.low, b.count, b.found) for b in bins] == [
        (5, 2, 1),
        (6, 1, 1),
        (8, 0, 0),
        (12, 0, 0),
    ]
    assert bins[0].expected == pytest.approx(norm.sf(-0.5) + 0.5)
    assert bins[1].expected == pytest.approx(norm.cdf(2.0))
    assert np.isnan(bins[2].fraction)


def test_first_frames():
    events = [ray([[r, 5]], 5, snr=snr) for r, snr in ((1, 9), (3, 9), (5, 9), (7, 9), (9, 7))]
    reads = [5, 4, 12]  # right, one off, wrong; the fourth is not found, the fifth is too faint
    detections = [
        detection("cosmic_ray", [[r, 5]], read) for r, read in zip((1, 3, 5), reads, strict=True)
    ]
    dating = score(events, detections).classes[0].dating
    assert dating.offsets == [0, -1, 7]
    assert (dating.within_one.count, dating.within_one.found) == (3, 2)
    assert (dating.exact.count, dating.exact.found) == (3, 1)
    assert dating.within_one.expected == 3  # steps of many times the noise


def test_faint_steps_of_long_ramps_may_be_off_by_what_noise_makes_of_them():
    noise = float(CONFIG.total_noise(CONFIG.read_noise))
    event = ray([[3, 3]], 5, snr=9.0)
    event.charge[:] = 2 * noise  # 99 % of the best estimates are within five or six reads
    for late, found in ((5, 1), (7, 0)):
        result = score([event], [detection("cosmic_ray", [[3, 3]], 5 + late)])
        assert result.classes[0].found == found
        assert result.pixels.rays[2].found == found
        assert result.classes[0].dating.within_one.found == 0
    assert result.classes[0].dating.within_one.expected == pytest.approx(0.867)


def test_false_pixels_per_million_empty_pixels():
    events = [ray([[1, 1], [1, 2]], 5)]
    detections = [
        detection("cosmic_ray", [[1, 1]], 15),
        detection("cosmic_ray", [[30, 30], [30, 31]], 5),
    ]
    assert score(events, detections).pixels.false == pytest.approx(2 / (40 * 50 - 2) * 1e6)


def test_telegraph_noise():
    events = [
        flicker((1, 1), 100.0),
        flicker((2, 2), 150.0),
        flicker((3, 3), 500.0),
        flicker((4, 4), 500.0, transitions=3),
        flicker((5, 5), 50.0),
    ]
    detections = [
        detection("telegraph_noise", [[1, 1]], None),
        detection("cosmic_ray", [[2, 2]], 7),
        detection("telegraph_noise", [[3, 3]], None),
        detection("telegraph_noise", [[9, 9]], None),
        detection("cosmic_ray", [[4, 4]], 7),
    ]
    result = score(events, detections)
    assert [(b.count, b.found) for b in result.pixels.telegraph] == [(2, 1), (1, 1)]
    assert result.pixels.telegraph_false == pytest.approx(1 / 2000 * 1e6)
    taken = result.pixels.telegraph_as_cosmic_ray
    assert (taken.count, taken.found) == (3, 1)
    counts = result.classes[1]
    assert (counts.injected, counts.detectable, counts.found, counts.real) == (5, 3, 2, 2)


def test_overlap_of_snowballs():
    square = [[r, c] for r in range(10, 20) for c in range(10, 20)]
    halo = [[r, c] for r in range(8, 10) for c in range(10, 20)]
    event = true(Label.SNOWBALL, square + halo, 5, [100.0] * 100 + [2.0] * 20)
    runs = [[r, 10, 8] for r in range(10, 20)]
    detected = detection("snowball", [[10, 10]], 6) | {"runs": runs}
    del detected["pixels"]
    ball = score([event], [detected]).classes[2]
    assert ball.overlaps == [0.8]
    assert ball.found == 1
    assert score([event], []).classes[2].overlaps == [0.0]


def by_label(result):
    return {s.label: s for s in result.classes}


def ball(top, left, size, read):
    pixels = [[r, c] for r in range(top, top + size) for c in range(left, left + size)]
    return true(Label.SNOWBALL, pixels, read, 200.0)


def perfect(events):
    """A catalogue that has every event as it is."""
    return [
        detection(
            e.label.key, np.column_stack([e.rows, e.cols]).tolist(), e.first_frame, confidence=1.0
        )
        for e in events
    ]


MIXED = [
    ray([[1, 1], [1, 2]], 5),
    ray([[9, 9]], 7),
    ray([[30, 30], [31, 31]], 19),
    flicker((20, 5), 400.0),
    ball(15, 20, 5, 4),
]


def test_perfect_catalogue():
    result = score(MIXED, perfect(MIXED))
    for each, number in zip(result.classes, (3, 1, 1), strict=True):
        assert (each.injected, each.detectable, each.found) == (number,) * 3
        assert (each.detected, each.real, each.other, each.false) == (number, number, 0, 0)
        assert (each.split, each.merged) == (0, 0)
        assert each.completeness == each.purity == 1
        assert each.overlaps == [1.0] * number
        assert set(each.dating.offsets) == {0}
        assert each.reliability.error == 0
        for bins in (*each.complete.values(), *each.pure.values()):
            assert all(b.found == b.count for b in bins)
    assert result.event_confusion.tolist() == np.diag([0, 3, 1, 1]).tolist()
    pixels = result.pixel_confusion
    assert np.diag(pixels).tolist() == [40 * 50 - 31, 5, 1, 25]
    assert pixels.sum() == 40 * 50


def test_everything_missed():
    result = score(MIXED, [])
    assert [s.found for s in result.classes] == [0, 0, 0]
    assert [s.completeness for s in result.classes] == [0, 0, 0]
    assert all(np.isnan(s.purity) for s in result.classes)
    assert result.classes[0].completeness_interval == (0.0, 0.25)
    assert result.event_confusion[:, 0].tolist() == [0, 3, 1, 1]
    assert result.event_confusion[:, 1:].sum() == 0
    assert [s.overlaps for s in result.classes] == [[0, 0, 0], [0], [0]]
    assert all(s.pure == {n: [] for n in ("snr", "amplitude", "read", "rate")}
               for s in result.classes)  # fmt: skip


@pytest.mark.parametrize(("late", "found"), [(-2, 0), (-1, 3), (0, 3), (1, 3), (2, 0)])
def test_first_reads_that_are_off(late, found):
    detections = [d for d in perfect(MIXED) if d["type"] == "cosmic_ray"]
    detections = [d | {"first_frame": min(d["first_frame"] + late, 19)} for d in detections]
    events = [ray([[1, 1], [1, 2]], 5), ray([[9, 9]], 7), ray([[30, 30], [31, 31]], 15)]
    detections[2]["first_frame"] = 15 + late
    result = by_label(score(events, detections))[Label.COSMIC_RAY]
    assert (result.found, result.real) == (found, found)
    assert result.dating.offsets == [late] * 3
    assert result.dating.exact.found == (3 if late == 0 else 0)
    assert result.dating.within_one.found == found


def test_wrong_class_is_a_confusion():
    events = [ray([[3, 3]], 5), flicker((8, 8), 400.0), ball(15, 20, 5, 4)]
    detections = [
        detection("telegraph_noise", [[3, 3]], None),
        detection("cosmic_ray", [[8, 8]], 12),
        detection("cosmic_ray", [[15, 20], [15, 21]], 4),
        detection("telegraph_noise", [[16, 20]], None),
        detection("cosmic_ray", [[35, 35]], 4),
    ]
    result = score(events, detections)
    # The larger piece of the snowball decides what it is taken for.
    assert result.event_confusion.tolist() == [
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 1, 0, 0],
        [0, 1, 0, 0],
    ]
    assert [(s.real, s.other, s.false) for s in result.classes] == [(0, 2, 1), (0, 2, 0), (0, 0, 0)]


def test_a_detection_of_one_event_says_nothing_about_another_in_its_pixels():
    events = [ray([[3, 3]], 5), flicker((3, 3), 400.0)]
    result = score(events, [detection("cosmic_ray", [[3, 3]], 5)])
    assert result.event_confusion[1].tolist() == [0, 1, 0, 0]
    assert result.event_confusion[2].tolist() == [1, 0, 0, 0]


def test_split_merged_and_repeated_events():
    events = [
        ray([[5, 5], [5, 6], [5, 7], [5, 8]], 7),  # in two pieces
        ray([[20, 20]], 7),  # these two in one
        ray([[20, 21]], 8),
        ray([[30, 30]], 9),  # twice the same
    ]
    detections = [
        detection("cosmic_ray", [[5, 5]], 7),
        detection("cosmic_ray", [[5, 6], [5, 7], [5, 8]], 7),
        detection("cosmic_ray", [[20, 20], [20, 21]], 7),
        detection("cosmic_ray", [[30, 30]], 9),
        detection("cosmic_ray", [[30, 30]], 9),
    ]
    rays = score(events, detections).classes[0]
    assert (rays.found, rays.real, rays.split, rays.merged) == (4, 5, 2, 1)
    assert rays.overlaps == [0.75, 0.5, 0.5, 1.0]


def test_overlap_counts_the_visible_footprint_at_the_right_read():
    event = ray([[5, 5], [5, 6], [5, 7]], 7, snr=[50.0, 10.0, 2.0])  # the last cannot be seen
    for pixels, read, overlap in (
        ([[5, 5], [5, 6]], 7, 1.0),
        ([[5, 5]], 7, 0.5),
        ([[5, 5], [5, 6], [5, 7], [5, 8]], 7, 0.5),
        ([[5, 5], [5, 6]], 15, 0.0),
    ):
        rays = score([event], [detection("cosmic_ray", pixels, read)]).classes[0]
        assert rays.overlaps == [overlap]


def test_completeness_against_everything():
    events = [ray([[r, 2]], 3, snr=snr) for r, snr in enumerate([7.0] * 10 + [30.0] * 10)]
    events += [ray([[r, 9]], 12, snr=3.5) for r in range(12)]
    detections = perfect(events[5:20] + events[30:])
    rate = np.full((40, 50), 0.3)
    rate[:10] = -1.0
    result = evaluate(Truth(CONFIG.shape, events, CONFIG), detections, rate=rate)
    rays = result.classes[0]

    def counts(name):
        return [(b.low, b.high, b.count, b.found) for b in rays.complete[name]]

    assert counts("snr") == [(3, 4, 12, 2), (6, 8, 10, 5), (20, 50, 10, 10)]
    expected = [b.expected_fraction for b in rays.complete["snr"]]
    assert expected == pytest.approx([norm.cdf(-1.5), norm.cdf(2), 1])
    # Amplitudes are 100 S/N electrons at 1.5 e-/DN: 233, 467 and 2000 DN.
    assert counts("amplitude") == [(200, 500, 22, 7), (2000, 5000, 10, 10)]
    # Of the detectable ones.
    assert sum(b.count for b in rays.complete["read"]) == 20
    assert [b.count for b in rays.complete["rate"]] == [10, 10]
    assert rays.complete["rate"][0].low == 1e-3
    assert sum(b.count for b in rays.pure["rate"]) == 17
    assert all(np.isnan(b.expected) for b in rays.complete["read"])


def test_purity_against_significance():
    events = [ray([[r, 2]], 3) for r in range(10)]
    detections = perfect(events)
    detections += [
        detection("cosmic_ray", [[r, 30]], 3, significance=5.5, max_intensity=None)
        for r in range(12)
    ]
    rays = score(events, detections).classes[0]
    assert [(b.low, b.count, b.found) for b in rays.pure["snr"]] == [(5, 12, 0), (50, 10, 10)]
    assert [(b.count, b.found) for b in rays.pure["amplitude"]] == [(10, 10)]
    assert rays.pure["rate"] == []


def test_telegraph_noise_of_reference_pixels_is_not_asked_for():
    config = CONFIG.model_copy(update={"border": 4})
    event = flicker((1, 1), 500.0)
    event.facts["reference_pixel"] = True
    result = evaluate(Truth(config.shape, [event], config), [])
    telegraph = result.classes[1]
    assert (telegraph.injected, telegraph.detectable) == (1, 0)
    assert telegraph.complete == {n: [] for n in ("snr", "amplitude", "read", "rate")}
    assert result.event_confusion.sum() == 0
    assert result.pixel_confusion.tolist()[0] == [32 * 42, 0, 0, 0]
    assert result.pixel_confusion.sum() == 32 * 42


def numbers(result):
    """All that must not depend on order or orientation."""
    plain = as_plain(result)
    del plain["shape"]
    return json.dumps(plain, sort_keys=True)


def random_case(seed):
    rng = np.random.default_rng(seed)
    events, detections = [], []
    for _ in range(60):
        row, col, read = rng.integers([1, 1, 1], [38, 48, 20]).tolist()
        kind = rng.choice(["cosmic_ray", "telegraph_noise", "snowball"], p=[0.6, 0.2, 0.2])
        near = [[row, col], [row, col + 1], [row + 1, col]]
        if kind == "telegraph_noise":
            events.append(flicker((row, col), float(rng.uniform(20, 900))))
            near, read = near[:1], None
        else:
            label = Label[kind.upper()]
            events.append(true(label, near, read, rng.uniform(1, 30, 3)))
        while rng.random() < 0.6:
            shift = int(rng.integers(-2, 3))
            late = None if read is None else int(np.clip(read + shift, 1, 19))
            confidence = float(rng.uniform(0, 1))
            detections.append(detection(kind, near[: 1 + abs(shift)], late, confidence=confidence))
    return events, detections


@pytest.mark.parametrize("seed", range(3))
def test_order_does_not_matter(seed):
    events, detections = random_case(seed)
    rng = np.random.default_rng(seed)
    before = numbers(score(events, detections))
    rng.shuffle(events)
    rng.shuffle(detections)
    assert numbers(score(events, detections)) == before


@pytest.mark.parametrize("seed", range(3))
def test_transposed_arrays_give_the_same_scores(seed):
    events, detections = random_case(seed)
    before = numbers(score(events, detections))
    turned = [replace(event, rows=event.cols, cols=event.rows) for event in events]
    for entry in detections:
        entry["pixels"] = [pixel[::-1] for pixel in entry["pixels"]]
        entry["position"] = entry["position"][::-1]
    config = SimulationConfig(reads=20, rows=50, cols=40, outputs=1, border=0)
    assert numbers(evaluate(Truth(config.shape, turned, config), detections)) == before


@pytest.mark.parametrize(
    ("pixel", "read"), [([40, 3], 5), ([3, 50], 5), ([3, 3], 20)], ids=["row", "column", "read"]
)
def test_detection_outside_the_exposure(pixel, read):
    with pytest.raises(ValueError, match=r"entry 1: wanted pixels and first_frame within 20 reads"):
        score([], [detection("cosmic_ray", [[0, 0]], 1), detection("cosmic_ray", [pixel], read)])


def test_nothing_against_nothing():
    result = score([], [])
    assert [c.injected for c in result.classes] == [0, 0, 0]
    assert result.pixels.false == 0
    assert [c.overlaps for c in result.classes] == [[], [], []]


def test_mask_and_confusion():
    events = [
        ray([[1, 1], [1, 2]], 5, snr=[50.0, 1.0]),
        true(Label.SNOWBALL, [[1, 1], [2, 1]], 5, [50.0, 50.0]),
    ]
    truth = Truth(CONFIG.shape, events, CONFIG)
    mask = truth_mask(truth)
    assert mask[1, 1] == mask[2, 1] == Label.SNOWBALL
    assert np.count_nonzero(mask) == 2
    seen = mask.copy()
    seen[2, 1], seen[0, 0] = 0, 1
    table = pixel_confusion(truth, seen)
    assert table[3].tolist() == [1, 0, 0, 1]
    assert table[0].tolist() == [1997, 1, 0, 0]
    with pytest.raises(ValueError, match=r"mask: wanted shape \(40, 50\), got \(3, 3\)"):
        pixel_confusion(truth, np.zeros((3, 3), np.uint8))


@pytest.mark.parametrize(
    ("reads", "sky", "threshold"), [(8, 0.0, 3.5), (60, 0.0, 3.5), (60, 50.0, 4)]
)
def test_expectation_of_false_pixels_against_noise(reads, sky, threshold):
    config = SimulationConfig(
        reads=reads, rows=8, cols=8, border=0, gain=1.0, dark_current=0.0, sky=sky, outputs=1
    )
    rng, count = np.random.default_rng(1), 100_000
    rate = sky * config.frame_time
    noise = float(config.total_noise(config.read_noise))
    shape = (reads, count)
    ramp = np.sqrt(rate) * np.cumsum(rng.standard_normal(shape, np.float32), axis=0)
    ramp += noise * rng.standard_normal(shape, np.float32)
    model = difference_covariance(np.arange(float(reads)))
    fit = fit_steps(np.diff(ramp, axis=0), np.full(count, noise**2), np.full(count, rate), model)
    above = np.mean((fit.score / np.sqrt(fit.information)).max(axis=0) > threshold)
    expected = expected_false(Truth(config.shape, [], config), threshold)
    assert above == pytest.approx(expected, rel=0.25)
