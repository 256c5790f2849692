"""Defaults, ranges and YAML of the settings."""

import runpy
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from ohana.config import NO_EFFECT_ON_RESULTS, DetectorConfig, stage_of
from ohana.config_file import load_config, parse_config, preset_names
from ohana.errors import OhanaError

ROOT = Path(__file__).parents[1]

SPECIFIED = {
    "sigma_threshold": (5.0, "sigma"),
    "min_anomaly_pixels": (1, "px"),
    "min_confidence": (0.5, ""),
    "cosmic_ray_min_intensity": (40.0, "DN"),
    "cosmic_ray_max_spatial_extent": (15, "px"),
    "cosmic_ray_min_step": (25.0, "DN"),
    "rtn_min_transitions": (2, ""),
    "rtn_max_transitions": (50, ""),
    "rtn_amplitude_range": ((10.0, 300.0), "DN"),
    "rtn_frequency_range": ((0.001, 0.5), "cycles/read"),
    "rtn_fit_quality_threshold": (0.3, ""),
    "rtn_min_confidence": (0.5, ""),
    "snowball_min_confidence": (0.2, ""),
    "snowball_min_intensity": (30.0, "DN"),
    "snowball_max_intensity": (500.0, "DN"),
    "snowball_min_radius": (3, "px"),
    "snowball_max_radius": (15, "px"),
    "snowball_circularity_threshold": (0.7, ""),
    "snowball_expansion_rate": (0.1, "px/read"),
    "snowball_min_area": (75, "px"),
    "snowball_max_area": (120000, "px"),
}

#: For each field a value on the limit and one just beyond; None where there is no limit.
LIMITS = {
    "detectors_side_by_side": (1, 0),
    "detector_index": (0, -1),
    "gain": (1e-9, 0),
    "read_noise": (1e-9, 0),
    "saturation": (1e-9, 0),
    "frame_time": (1e-9, 0),
    "outputs": (128, 129),
    "border": (0, -1),
    "border_sides": ((0, 64, 0, 64), (0, 65, 0, 0)),
    "row_smoothing": (1e-9, 0),
    "sigma_threshold": (1, 0.99),
    "neighbour_threshold": (1, 0.99),
    "max_steps": (1, 0),
    "min_anomaly_pixels": (1, 0),
    "min_confidence": (1, 1.01),
    "cosmic_ray_min_intensity": (0, -0.1),
    "cosmic_ray_max_spatial_extent": (1, 0),
    "cosmic_ray_min_step": (0, -0.1),
    "rtn_min_transitions": (1, 0),
    "rtn_max_transitions": (2, 0),
    "rtn_amplitude_range": ((0, 1), (-1, 1)),
    "rtn_frequency_range": ((0, 0.5), (0, 0.51)),
    "rtn_fit_quality_threshold": (0, -0.01),
    "rtn_min_confidence": (0, -0.01),
    "snowball_min_confidence": (1, 1.01),
    "snowball_min_intensity": (0, -1),
    "snowball_max_intensity": (30, 0),
    "snowball_min_radius": (1e-9, 0),
    "snowball_max_radius": (3, 0),
    "snowball_circularity_threshold": (1, 1.01),
    "snowball_expansion_rate": (0, -0.1),
    "snowball_min_area": (1, 0),
    "snowball_max_area": (75, 0),
    "threads": (1, 0),
}
WITHOUT_RANGE = {
    "dataset",
    "polarity",
    "read_order",
    "reference_correction",
    "odd_even",
    "shared_correction",
    "network_precision",
}


@pytest.mark.parametrize("name", SPECIFIED)
def test_default_and_unit_are_as_specified(name):
    unit = DetectorConfig.model_json_schema()["properties"][name]["unit"]
    assert (getattr(DetectorConfig(), name), unit) == SPECIFIED[name]


def test_every_field_is_described_and_every_number_has_a_range():
    for name, field in DetectorConfig.model_fields.items():
        assert field.description
        assert stage_of(name)
    assert LIMITS.keys() | WITHOUT_RANGE == DetectorConfig.model_fields.keys()


