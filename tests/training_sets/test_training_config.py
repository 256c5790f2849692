"""Every setting of a training set does what it says; wrong ones are told all at once."""

from pathlib import Path

import numpy as np
import pytest

from ohana.classes import Label
from ohana.config_file import load_settings, parse_settings
from ohana.errors import OhanaError
from ohana.training_sets.config import CreatorConfig
from ohana.training_sets.draws import draw_values, simulation_config
from ohana.training_sets.tasks import tasks
from training_sets import QUIET, make, stored, tiny

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(autouse=True)
def plenty_of_room(monkeypatch):
    """Estimating the room takes longer than making these sets."""
    monkeypatch.setattr(
        "ohana.training_sets.creator.check_disk_space", lambda config, exposures: ""
    )


NO_EVENTS = {"num_exposure_events": 0, "num_baseline_exposures": 1}


def noise_of_a_read(exposure):
    """RMS over time [e-], from differences of reads; slopes are small."""
    return np.diff(exposure.cube, axis=0).std() / np.sqrt(2) * exposure.facts["gain"]


def counts(exposure):
    return [exposure.facts["counts"][label.key] for label in Label if label]


def output_dir(tmp_path):
    make(tmp_path / "here")
    assert (tmp_path / "here" / "training.zarr").is_dir()


def image_shape(tmp_path):
    assert make(tmp_path, image_shape=(30, 50))[0].cube.shape == (8, 30, 50)


def num_frames(tmp_path):
    assert len(make(tmp_path, num_frames=5)[0].cube) == 5


def patch_size(tmp_path):
    square = make(tmp_path / "square", patch_size=32)[0]
    assert square.group["patches"].shape == (4, 8, 32, 32)
    # (40 - 10) / (10 - 5) + 1 = 7 down, 1 across
    wide = make(tmp_path / "wide", patch_size=[10, 40], overlap=5)[0]
    assert wide.group["patches"].shape == (7, 8, 10, 40)
    assert np.array_equal(wide.cube, square.cube)


def overlap(tmp_path):
    # (40 - 20) / (20 - 10) + 1 = 3 along each side instead of 2
    assert make(tmp_path, overlap=10)[0].group["patches"].shape[0] == 9


def window(tmp_path):
    assert make(tmp_path, window=3)[0].group["patches"].chunks == (1, 3, 20, 20)


def test_fraction(tmp_path):
    make(tmp_path, test_fraction=0.25, num_exposure_events=4)
    assert [len(stored(tmp_path, split)) for split in ("training", "test")] == [3, 1]


def num_exposure_events(tmp_path):
    made = make(tmp_path, num_exposure_events=3, gain_library=[1.0, 2.0], num_frames=3)
    assert [e.facts["baseline"] for e in made] == [False] * 6


def num_baseline_exposures(tmp_path):
    made = make(tmp_path, num_baseline_exposures=2, num_frames=3)
    assert [e.facts["baseline"] for e in made] == [False, True, True]
    assert [len(e.events) for e in made[1:]] == [0, 0]
    assert [len(e.runs.row) for e in made[1:]] == [0, 0]


def injection_type(tmp_path):
    for kind, which in (("cosmic_ray", 0), ("rtn", 1), ("snowball", 2)):
        found = counts(make(tmp_path / kind, injection_type=kind)[0])
        assert [count > 0 for count in found] == [i == which for i in range(3)]


def num_classes(tmp_path):
    assert set(make(tmp_path, num_classes=4)[0].runs.label) == {1, 2, 3}


def number_of_events(tmp_path, name, label):
    kind = {"num_frames": 3, "num_exposure_events": 8, name: (2, 4)}
    drawn = [e.facts["counts"][label.key] for e in make(tmp_path, **kind)]
    assert min(drawn) >= 2
    assert max(drawn) <= 4
    assert len(set(drawn)) > 1


def cosmic_ray_per_exp_range(tmp_path):
    number_of_events(tmp_path, "cosmic_ray_per_exp_range", Label.COSMIC_RAY)


def snowballs_per_exp_range(tmp_path):
    number_of_events(tmp_path, "snowballs_per_exp_range", Label.SNOWBALL)


def rtn_per_exp_range(tmp_path):
    number_of_events(tmp_path, "rtn_per_exp_range", Label.TELEGRAPH_NOISE)


def gain_library(tmp_path):
    made = make(tmp_path, gain_library={"a": 1.0, "b": 2.0}, **NO_EVENTS)
    assert [e.name for e in made] == ["a-00000-000", "b-00000-000"]
    # An empty pixel has 10000 e-.
    assert [round(np.median(e.cube), -2) for e in made] == [10000, 5000]


