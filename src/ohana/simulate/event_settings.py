"""Settings of the events of a simulated exposure: how many, how bright, of what shape."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from ohana.config import setting

Range = tuple[float, float]


def _above_zero(value: Range) -> Range:
    if value[0] <= 0:
        raise ValueError(f"wanted 0 < lowest, got {value}")
    return value


def _at_most_one(value: Range) -> Range:
    if value[1] > 1:
        raise ValueError(f"wanted highest <= 1, got {value}")
    return value


#: Limits of lengths, and of what is drawn from a logarithmic distribution or a power law.
PositiveRange = Annotated[Range, AfterValidator(_above_zero)]
#: Limits of a part of something.
PartRange = Annotated[Range, AfterValidator(_at_most_one)]


class EventSettings(BaseModel):
    """The part of `ohana.simulate.SimulationConfig` that is about events."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    cosmic_ray_rate: float = setting(0.0, "cosmic rays", "1/cm2/s", "Hits", ge=0)
    cosmic_rays: int | None = setting(None, "cosmic rays", "", "Number of hits", ge=0)
    cosmic_ray_charge: float = setting(
        8500.0, "cosmic rays", "e-", "Most probable charge per pixel width of path", gt=0
    )
    cosmic_ray_total: PositiveRange | None = setting(
        None,
        "cosmic rays",
        "e-",
        "Charge of a whole hit, log-uniform; None: it follows from its path",
    )
    cosmic_ray_length: PositiveRange = setting(
        (0.3, 40.0), "cosmic rays", "pixel", "Projected track"
    )
    cosmic_ray_index: float = setting(
        2.5, "cosmic rays", "", "Lengths follow a power law of this falling index", gt=1
    )
    delta_fraction: float = setting(
        0.05, "cosmic rays", "", "Part of hits with a short side track (delta ray)", ge=0, le=1
    )
    shower_fraction: float = setting(
        0.0, "cosmic rays", "", "Part of hits that come with others close by (shower)", ge=0, le=1
    )
    diffusion: float = setting(0.25, "cosmic rays", "pixel", "Sigma of the charge's spread", gt=0)

    telegraph_fraction: float = setting(
        0.0, "telegraph noise", "", "Part of pixels that has it", ge=0, le=1
    )
    telegraph_pixels: int | None = setting(
        None, "telegraph noise", "", "Number of pixels that have it", ge=0
    )
    telegraph_amplitude: PositiveRange = setting(
        (15.0, 400.0), "telegraph noise", "e-", "Difference of levels, log-uniform"
    )
    telegraph_period: PositiveRange = setting(
        (4.0, 40.0), "telegraph noise", "reads", "Mean high plus mean low dwell, log-uniform"
    )
    telegraph_duty: PartRange = setting(
        (0.2, 0.8), "telegraph noise", "", "Mean part of the time spent high"
    )
    three_level_fraction: float = setting(
        0.15,
        "telegraph noise",
        "",
        "Part of the telegraph pixels that has a third level",
        ge=0,
        le=1,
    )
    telegraph_border: bool = setting(
        False, "telegraph noise", "", "Whether reference pixels can have it too, as often as others"
    )

    snowball_rate: float = setting(0.0, "snowballs", "", "Events per s on 2048 x 2048 pixels", ge=0)
    snowballs: int | None = setting(None, "snowballs", "", "Number of events", ge=0)
    snowball_radius: PositiveRange = setting(
        (3.0, 10.0), "snowballs", "pixel", "Radius of the core"
    )
    snowball_core: Range = setting((1.2, 3.0), "snowballs", "full wells", "Charge of the core")
    snowball_halo: PositiveRange = setting(
        (0.002, 0.008), "snowballs", "full wells", "Halo at the rim of the core, log-uniform"
    )
    snowball_halo_length: PositiveRange = setting(
        (0.3, 1.2), "snowballs", "core radii", "E-folding length of the halo"
    )
    snowball_halo_decay: PositiveRange | None = setting(
        None, "snowballs", "pixel", "The same in pixels, instead of `snowball_halo_length`"
    )
    snowball_growth: float = setting(
        0.1, "snowballs", "pixel/read", "First growth of the core", ge=0
    )
    snowball_ring: float = setting(
        0.2, "snowballs", "halo at the rim", "Ring around the core, added at the next read", ge=0
    )
    snowball_release: float = setting(4.0, "snowballs", "reads", "E-folding time of both", gt=0)
    snowball_afterglow: float = setting(
        0.002,
        "snowballs",
        "part of its charge",
        "After-glow in the core (at most of a full well)",
        ge=0,
        le=0.1,
    )
    snowball_afterglow_time: float = setting(
        20.0, "snowballs", "reads", "E-folding time of the after-glow", gt=0
    )
    trail_fraction: float = setting(
        0.1, "snowballs", "", "Part of snowballs with a trail", ge=0, le=1
    )

    ends_fraction: float = setting(
        0.0, "awkward places", "", "Part of hits moved to the first or last two steps", ge=0, le=1
    )
    edge_fraction: float = setting(
        0.0, "awkward places", "", "Part of snowballs moved to the edge of the array", ge=0, le=1
    )
