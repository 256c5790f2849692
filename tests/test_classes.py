"""The table of classes: every row is whole, and everything that depends on it has read it."""

import re

import pytest

from ohana.classes import CLASSES, EVENT_LABELS, MASK_PRIORITY, Label, label_of, labels_with
from ohana.config import DetectorConfig
from ohana.export.columns import COLUMNS


def test_every_label_but_the_background_has_a_row():
    assert tuple(Label) == (Label.BACKGROUND, *EVENT_LABELS)
    assert all(CLASSES[label.key].label == label == label_of(label.key) for label in EVENT_LABELS)
    assert all(label.traits is CLASSES[label.key] for label in EVENT_LABELS)
    with pytest.raises(KeyError):
        _ = Label.BACKGROUND.traits


@pytest.mark.parametrize(
    "name", ["mask_priority", "light", "dark", "marker", "sign", "shortcut", "short", "one"]
)
def test_what_tells_classes_apart_differs(name):
    assert len({getattr(row, name) for row in CLASSES.values()}) == len(CLASSES)


@pytest.mark.parametrize("row", CLASSES.values(), ids=list(CLASSES))
def test_values_make_sense(row):
    assert re.fullmatch("#[0-9A-F]{6}", row.light)
    assert re.fullmatch("#[0-9A-F]{6}", row.dark)
    assert 0 < row.network_threshold < 1
    assert row.loss_weight > 0
    assert row.training_snr > 0
    default = DetectorConfig.model_fields[row.min_confidence].default
    assert DetectorConfig().min_confidence_of(row.label) == default


def test_the_mask_shows_snowballs_over_telegraph_noise_over_cosmic_rays():
    assert MASK_PRIORITY == (Label.COSMIC_RAY, Label.TELEGRAPH_NOISE, Label.SNOWBALL)


def test_charge_arrives_in_one_read():
    charge = {Label.COSMIC_RAY, Label.SNOWBALL}
    assert set(labels_with("adds_charge")) == set(labels_with("has_first_read")) == charge


def test_own_columns_are_in_the_table_with_the_name_of_their_class():
    described = {column.name: column.description for column in COLUMNS}
    assert len(described) == len(COLUMNS)
    assert described["dwell_low"].startswith("Telegraph noise: ")
    for row in CLASSES.values():
        for column in row.columns:
            assert described[column.name] == f"{row.collective.capitalize()}: {column.description}"


def test_an_unknown_class():
    with pytest.raises(ValueError, match=r"class name: wanted one of \[.*'rtn'.*\], got 'glow'"):
        label_of("glow")