def exp_time(tmp_path):
    made = make(
        tmp_path,
        exp_time=80.0,
        dark_current_range=(100.0, 100.0),
        gain_library=[1.0],
        read_noise_range=(1.0, 1.0),
        **NO_EVENTS,
    )[0]
    # 80 s / 8 reads x 100 e-/s x 7 intervals; the mean of 1024 pixels is good to 3 e-.
    rise = (made.cube[-1] - made.cube[0])[4:-4, 4:-4].mean()
    assert rise == pytest.approx(7000, abs=15)


def saturation_dn(tmp_path):
    for gain in (1.0, 2.0):
        made = make(
            tmp_path / str(gain),
            saturation_dn=40000.0,
            gain_library=[gain],
            injection_type="snowball",
            simulation=QUIET | {"edge_fraction": 0.0},
        )[0]
        assert made.cube.max() == pytest.approx(40000, abs=100)


def dark_current_range(tmp_path):
    made = make(
        tmp_path,
        dark_current_range=(300.0, 600.0),
        gain_library=[2.0],
        num_frames=3,
        exp_time=3.0,
        **NO_EVENTS | {"num_baseline_exposures": 6},
    )
    rises = [(e.cube[-1] - e.cube[0])[4:-4, 4:-4].mean() for e in made]
    drawn = [e.facts["drawn"]["dark_current"] for e in made]
    # The mean of 1024 pixels with noise of 40 DN.
    assert np.allclose(rises, drawn, atol=6)  # 2 s / 2 e-/DN
    assert min(drawn) >= 300
    assert max(drawn) <= 600
    assert np.ptp(drawn) > 50


def read_noise_range(tmp_path):
    made = make(tmp_path, read_noise_range=(30.0, 60.0), gaussian_noise_range=(0, 0), **NO_EVENTS)
    noise, drawn = noise_of_a_read(made[0]), made[0].facts["drawn"]["read_noise"]
    assert 30 <= drawn <= 60
    assert noise == pytest.approx(drawn, rel=0.03)


def gaussian_noise_range(tmp_path):
    plain = {"read_noise_range": (30.0, 30.0), **NO_EVENTS}
    made = make(tmp_path, gaussian_noise_range=(40.0, 40.0), **plain)[0]
    assert noise_of_a_read(made) == pytest.approx(50, rel=0.03)


def border(tmp_path):
    glow = {"dark_current_range": (500.0, 500.0), "border": 6, "gain_library": [1.0]}
    made = make(tmp_path / "6", **glow, **NO_EVENTS)[0]
    lit = (made.cube[-1] - made.cube[0]) > 1500
    assert lit[6:-6, 6:-6].all()
    assert not lit[:6].any()
    assert made.group["reference/common"].shape == (8, 40)
    assert "reference" not in make(tmp_path / "0", border=0)[0].group


def outputs(tmp_path):
    made = make(tmp_path, outputs=4, **NO_EVENTS)[0]
    assert made.facts["simulation"]["outputs"] == 4
    # The correction has one value for each output (odd and even columns apart).
    level = made.group["reference/level"][...][3]
    assert len(np.unique(level)) in (4, 8)


def sky_range(tmp_path):
    made = make(tmp_path, sky_range=(200.0, 200.0), gain_library=[1.0], **NO_EVENTS)[0]
    rise = (made.cube[-1] - made.cube[0])[4:-4, 4:-4].mean()
    assert rise == pytest.approx(7 * 200, rel=0.02)


def stars_range(tmp_path):
    bright = {"star_flux": (2e4, 2e4)}
    made = make(
        tmp_path, stars_range=(3, 3), gain_library=[1.0], simulation=QUIET | bright, **NO_EVENTS
    )[0]
    assert made.facts["drawn"]["stars"] == 3
    assert (made.cube[-1] - made.cube[0]).sum() > 7e4


def preset(tmp_path):
    dark, sky = (
        make(tmp_path / name, preset=name, simulation={}, **NO_EVENTS)[0].facts["simulation"]
        for name in ("dark", "euclid")
    )
    assert dark["warm_fraction"] == 0
    assert sky["warm_fraction"] > 0


def simulation(tmp_path):
    made = make(
        tmp_path,
        simulation=QUIET | {"pedestal": 30000.0},
        gain_library=[2.0],
        **NO_EVENTS,
    )[0]
    assert np.median(made.cube) == pytest.approx(15000, abs=10)


def cosmic_ray_charge_range(tmp_path):
    made = make(
        tmp_path,
        cosmic_ray_charge_range=(1000.0, 2000.0),
        injection_type="cosmic_ray",
        cosmic_ray_per_exp_range=(40, 40),
    )[0]
    charges = [event["facts"]["charge"] for event in made.events]
    assert min(charges) >= 1000
    assert max(charges) <= 2000
    assert np.median(charges) == pytest.approx(1414, rel=0.1)  # uniform in the logarithm


