"""The merge of events of rules and network: joined, kept, or of another class."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_outputs import event, output, output_on, ray, square, voxels
from scipy import special

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.network.calibration import (
    Calibration,
    EventScores,
    Logistic,
    design_matrix,
    real_fraction,
    shift_prior,
)
from ohana.network.candidates import combine
from ohana.network.combine import merge, real_fractions
from ohana.network.probabilities import network_log_odds
from ohana.network.tuning import TUNING
from ohana.results.catalogue import catalogue
from ohana.results.summary import tell_sources

NOISE = np.full((24, 24), 5.0)
NOTHING = output()
UNSEEN = np.log(TUNING.store_threshold)
TRACK = [(5, 5), (5, 6), (6, 7), (6, 8)]
RTN, BALL = Label.TELEGRAPH_NOISE, Label.SNOWBALL


def merged(rules, network=(), said=None, config=None, calibration=None):
    """Merge with the given output, or with one that detects the events of the network."""
    said = output_on(network) if said is None else said
    calibration, config = calibration or Calibration(), config or DetectorConfig()
    found = combine(rules, network, said, NOISE, config)
    return merge(found, NOISE, calibration, config, real_fractions(found, calibration))


def seen(pixels, **more):
    return ray(pixels, source="unet", **more)


def pixels_of(found):
    return set(zip(found.rows.tolist(), found.cols.tolist(), strict=True))


# Who has found it


def test_what_both_have_found_is_one_event():
    (found,) = merged([ray([(5, 5)], confidence=0.7)], [seen(TRACK)])
    assert found.source == "both"
    assert pixels_of(found) == set(TRACK)
    assert found.amplitude.tolist() == [100, 99, 98, 97]
    assert found.first_frame == 10
    assert found.extra["rules_confidence"] == 0.7
    # Four pixels at 0.95 have odds of 19 each.
    assert found.extra["network_score"] == pytest.approx(np.log(4 * 19), rel=1e-5)
    assert found.extra["step_amplitude"] == 394
    assert found.extra["step_error"] == pytest.approx(np.sqrt(9 + 3 * 100))
    # Log-odds of the rules, and half of the network's, in an exposure with no other candidate.
    alike = np.array([1 / (1 + 3 / 7 / np.sqrt(4 * 19))])
    expected = shift_prior(alike, 0.5, real_fraction(alike, 0.5))
    assert found.confidence == pytest.approx(float(expected[0]), rel=1e-5)


def test_pixels_that_the_rules_know_already_change_nothing():
    known = ray(TRACK)
    (found,) = merged([known], [seen(TRACK[:2], amplitude=300.0)])
    assert found.source == "both"
    assert found.amplitude is known.amplitude
    assert found.extra["step_error"] == 3.0


def test_extended_tracks_say_so():
    line = [(3, col) for col in range(20)]
    (found,) = merged([ray(line[:2])], [seen(line)])
    assert (found.extra["extended"], len(found.rows)) == (True, 20)


def test_pixels_of_the_network_that_saturate_are_told():
    line = [(3, col) for col in range(4)]
    full = seen(line)
    (found,) = merged([ray(line[:2])], [replace(full, extra=full.extra | {"saturated": True})])
    assert (found.extra["saturated"], found.source) == (True, "both")


def test_events_of_the_rules_that_the_network_connects_are_one():
    known = [ray(TRACK[:1], confidence=0.6), ray(TRACK[3:], confidence=0.9, amplitude=200.0)]
    (found,) = merged(known, [seen(TRACK)])
    assert pixels_of(found) == set(TRACK)
    assert found.extra["rules_confidence"] == 0.9
    assert found.amplitude.tolist() == [200, 100, 99, 98]


def test_events_of_the_rules_stay_however_the_network_doubts_them():
    (found,) = merged([ray([(5, 5)], confidence=0.55)], said=NOTHING)
    assert (found.source, found.extra["network_score"]) == ("rules", pytest.approx(UNSEEN))
    assert found.confidence < DetectorConfig().min_confidence
    assert found.extra["rules_confidence"] == 0.55


def test_events_of_the_network_need_the_least_confidence():
    faint = output(voxels(5, 5, 10, ray=0.45))
    assert merged([], [seen([(5, 5)])], faint) == []
    (found,) = merged([], [seen([(5, 5)])], faint, DetectorConfig(min_confidence=0.4))
    assert (found.source, found.extra["rules_confidence"]) == ("unet", None)
    assert json.dumps(catalogue([found]), allow_nan=False)


def test_events_of_which_the_rules_are_unsure_need_the_network():
    unsure = ray([(5, 5)], confidence=0.3)
    assert merged([unsure], said=NOTHING) == []
    (found,) = merged([unsure], [seen([(5, 5)])])
    assert (found.source, found.extra["rules_confidence"]) == ("unet", 0.3)
    assert merged([unsure], [seen([(5, 5)])], output_on([unsure], 0.25)) == []
    config = DetectorConfig(min_confidence=0.2)
    assert [e.source for e in merged([unsure], said=NOTHING, config=config)] == ["rules"]


def test_what_is_not_at_the_same_time_is_two_events():
    events = merged([ray([(5, 5)])], [seen([(5, 5), (5, 6)], first=13)])
    assert [(e.source, e.first_frame) for e in events] == [("rules", 10), ("unet", 13)]
    # A step of a fifth of the noise is dated to some reads only.
    events = merged([ray([(5, 5)], amplitude=5.0)], [seen([(5, 5), (5, 6)], first=13)])
    assert [e.source for e in events] == ["both"]


@pytest.mark.parametrize("label", [RTN, BALL])
def test_known_snowballs_and_levels_keep_their_description(label):
    first = None if label == RTN else 10
    known = event(label, square(4, 4, 1 if label == RTN else 6), first)
    again = replace(known, source="unet", extra={"of": "the network"})
    (found,) = merged([known], [again])
    assert (found.source, found.rows is known.rows) == ("both", True)
    assert "of" not in found.extra
    # Nor do they need an event of the network: its log-odds suffice.
    (found,) = merged([known], said=output_on([known]))
    assert found.source == "both"


def test_sources_are_told():
    events = merged(
        [ray([(5, 5)]), ray([(9, 9)]), ray([(20, 3)], confidence=0.99)],
        [seen([(5, 5)]), seen([(15, 15)])],
    )
    assert tell_sources(events, DetectorConfig()) == (
        "events: 1 found by rules and network, 2 by the rules alone (the network doubts 1), "
        "1 by the network alone"
    )


# Where they differ on the class


def ball(confidence=0.9, first=10):
    return event(BALL, square(4, 4, 6), first, confidence, "unet")


def test_a_snowball_takes_the_rays_in_which_it_was_seen():
    rays = [ray([(5, 5), (5, 6)], confidence=0.6), ray([(8, 8)], confidence=0.6)]
    (found,) = merged(rays, [ball()])
    assert (found.label, found.source, len(found.rows)) == (BALL, "both", 36)
    assert found.extra["also_seen_as"] == ["cosmic ray (0.11) by the rules"] * 2


def test_a_snowball_is_left_out_where_rays_are_more_likely():
    rays = [ray([(5, 5), (5, 6)], confidence=0.98)]
    said = output_on([replace(ball(), source="unet")], 0.35)
    (found,) = merged(rays, [ball()], said)
    assert (found.label, found.source) == (Label.COSMIC_RAY, "rules")
    assert found.extra["also_seen_as"] == ["snowball (0.42) by the network"]


def test_a_ray_more_likely_than_the_snowball_around_it_stays_beside_it():
    rays = [ray([(5, 5)], confidence=0.998), *(ray([(7, c)], confidence=0.6) for c in (5, 7))]
    found = merged(rays, [ball()], output_on([ball()], 0.7))
    assert [(e.label, e.source) for e in found] == [(Label.COSMIC_RAY, "rules"), (BALL, "both")]
    assert found[0].extra["also_seen_as"] == ["snowball (0.60) by the network"]


def test_a_ray_beside_a_snowball_or_seen_by_both_is_none_of_it():
    outside = ray([(4, 9), (4, 10), (4, 11)])
    assert [e.source for e in merged([outside], [ball()])] == ["rules", "unet"]
    late = ray([(5, 5)], first=18)
    events = merged([late], [ball()], output_on([ball(), late]))
    assert [e.source for e in events] == ["both", "unet"]


def test_rays_of_one_pixel_become_levels():
    rays = [ray([(5, 5)], 3, 0.6), ray([(5, 5)], 20, 0.6)]
    levels = event(RTN, [(5, 5)], None, source="unet")
    (found,) = merged(rays, [levels])
    assert (found.label, found.source) == (RTN, "both")
    assert len(found.extra["also_seen_as"]) == 2
    # A track may cross a pixel with levels.
    events = merged([ray(TRACK)], [levels])
    assert [(e.label, e.source) for e in events] == [(1, "rules"), (2, "unet")]


def test_levels_become_a_ray():
    levels = event(RTN, [(5, 5)], None, 0.6)
    (found,) = merged([levels], [seen([(5, 5)])])
    assert (found.label, found.source) == (Label.COSMIC_RAY, "both")
    (found,) = merged([replace(levels, confidence=0.99)], [seen([(5, 5)])])
    assert (found.label, found.source) == (RTN, "rules")


def test_what_is_too_unlikely_itself_takes_nothing():
    rays, config = [ray([(5, 5)], confidence=0.5)], DetectorConfig(snowball_min_confidence=0.95)
    (found,) = merged(rays, [ball()], config=config)
    assert (found.label, "also_seen_as" in found.extra) == (Label.COSMIC_RAY, False)


# Whatever comes


@st.composite
def events(draw, source):
    found = []
    for _ in range(draw(st.integers(0, 5))):
        label = draw(st.sampled_from(list(Label)[1:]))
        row, col = draw(st.integers(0, 8)), draw(st.integers(0, 8))
        size = {Label.COSMIC_RAY: draw(st.integers(1, 3)), RTN: 1, BALL: 6}[label]
        first = None if label == RTN else draw(st.integers(1, 12))
        sure, height = draw(st.floats(0.5, 0.98)), draw(st.floats(5, 500))
        found.append(event(label, square(row, col, size), first, sure, source, height))
    return found


@settings(max_examples=60, deadline=None)
@given(events("rules"), events("unet"), st.floats(0.03, 0.99), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_nothing_disappears(rules, network, sure, random):
    said = output_on(network, sure)
    found = merged(rules, network, said)
    shuffled = [random.sample(some, len(some)) for some in (rules, network)]
    assert catalogue(merged(*shuffled, said)) == catalogue(found)
    for known in rules:
        first = -1 if known.first_frame is None else known.first_frame
        kept = [
            pixels_of(e)
            for e in found
            if e.source != "unet" and (e.label == known.label or "also_seen_as" in e.extra)
        ]
        # A ray may be one of several that make an event, levels may share half with a ray.
        assert any(pixels_of(known) & pixels for pixels in kept), (known, first)
    for one in found:
        if one.source == "unet":
            assert one.confidence >= DetectorConfig().min_confidence_of(one.label)
            assert (one.extra["rules_confidence"] is None) == (one.label != RTN)


def test_classes_that_the_network_does_not_know_keep_the_confidence_of_the_rules():
    said = output()._replace(classes=frozenset({Label.TELEGRAPH_NOISE}))
    found = merged([ray([(5, 5)], confidence=0.8)], [], said)
    assert [event.confidence for event in found] == [pytest.approx(0.8)]
    assert found[0].extra["network_score"] is None
    assert found[0].source == "rules"


# Evidence and calibration


def test_score_of_reads_and_pixels():
    said = output(
        voxels(5, 5, [9, 10, 11], ray=0.3, amplitude=3.0),
        voxels(5, 6, 10, ray=0.5),
        voxels(5, 7, 10, ray=0.9),
    )
    faint = ray([(5, 5), (5, 6)], amplitude=2.0)
    # Any of three reads at 0.3 each, in the one pixel, has a chance of 0.657.
    assert network_log_odds([faint], said, NOISE) == pytest.approx([np.log(0.657 / 0.343 + 1)])
    # A bright step is in one read or the next.
    assert network_log_odds([ray([(5, 5)], 12)], said, NOISE) == pytest.approx([np.log(3 / 7)])
    assert network_log_odds([ray([(9, 9)])], said, NOISE) == pytest.approx([UNSEEN])


def test_score_of_snowballs_and_levels():
    corner = voxels(*np.array(square(4, 4, 3)).T, 11, ball=0.8)
    said = output(corner, telegraph=[(1, 2, 0.75)])
    levels, away = (event(RTN, [at], None) for at in ((1, 2), (2, 2)))
    score = network_log_odds([levels, ball(), away], said, NOISE)
    assert score == pytest.approx([np.log(3), np.log(0.2 / 0.8), np.log(0.02 / 0.98)])
    assert not len(network_log_odds([], said, NOISE))


def test_candidates_come_with_their_evidence():
    known, new = ray([(5, 5)], confidence=0.7), seen(TRACK[2:])
    found = combine([known], [new], output_on([new]), NOISE, DetectorConfig())
    assert [e.source for e in found.events] == ["rules", "unet"]
    np.testing.assert_allclose(found.scores.rules, [0.7, np.nan])
    np.testing.assert_allclose(found.scores.network_log_odds, [UNSEEN, np.log(2 * 19)], rtol=1e-5)
    assert found.scores.found_by_network.tolist() == [False, True]
    assert found.scores.pixels.tolist() == [1, 2]
    assert combine([], [], NOTHING, NOISE, DetectorConfig()).events == []


def test_inputs_of_the_calibration():
    evidence = EventScores(
        np.array([0.75, np.nan, 1.0]),
        np.array([-2.0, 30.0, 0.0]),
        np.array([0, 1, 1]),
        np.array([1, 2, 3]),
    )
    wanted = [
        [1, np.log(3), 1, -2, 0, 0, 0],
        [1, 0, 0, 7, 7, 1, np.log(2)],
        [1, 7, 1, 0, 0, 1, np.log(3)],
    ]
    np.testing.assert_allclose(design_matrix(evidence), wanted)
    weights = Logistic(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    sure = Calibration(snowball=weights).apply(BALL, evidence)
    np.testing.assert_allclose(
        np.log(sure / (1 - sure)), np.array(wanted) @ [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    )


def test_calibration_comes_back_from_json():
    some = Calibration(cosmic_ray=Logistic(base=-1.5, log_pixels=0.25))
    assert Calibration.from_dict(json.loads(json.dumps(some.as_dict()))) == some


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cosmic_ray": 3}, "calibration.cosmic_ray: wanted base, rules, .*, got int"),
        ({"cosmic_ray": {"base": 1}}, "calibration.cosmic_ray: wanted base, .*, got .*base"),
        ({"star": {}}, "calibration: wanted cosmic_ray, .*, got .*star"),
    ],
)
def test_calibration_that_is_none_is_refused(change, message):
    with pytest.raises(OhanaError, match=message):
        Calibration.from_dict(Calibration().as_dict() | change)


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf")])
def test_weights_are_finite_numbers(value):
    values = Calibration().as_dict()
    values["snowball"]["score"] = value
    with pytest.raises(OhanaError, match="calibration.snowball.score: wanted a finite number"):
        Calibration.from_dict(values)


def test_part_that_is_real_where_events_are_rare():
    """Candidates with true and false ones in known numbers, seen through a wrong prior."""
    rng = np.random.default_rng(3)
    # Evidence is normal around +1 for real ones and -1 for false ones: log-odds 2 x.
    for part in (0.02, 0.3, 0.9):
        real = rng.random(20000) < part
        chance = special.expit(2 * rng.normal(np.where(real, 1.0, -1.0), 1.0))  # prior one half
        found = real_fraction(chance, 0.5)
        assert found == pytest.approx(part, abs=0.02)
        after = shift_prior(chance, 0.5, found)
        for low, high in ((0.2, 0.4), (0.6, 0.8)):
            some = (after > low) & (after < high)
            assert real[some].mean() == pytest.approx(after[some].mean(), abs=0.05)


def test_few_candidates_say_little():
    assert real_fraction(np.empty(0), 0.3) == pytest.approx(0.3)
    assert 0.15 < real_fraction(np.array([0.05]), 0.3) < 0.3
    assert shift_prior(np.array([0.0, 0.2, 1.0]), 0.3, 0.3) == pytest.approx([0.0, 0.2, 1.0])


@pytest.mark.parametrize("name", ["known", "faint"])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.5])
def test_an_impossible_part_is_refused(name, value):
    values = Calibration().as_dict() | {name: value}
    with pytest.raises(OhanaError, match=f"calibration.{name}: wanted more than 0 and less than 1"):
        Calibration.from_dict(values)
