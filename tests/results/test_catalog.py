"""The catalogue as other programs read it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohana.classes import Label
from ohana.errors import OhanaError
from ohana.events import Event
from ohana.results.catalogue import (
    MAX_LISTED_PIXELS,
    catalogue,
    member_pixels,
    read_catalogue,
    write_catalogue,
)


def event(pixels, amplitude, label=Label.COSMIC_RAY, first_frame=3, **more):
    rows, cols = np.array(pixels, np.int32).T
    amplitude = np.array(amplitude, np.float32)
    reads = np.full(len(rows), -1 if first_frame is None else first_frame, np.int32)
    more = {"confidence": 0.9, "significance": amplitude / 10} | more
    return Event(label, rows, cols, reads, amplitude, first_frame=first_frame, **more)


def test_every_field_of_a_small_event():
    hit = event(
        [(5, 3), (4, 3), (4, 2)],
        [100, 300, 100],
        confidence=0.98765,
        integration=1,
        extra={"step_error": np.float32(3.3), "extended": np.bool_(False), "fit_quality": np.nan},
    )
    assert catalogue([hit]) == [
        {
            "type": "cosmic_ray",
            "centroid": [4.2, 2.8],
            "position": [4, 3],
            "first_frame": 3,
            "mean_intensity": pytest.approx(166.667),
            "max_intensity": 300.0,
            "spatial_extent": 3,
            "confidence": 0.9877,
            "significance": 30.0,
            "source": "rules",
            "integration": 1,
            "bbox": [4, 2, 6, 4],
            "pixels": [[4, 2], [4, 3], [5, 3]],
            "step_error": 3.3,
            "extended": False,
            "fit_quality": None,
        }
    ]


def test_telegraph_noise_has_no_first_frame():
    entry = catalogue([event([(0, 0)], [20], Label.TELEGRAPH_NOISE, None)])[0]
    assert (entry["type"], entry["first_frame"]) == ("telegraph_noise", None)


def test_extra_values_become_plain():
    extra = {
        "levels": np.array([1.5, np.inf]),
        "dwell": (np.int64(3), 2.123456789),
        "core": {"radius": np.float64(2.5)},
    }
    entry = catalogue([event([(0, 0)], [20], extra=extra)])[0]
    assert entry["levels"] == [1.5, None]
    assert entry["dwell"] == [3, 2.12346]
    assert entry["core"] == {"radius": 2.5}
    assert type(entry["dwell"][0]) is int


def test_extra_must_not_replace_a_common_field():
    with pytest.raises(ValueError, match="extra.*bbox.*are fields of every event"):
        catalogue([event([(0, 0)], [20], extra={"bbox": 1})])


def test_an_event_needs_a_pixel():
    nothing = event(np.empty((0, 2)), [])
    with pytest.raises(ValueError, match="events: wanted at least one pixel"):
        catalogue([event([(0, 0)], [20]), nothing])


def test_unknown_amplitudes_are_left_out():
    part = catalogue([event([(0, 0), (0, 1), (0, 2)], [np.nan, 10, 30])])[0]
    assert part["centroid"] == [0.0, 1.75]
    assert (part["mean_intensity"], part["max_intensity"], part["position"]) == (20.0, 30.0, [0, 2])
    none = catalogue([event([(0, 0), (0, 1)], [np.nan, np.nan])])[0]
    assert none["centroid"] == [0.0, 0.5]
    assert none["mean_intensity"] is none["max_intensity"] is none["significance"] is None


def test_equally_strong_pixels_give_the_first_position():
    assert catalogue([event([(3, 1), (2, 5), (2, 4)], [7, 7, 7])])[0]["position"] == [2, 4]


def test_order_is_integration_then_first_frame_then_position():
    events = [
        event([(0, 0)], [1], integration=1, first_frame=1),
        event([(0, 0)], [1], Label.TELEGRAPH_NOISE, None),
        event([(2, 0)], [1], first_frame=5),
        event([(1, 9)], [1], first_frame=5),
        event([(9, 9)], [1], first_frame=0),
    ]
    entries = catalogue(events)
    assert entries == catalogue(events[::-1])
    found = [(e["integration"], e["first_frame"], e["position"]) for e in entries]
    assert found == [
        (0, 0, [9, 9]),
        (0, 5, [1, 9]),
        (0, 5, [2, 0]),
        (0, None, [0, 0]),
        (1, 1, [0, 0]),
    ]


def test_large_events_are_listed_as_runs():
    block = [(r, c) for r in range(10, 20) for c in range(40, 50)]
    block.remove((12, 45))
    entry = catalogue([event(block, np.ones(len(block)), Label.SNOWBALL)])[0]
    assert "pixels" not in entry
    assert entry["runs"][:4] == [[10, 40, 10], [11, 40, 10], [12, 40, 5], [12, 46, 4]]
    assert sorted(zip(*member_pixels(entry), strict=True)) == sorted(block)


@pytest.mark.parametrize("size", [MAX_LISTED_PIXELS, MAX_LISTED_PIXELS + 1])
def test_listing_changes_at_the_limit(size):
    entry = catalogue([event([(0, c) for c in range(size)], np.ones(size))])[0]
    assert ("pixels" in entry) == (size <= MAX_LISTED_PIXELS)


pixel_sets = st.sets(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1)


@given(st.lists(pixel_sets, min_size=1, max_size=4))
def test_members_box_and_size_agree(sets):
    for entry in catalogue([event(sorted(pixels), np.ones(len(pixels))) for pixels in sets]):
        rows, cols = member_pixels(entry)
        assert set(zip(rows.tolist(), cols.tolist(), strict=True)) in sets
        assert entry["spatial_extent"] == len(rows)
        assert entry["bbox"] == [rows.min(), cols.min(), rows.max() + 1, cols.max() + 1]
        np.testing.assert_allclose(entry["centroid"], [rows.mean(), cols.mean()], atol=6e-4)


def test_events_do_not_depend_on_their_neighbours():
    events = [event([(i, i), (i, i + 1)], [i + 1, 2 * i + 1], first_frame=i) for i in range(5)]
    assert catalogue(events) == [catalogue([one])[0] for one in events]


def test_round_trip_through_a_file(tmp_path):
    path = tmp_path / "detections.json"
    written = write_catalogue(path, [event([(0, 1)], [50], extra={"fit_quality": np.nan})])
    assert read_catalogue(path) == written == json.loads(path.read_text())
    assert [p.name for p in tmp_path.iterdir()] == ["detections.json"]


def test_no_events_is_an_empty_list(tmp_path):
    path = tmp_path / "detections.json"
    assert write_catalogue(path, []) == read_catalogue(path) == []


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "detections.json"
    path.write_text("[]")
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_catalogue(path, [event([(0, 1)], [50], extra={"odd": object()})])
    assert path.read_text() == "[]"
    with pytest.raises(OhanaError, match=r"nowhere/d.json: cannot write: No such file"):
        write_catalogue(tmp_path / "nowhere" / "d.json", [])
    assert [p.name for p in tmp_path.iterdir()] == ["detections.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "muon"}, "entry 0.type: Input should be 'cosmic_ray'"),
        ({"confidence": 1.5}, "entry 0.confidence: Input should be less than or equal to 1"),
        ({"centroid": [1.0]}, "entry 0.centroid: List should have at least 2 items"),
        ({"first_frame": 2.5}, "entry 0.first_frame: Input should be a valid integer"),
        ({"bbox": None}, "entry 0.bbox: Input should be a valid array"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, change, message):
    entry = catalogue([event([(0, 0)], [20])])[0]
    path = tmp_path / "detections.json"
    path.write_text(json.dumps([entry | change]))
    with pytest.raises(OhanaError, match=message):
        read_catalogue(path)


def test_unreadable_catalogues(tmp_path):
    path = tmp_path / "detections.json"
    with pytest.raises(OhanaError, match=r"detections.json: cannot read catalogue: No such file"):
        read_catalogue(path)
    path.write_text("{}")
    with pytest.raises(OhanaError, match=r"detections.json: entry list: Input should be a valid"):
        read_catalogue(path)