def rtn_offset_range(tmp_path):
    made = make(
        tmp_path,
        rtn_offset_range=(900.0, 1000.0),
        injection_type="rtn",
        rtn_per_exp_range=(60, 60),
        rtn_period_range=(3.0, 3.0),
        num_frames=20,
        gain_library=[1.0],
        read_noise_range=(2.0, 2.0),
    )[0]
    rows, cols = np.array([event["position"] for event in made.events]).T
    heights = np.ptp(made.cube[:, rows, cols], axis=0)
    seen = heights[heights > 200]
    assert len(seen) > 50
    assert np.quantile(seen, [0.2, 0.9]).round(-2).tolist() == [900, 1000]


def rtn_period_range(tmp_path):
    both = [
        make(
            tmp_path / str(period),
            rtn_period_range=(period, period),
            injection_type="rtn",
            rtn_per_exp_range=(80, 80),
            num_frames=60,
            image_shape=(20, 20),
        )[0]
        for period in (6.0, 30.0)
    ]
    transitions = [sum(len(e["facts"]["transitions"]) for e in made.events) for made in both]
    # Two transitions per period; of the short ones some stays between two reads are missed.
    assert transitions[1] / 80 == pytest.approx(2 * 59 / 30, rel=0.2)
    assert 3 < transitions[0] / transitions[1] < 5.5


def rtn_duty_fraction_range(tmp_path):
    made = make(
        tmp_path,
        rtn_duty_fraction_range=(0.8, 0.8),
        injection_type="rtn",
        rtn_per_exp_range=(80, 80),
        rtn_period_range=(8.0, 8.0),
        simulation=QUIET | {"three_level_fraction": 0.0},
        num_frames=60,
    )[0]
    dwell = np.array([event["facts"]["dwell"] for event in made.events])
    assert np.allclose(dwell, [1.6, 6.4])


def snowball_radius_range(tmp_path):
    made = make(tmp_path, snowball_radius_range=(4.0, 5.0), snowballs_per_exp_range=(6, 6))[0]
    radii = [e["facts"]["core_radius"] for e in made.events if e["type"] == "snowball"]
    assert all(4 <= radius <= 5 for radius in radii)
    assert len(set(radii)) == 6


def snowball_halo_amplitude_ratio_range(tmp_path):
    made = make(tmp_path, snowball_halo_amplitude_ratio_range=(0.01, 0.01), gain_library=[1.0])
    full_well = 50000 - 10000
    assert snowball_of(made)["halo_level"] == pytest.approx(0.01 * full_well)


def snowball_of(made):
    """Return the facts of the one snowball."""
    (facts,) = [e["facts"] for e in made[0].events if e["type"] == "snowball"]
    return facts


def snowball_halo_decay_scale_range(tmp_path):
    pixels = snowball_of(make(tmp_path / "px", snowball_halo_decay_scale_range=(5.5, 5.5)))
    assert pixels["halo_length"] == pytest.approx(5.5)
    assert pixels["core_radius"] != pytest.approx(5.5)
    radii = QUIET | {"snowball_halo_length": (0.5, 0.5)}
    scaled = snowball_of(
        make(tmp_path / "radii", snowball_halo_decay_scale_range=None, simulation=radii)
    )
    assert scaled["halo_length"] == pytest.approx(0.5 * scaled["core_radius"])


def seed(tmp_path):
    one, same, other = (make(tmp_path / n, seed=s)[0] for n, s in (("a", 1), ("b", 1), ("c", 2)))
    assert np.array_equal(one.cube, same.cube)
    assert one.events == same.events
    assert not np.array_equal(one.cube, other.cube)


def workers(tmp_path):
    """Only its limits; that any number gives the same set is tested with the store."""
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        tiny(tmp_path, workers=0)


ACTS = {name: globals()[name] for name in CreatorConfig.model_fields}
test_fraction.__test__ = False


@pytest.mark.parametrize("name", CreatorConfig.model_fields)
def test_key_acts(name, tmp_path):
    ACTS[name](tmp_path)


@pytest.mark.parametrize(("name", "last_index"), [("creator_config.yaml", 4), ("small.yaml", 0)])
def test_some_exposures_of_shipped_settings_are_set_aside(name, last_index):
    config = load_settings(CONFIGS / name, CreatorConfig)
    splits = [task.split for task in tasks(config, 0, last_index)]
    assert 0 < splits.count("test") < splits.count("training")


@pytest.mark.parametrize(
    "path", sorted((CONFIGS / "pretrained").glob("reads_*.yaml")), ids=lambda path: path.stem
)
def test_halos_of_the_shipped_network_scale_with_cores(path):
    config = load_settings(path, CreatorConfig)
    values = draw_values(config, False, np.random.default_rng(1))
    simulation = simulation_config(config, 1.5, values)
    assert simulation.snowball_halo_decay is None
    assert simulation.snowball_halo_length == (0.2, 1.2)


