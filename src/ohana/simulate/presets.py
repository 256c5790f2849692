"""Named sets of settings: kinds of ramps, and instruments as they are read out."""

from __future__ import annotations

from typing import Any

from ohana.simulate.config import SimulationConfig

_DETECTOR: dict[str, Any] = {
    "read_noise_spread": 0.1,
    "pink_common": 3.0,
    "pink_output": 1.0,
    "odd_even": 0.5,
    "hot_fraction": 1e-3,
    "saturating_fraction": 1e-4,
}
_TELEGRAPH: dict[str, Any] = {"telegraph_fraction": 1e-4, "telegraph_border": True}
# Muons at sea level: one per cm2 and minute; snowballs ten times rarer than in space.
_GROUND: dict[str, Any] = {
    "cosmic_ray_rate": 1 / 60,
    "shower_fraction": 0.02,
    "snowball_rate": 0.005,
}
# Rates seen by JWST at L2: 2.3-4.3 hits/cm2/s, one snowball per 20 s and detector. A typical hit
# leaves 5200 e- in seven pixels that stand out of the noise.
_L2: dict[str, Any] = {
    "cosmic_ray_rate": 3.0,
    "cosmic_ray_charge": 7000.0,
    "diffusion": 0.35,
    "shower_fraction": 0.02,
    "snowball_rate": 0.05,
}
# What real arrays have besides: awkward pixels, a curve towards the full well, a slow reset.
_REAL: dict[str, Any] = {
    **_DETECTOR,
    **_TELEGRAPH,
    "warm_fraction": 5e-3,
    "dead_fraction": 1e-3,
    "stuck_fraction": 1e-5,
    "nonlinearity": 0.05,
    "transient": 10.0,
}
_H2RG: dict[str, Any] = _REAL | {"rows": 2048, "cols": 2048, "border": 4}
# Full frames of the JWST detectors with four outputs; gains are those that `ohana.read` takes
# for these detectors, since the files do not have them.
_JWST: dict[str, Any] = (
    _H2RG | _L2 | {"layout": "jwst", "outputs": 4, "frame_time": 10.73677, "persistence": 5}
)

#: Settings by name; see `preset`.
PRESETS: dict[str, dict[str, Any]] = {
    "dark": _DETECTOR,
    "sky": _DETECTOR | {"sky": 0.5, "stars": 200},
    "ground": _DETECTOR | _TELEGRAPH | _GROUND | {"outputs": 32},
    "l2": _DETECTOR | _TELEGRAPH | _L2 | {"sky": 0.2},
    # A bit of everything on a quarter of an array's width, for the demo.
    "demo": _DETECTOR
    | {
        "sky": 0.2,
        "stars": 60,
        "cosmic_rays": 250,
        "telegraph_pixels": 80,
        "telegraph_amplitude": (40.0, 400.0),
        "snowballs": 6,
    },
    # Long darks of an H2RG of the infrared instrument of Euclid, on the ground: 0.52 DN/e-, 13 e-
    # per frame all in all, 23 DN of reset noise (Euclid preparation: overview of infrared detector
    # performance from ground tests).
    "euclid": _H2RG
    | _GROUND
    | {
        "instrument": "NISP",
        "reads": 450,
        "outputs": 32,
        "frame_time": 1.45,
        "gain": 1.92,
        "read_noise": 12.6,
        "ktc_noise": 44.0,
        "full_well": 1e5,
    },
    # One short-wave detector on the sky, groups of the pattern SHALLOW4.
    "nircam": _JWST
    | {
        "instrument": "NIRCAM",
        "detector": "NRCA1",
        "fast_axis": -1,
        "slow_axis": 2,
        "reads": 10,
        "nframes": 4,
        "groupgap": 1,
        "gain": 2.05,
        "read_noise": 11.0,
        "full_well": 1e5,
        "dark_current": 0.002,
        "sky": 0.3,
        "stars": 300,
    },
    # Traditional read-out, groups of the pattern NRS: pixels follow along the columns.
    "nirspec": _JWST
    | {
        "instrument": "NIRSPEC",
        "detector": "NRS1",
        "fast_axis": 2,
        "slow_axis": 1,
        "reads": 20,
        "nframes": 4,
        "gain": 1.0,
        "read_noise": 9.0,
        "full_well": 5.2e4,
        "dark_current": 0.009,
        "sky": 0.005,
    },
    # One detector on the sky, ten resultants of a pattern that begins with short ones.
    "roman": _H2RG
    | _L2
    | {
        "layout": "roman",
        "instrument": "WFI",
        "detector": "WFI01",
        "rows": 4096,
        "cols": 4096,
        "outputs": 32,
        "pixel_pitch": 10.0,
        "frame_time": 3.16247,
        "reads": 10,
        "read_pattern": (
            (1,),
            (2, 3),
            (4, 5, 6, 7),
            *(tuple(range(k, k + 8)) for k in range(8, 56, 8)),
            (56, 57, 58),
        ),
        "gain": 2.0,
        "read_noise": 11.0,
        "full_well": 1e5,
        "dark_current": 0.005,
        "sky": 0.4,
        "stars": 300,
        # Thinner than those of JWST.
        "cosmic_ray_charge": 3500.0,
    },
    # SPARS50: the second read follows the first at once. The four outputs of this array read a
    # quadrant each, from its corner; here they lie side by side and are read in parallel, which
    # has the same noise in a pixel and another pattern over the array.
    "wfc3": _REAL
    | {
        "layout": "wfc3",
        "instrument": "WFC3",
        "detector": "IR",
        "rows": 1024,
        "cols": 1024,
        "border": 5,
        "outputs": 4,
        "reads": 16,
        "frame_time": 50.0,
        "first_interval": 2.933,
        "gain": 2.5,
        "read_noise": 14.5,
        "pedestal": 2.7e4,
        "full_well": 7.8e4,
        "dark_current": 0.05,
        "sky": 0.8,
        "stars": 100,
        "psf_fwhm": 1.1,
        "cosmic_ray_rate": 3.0,
        # Smaller and rarer than on JWST: 0.6 per hour, 2e5-9e5 e- in 11-34 pixels.
        "snowball_rate": 7e-4,
        "snowball_radius": (2.0, 3.3),
        "persistence": 5,
        "persistence_rate": (0.1, 3.0),
    },
}


def preset(name: str, **changes: Any) -> SimulationConfig:
    """Return a preset with some changes.

    Kinds of ramps of 60 reads are ``dark``, ``sky``, ``ground``, ``l2`` and ``demo``; instruments,
    full frames in files like theirs, are ``euclid``, ``nircam``, ``nirspec``, ``roman`` and
    ``wfc3``.

    A read pattern is cut to the number of reads.

    Examples
    --------
    >>> preset("l2", reads=450).cosmic_ray_rate
    3.0
    >>> preset("wfc3").read_times[:4]
    array([  2.933,   5.866,  55.866, 105.866])
    """
    if name not in PRESETS:
        raise ValueError(f"preset: wanted one of {sorted(PRESETS)}, got {name!r}")
    settings = PRESETS[name] | changes
    if "read_pattern" in settings and "read_pattern" not in changes:
        settings["read_pattern"] = settings["read_pattern"][: settings["reads"]]
    return SimulationConfig(**settings)