@pytest.mark.parametrize("name", LIMITS)
def test_limit_is_accepted_and_what_lies_beyond_is_not(name):
    allowed, refused = LIMITS[name]
    assert getattr(DetectorConfig(**{name: allowed}), name) == allowed
    with pytest.raises(ValidationError, match=name):
        DetectorConfig(**{name: refused})


@pytest.mark.parametrize("value", [True, "6", float("nan"), float("inf"), None, [5.0]])
def test_only_finite_numbers_count_as_numbers(value):
    with pytest.raises(ValidationError):
        DetectorConfig(sigma_threshold=value)


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(ValidationError, match="frozen"):
        DetectorConfig().sigma_threshold = 4.0


def test_fingerprint_follows_results_only():
    config = DetectorConfig()
    assert config.fingerprint() == DetectorConfig(sigma_threshold=5).fingerprint()
    assert config.fingerprint() == DetectorConfig(threads=7).fingerprint()
    assert config.fingerprint() != DetectorConfig(gain=2).fingerprint()
    stages = ("reading", "detector", "reference")
    assert config.fingerprint(stages) == DetectorConfig(max_steps=3).fingerprint(stages)
    assert config.fingerprint(stages) != DetectorConfig(odd_even=False).fingerprint(stages)
    assert DetectorConfig.model_fields.keys() >= NO_EFFECT_ON_RESULTS


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "{}"])
def test_empty_file_means_defaults(text):
    assert parse_config(text) == DetectorConfig()


def test_exponents_and_leading_zeros_are_decimal_numbers():
    config = parse_config("saturation: 6.0e4\nsnowball_max_area: 1.2e5\nborder: 010\ngain: +.5")
    assert (config.saturation, config.snowball_max_area, config.border, config.gain) == (
        60000.0,
        120000,
        10,
        0.5,
    )


def test_null_leaves_a_fact_to_the_header():
    assert parse_config("gain:\nborder: null") == DetectorConfig()


def test_every_mistake_is_reported_with_its_line():
    text = """\
# a comment
sigma_threshold: 0.5
sigma_treshold: 6
rtn_amplitude_range: [5]
rtn_frequency_range: [0.1, 0.7]
telegraph_noise_min_confidence: 3
odd_even: maybe
gain: "2"
gain: 3
max_steps: 2.5
zzz: {a: 1}
"""
    with pytest.raises(OhanaError) as caught:
        parse_config(text, "my.yaml")
    assert str(caught.value).splitlines() == [
        "my.yaml:2: sigma_threshold: wanted at least 1, got 0.5",
        "my.yaml:3: sigma_treshold: unknown key, did you mean sigma_threshold?",
        "my.yaml:4: rtn_amplitude_range: wanted a pair [low, high], got [5]",
        "my.yaml:5: rtn_frequency_range[1]: wanted at most 0.5, got 0.7",
        "my.yaml:6: telegraph_noise_min_confidence: unknown key, did you mean rtn_min_confidence?",
        "my.yaml:7: odd_even: wanted a valid boolean, got 'maybe'",
        "my.yaml:8: gain: wanted a number, got '2'",
        "my.yaml:9: gain: given twice, first on line 8",
        "my.yaml:10: max_steps: wanted a valid integer, got 2.5",
        "my.yaml:11: zzz: unknown key",
    ]