def test_settings_have_units_and_descriptions():
    for name, field in CreatorConfig.model_fields.items():
        assert field.description, name
        assert isinstance(field.json_schema_extra["unit"], str), name


WRONG = """\
image_shape: [512, 512]
num_frame: 20
num_classes: 3
gain_library: [1.5, -2]
rtn_period_range: 5
cosmic_ray_per_exp_range: [1.5, 3]
exp_time: '60'
workers: true
preset: moon
injection_type: rnt
"""


def test_every_mistake_is_told_with_its_line():
    with pytest.raises(OhanaError) as caught:
        parse_settings(WRONG, "my.yaml", CreatorConfig)
    assert str(caught.value).splitlines() == [
        "my.yaml:2: num_frame: unknown key, did you mean num_frames?",
        "my.yaml:3: num_classes: wanted 4: "
        "background, cosmic_ray, telegraph_noise, snowball, got 3",
        "my.yaml:4: gain_library[detector_1]: wanted more than 0, got -2",
        "my.yaml:5: rtn_period_range: wanted a pair [low, high], got 5",
        "my.yaml:6: cosmic_ray_per_exp_range[0]: wanted a valid integer, got 1.5",
        "my.yaml:7: exp_time: wanted a valid number, got '60'",
        "my.yaml:8: workers: wanted a valid integer, got True",
        "my.yaml:9: preset: wanted one of dark, sky, ground, l2, demo, euclid, nircam, "
        "nirspec, roman, wfc3, got 'moon'",
        "my.yaml:10: injection_type: wanted 'cosmic_ray', 'snowball', 'rtn' or 'all', got 'rnt'",
    ]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            "patch_size: 512\nimage_shape: [256, 600]\noverlap: 512",
            [
                "1: patch_size (512 x 512 px) must not exceed the image, 256 x 600 px",
                "3: overlap (512) must be less than patch_size (512 x 512 px)",
            ],
        ),
        (
            "dark_current_range: [2, 1]\nrtn_offset_range: [0, 5]",
            [
                "1: dark_current_range: low end (2.0) must not exceed high end (1.0)",
                "2: rtn_offset_range: low end must be more than 0, "
                "draws are uniform in the logarithm",
            ],
        ),
        (
            "num_exposure_events: 0\nnum_baseline_exposures: 0",
            ["2: num_exposure_events and num_baseline_exposures must not both be 0"],
        ),
        (
            "simulation: {pink_comon: 1, ipc: 3}",
            [
                "1: simulation: ipc: wanted less than 0.2, got 3",
                "1: simulation: pink_comon is no setting of the simulator, "
                "did you mean pink_common?",
            ],
        ),
        (
            "overlap: 999\nsimulation: {read_nois: 3}",
            [
                "1: overlap (999) must be less than patch_size (256 x 256 px)",
                "2: simulation: read_nois is no setting of the simulator, did you mean read_noise?",
            ],
        ),
        (
            "patch_size: [16, 300]\noverlap: 16",
            ["2: overlap (16) must be less than patch_size (16 x 300 px)"],
        ),
        (
            "patch_size: 25.5",
            ["1: patch_size: wanted a pair [height, width] or one number, got 25.5"],
        ),
        (
            "simulation: {snowball_halo_length: [0.3, 1.2]}",
            [
                "1: simulation: snowball_halo_length wants snowball_halo_decay_scale_range "
                "to be null"
            ],
        ),
        (
            "simulation: {lost_reads: 1}",
            ["1: simulation: lost_reads is for files alone, patches want it to be off"],
        ),
        ("simulation: {gain: 1}", ["1: simulation: gain follows from gain_library"]),
        (
            "simulation: {fast_axis: 2}",
            [
                "1: simulation: fast_axis follows from the order of read-out, "
                "in which patches are stored"
            ],
        ),
        (
            "gain_library: [2]\nsaturation_dn: 4000",
            [
                "2: saturation_dn (4000 DN) must exceed the level of an empty pixel, "
                "5000 DN at a gain of 2 e-/DN"
            ],
        ),
        ("\noutputs: 7", ["2: outputs: wanted a divisor of the width 2048, got 7"]),
        (
            "gain_library: {a/b: 1}",
            [
                "1: gain_library: wanted detector names of letters, digits, - and _, "
                "not 'a/b', got {'a/b': 1}"
            ],
        ),
        (
            "gain_library: 1.5",
            ["1: gain_library: wanted a list of gains, or names and gains of detectors, got 1.5"],
        ),
    ],
)
def test_settings_that_do_not_fit_together(text, messages):
    with pytest.raises(OhanaError) as caught:
        parse_settings(text, "x.yaml", CreatorConfig)
    assert str(caught.value).splitlines() == [f"x.yaml:{message}" for message in messages]
