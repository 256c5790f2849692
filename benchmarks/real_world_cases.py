"""What real exposures do: the cases of ``real_world.py``, each at two strengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: What all cases share: one detector, a sky of 3 e- per read, stars, and events of all classes.
SCENE: dict[str, Any] = {
    "frame_time": 1.0,
    "read_noise": 12.0,
    "sky": 3.0,
    "stars": 30,
    "response_spread": 0.03,
    "cosmic_rays": 250,
    "cosmic_ray_total": (60.0, 2e4),
    "telegraph_pixels": 60,
    "telegraph_amplitude": (40.0, 400.0),
    "snowballs": 2,
    "snowball_radius": (3.0, 6.0),
}
#: Size for which the numbers above are meant [pixel]; they grow with the area.
SIZE = 256
COUNTS = ("stars", "cosmic_rays", "telegraph_pixels", "snowballs")


@dataclass(frozen=True)
class Case:
    """One thing that a real exposure does.

    Attributes
    ----------
    strong, weak : dict
        Settings of `ohana.simulate.SimulationConfig` at both strengths; None where there is one.
    silent : tuple of str
        Cards that are missing in the header.
    """

    strong: dict[str, Any]
    weak: dict[str, Any] | None = None
    silent: tuple[str, ...] = ()


def _settling(reads: float, sign: int = 1) -> Case:
    settling = [{"pixel_settling": sign * size, "settling_time": reads} for size in (150.0, 30.0)]
    return Case(*settling)


def _persistence(**law: float) -> Case:
    patches = [{"persistence": 8, "persistence_rate": (rate, rate)} | law for rate in (60.0, 6.0)]
    return Case(*patches)


_DRIFT = {"output_drift": 4.0}, {"output_drift": 1.0}
_GEOMETRY = ("NOUTPUTS", "REFBORD")

CASES = {
    "clean": Case({}),
    "sky rises": Case({"light_trend": 9.0}, {"light_trend": 1.0}),
    "sky fades": Case({"light_trend": -0.95}, {"light_trend": -0.5}),
    "all light rises": Case(
        {"light_trend": 9.0, "varying": "all"}, {"light_trend": 1.0, "varying": "all"}
    ),
    "sky oscillates": Case({"light_oscillation": 1.0}, {"light_oscillation": 0.1}),
    "settling, 3 reads": _settling(3.0),
    "settling, 15 reads": _settling(15.0),
    "settling downwards": _settling(3.0, -1),
    "flash": Case({"flash": 60.0}, {"flash": 6.0}),
    "patch": Case({"patch": 60.0}, {"patch": 6.0}),
    "persistence": _persistence(persistence_time=12.0),
    "persistence, 1/t": _persistence(persistence_delay=5.0),
    "lost reads": Case({"lost_reads": 3}, {"lost_reads": 1}),
    "lost rows": Case({"lost_rows": 64}, {"lost_rows": 16}),
    # Bright stars, most of which do not fill their pixels within 60 reads.
    "jitter": Case(*({"jitter": size, "star_flux": (300.0, 6000.0)} for size in (0.05, 0.02))),
    "columns": Case(
        {"flickering_columns": 4, "column_amplitude": (60.0, 60.0)},
        {"flickering_columns": 4, "column_amplitude": (15.0, 15.0)},
    ),
    "outputs jump": Case(
        {"channel_steps": 4, "channel_step": (60.0, 60.0)},
        {"channel_steps": 4, "channel_step": (10.0, 10.0)},
    ),
    "random walk": Case({"pixel_walk": 2.0}, {"pixel_walk": 0.5}),
    "1/f of pixels": Case({"pixel_pink": 6.0}, {"pixel_pink": 2.0}),
    "heavy tails": Case({"heavy_tails": True}),
    "counts fall": Case({"counts_fall": True}),
    "drift": Case(*_DRIFT),
    "drift, no header": Case(*_DRIFT, silent=_GEOMETRY),
    "no header": Case({}, silent=_GEOMETRY),
    "hot pixels bend": Case(
        {"hot_fraction": 0.01, "hot_power": 0.7}, {"hot_fraction": 0.01, "hot_power": 0.9}
    ),
    "quiet, 1/f": Case({"read_noise": 5.0, "pink_output": 5.0}),
    "interference": Case({"interference": 10.0}, {"interference": 2.0}),
}


def settings_of(case: Case, strength: str, reads: int, size: int) -> dict[str, Any]:
    """Return all settings of an exposure."""
    scale = (size / SIZE) ** 2
    # Well below the 50 transitions to which telegraph noise is limited by default.
    period = {"telegraph_period": (max(4.0, reads / 15), max(40.0, reads / 3))}
    counts = {name: max(round(SCENE[name] * scale), 1) for name in COUNTS}
    changes = (case.strong if strength == "strong" else case.weak) or {}
    return SCENE | counts | period | {"reads": reads, "rows": size, "cols": size} | changes