def test_limits_the_wrong_way_round_are_reported_beside_other_mistakes():
    text = (
        "snowball_min_radius: 20\nfoo: 1\nrtn_amplitude_range: [9, 3]\ndetector_index: 1\n"
        "border: 4\nborder_sides: [4, 4, 0, 4]"
    )
    with pytest.raises(OhanaError) as caught:
        parse_config(text, "f")
    assert str(caught.value).splitlines() == [
        "f:1: snowball_min_radius (20.0) must not exceed snowball_max_radius (15.0)",
        "f:2: foo: unknown key",
        "f:3: rtn_amplitude_range: low end (9.0) must be below high end (3.0)",
        "f:4: detector_index must be below detectors_side_by_side",
        "f:6: border_sides must not be given beside border",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b", "f:1: wanted `key: value` lines, got a list"),
        ("5", "f:1: wanted `key: value` lines, got a single value"),
        ("a: [1\nb: 2", r"f:2: not valid YAML: expected ',' or '\]'"),
        ("[" * 3000, "f: wanted `key: value` lines, got deeply nested lists"),
        ("\0", "f: not valid YAML: unacceptable character"),
        ("gain: !!python/object:os.system x", "f:1: not valid YAML: could not determine"),
        ("gain: 1\n---\ngain: 2", "f:2: not valid YAML: but found another document"),
        ("? [a, b]\n: 3", "f:1: wanted a name as the key"),
        ("gain: 1:30", "f:1: gain: wanted a number, got '1:30'"),
    ],
)
def test_what_is_not_a_settings_file(text, message):
    with pytest.raises(OhanaError, match=f"^{message}"):
        parse_config(text, "f")


def test_file_errors_name_the_file(tmp_path):
    with pytest.raises(OhanaError, match=r"no.yaml: no such settings file, and no preset \(sens"):
        load_config(tmp_path / "no.yaml")
    with pytest.raises(OhanaError, match="cannot read settings: Is a directory"):
        load_config(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OhanaError, match=r"binary.yaml: wanted a YAML text file"):
        load_config(tmp_path / "binary.yaml")


def test_load_reads_a_file(tmp_path):
    (tmp_path / "my.yaml").write_text("sigma_threshold: 6\n")
    assert load_config(tmp_path / "my.yaml") == DetectorConfig(sigma_threshold=6)
    assert load_config(None) == DetectorConfig()


def test_sensitive_preset_leaves_the_significance_in_charge():
    config = load_config("sensitive")
    assert config.sigma_threshold == 5.0
    floors = ("cosmic_ray_min_intensity", "cosmic_ray_min_step", "snowball_min_intensity")
    assert [getattr(config, name) for name in floors] == [0, 0, 0]
    assert config.rtn_amplitude_range[0] == 0
    assert config.min_confidence == 0


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_valid(name):
    assert load_config(name) != DetectorConfig()


numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
values = (
    st.none() | st.booleans() | st.integers(-9, 10**6) | numbers | st.text("ab1e.-:# ", max_size=5)
)


@given(st.dictionaries(st.sampled_from([*DetectorConfig.model_fields, "unknown"]), values))
def test_yaml_and_python_agree_on_what_is_valid(settings):
    text = yaml.safe_dump(settings)
    try:
        expected = DetectorConfig(**settings)
    except ValidationError:
        with pytest.raises(OhanaError):
            parse_config(text)
    else:
        assert parse_config(text) == expected


@given(st.text(string.printable))
@example("a: &a [*a]")
@example("<<: {gain: 1}")
def test_any_text_gives_settings_or_one_kind_of_error(text):
    try:
        message = None if parse_config(text) else ""
    except OhanaError as error:
        message = str(error)
    assert message is None or all(line.startswith("settings:") for line in message.splitlines())


@given(
    st.floats(1, 100),
    st.tuples(st.floats(0, 100), st.floats(101, 1000)),
    st.integers(1, 75),
    st.booleans(),
)
def test_settings_survive_a_round_trip(sigma, amplitudes, area, odd_even):
    config = DetectorConfig(
        sigma_threshold=sigma,
        rtn_amplitude_range=amplitudes,
        snowball_min_area=area,
        odd_even=odd_even,
    )
    assert parse_config(yaml.safe_dump(config.model_dump(mode="json"))) == config


def test_documentation_is_up_to_date():
    made = runpy.run_path(str(ROOT / "docs" / "make_configuration.py"))["files"]()
    for path, text in made.items():
        assert path.read_text() == text, f"{path.name} is out of date: run `make docs`"


def test_template_holds_the_defaults():
    assert load_config(ROOT / "configs" / "detector.yaml") == DetectorConfig()
