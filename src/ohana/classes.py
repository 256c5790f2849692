"""The classes of events: one table for mask, labels, network, catalogue, figures and pages.

A new class is a member of `Label`, a row of `CLASSES`, and a stage that finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, NamedTuple


class Label(IntEnum):
    """Class of a pixel or event; the value is its id in every mask and label array.

    Ids follow each other without a gap, and `CLASSES` has the same order.
    """

    BACKGROUND = 0
    COSMIC_RAY = 1
    TELEGRAPH_NOISE = 2
    SNOWBALL = 3

    @property
    def key(self) -> str:
        """Name as written in catalogues and YAML, e.g. ``"cosmic_ray"``."""
        return self.name.lower()

    @property
    def title(self) -> str:
        """Name for people, e.g. ``"cosmic ray"``."""
        return self.key.replace("_", " ")

    @property
    def traits(self) -> EventClass:
        """Its row of `CLASSES`; the background has none."""
        return CLASSES[self.key]


class Column(NamedTuple):
    """A field of the catalogue as a column of tables.

    ``kind`` is ``str``, ``int``, ``float`` or ``bool``, ``unit`` as in astropy.
    """

    name: str
    kind: type
    unit: str
    description: str


@dataclass(frozen=True)
class EventClass:
    """Everything that differs from class to class by a value and not by an algorithm.

    Attributes
    ----------
    label : Label
        Its id.
    collective, one, several, short : str
        Names for people: of the phenomenon, after the number 1, after other numbers, and where
        there is little room.
    mask_priority : int
        Where classes overlap in the two-dimensional mask, the highest one is kept.
    light, dark : str
        Colour on white, and on black and images. Okabe & Ito's, brighter on black, which
        colour-blind readers can distinguish.
    marker, page_marker : str
        Mark in the notation of matplotlib and of bokeh.
    sign, open_sign : str
        The same as a character, filled and open.
    shortcut : str
        Key of the keyboard on the report's page.
    has_first_read : bool
        The event begins in one read.
    adds_charge : bool
        Its steps are charge that stays in the pixels.
    min_confidence : str
        Setting of `ohana.config.DetectorConfig` with the confidence that it needs.
    columns : tuple of Column
        Its own fields in the catalogue.
    loss_weight : float
        Weight of its voxels in the training loss; background has 1. A cosmic ray is a few voxels,
        telegraph noise all reads of a pixel, a snowball thousands of voxels: the weights make up
        for that.
    training_snr : float
        Least true signal-to-noise ratio of a pixel that is labelled for training [sigma], for
        telegraph noise that of its whole path; fainter pixels are ignored by the loss.
    network_threshold : float
        Probability from which the network is taken to have found an event. Low, since the
        calibrated confidence decides whether it is kept.
    """

    label: Label
    collective: str
    one: str
    several: str
    short: str
    mask_priority: int
    light: str
    dark: str
    marker: str
    page_marker: str
    sign: str
    open_sign: str
    shortcut: str
    has_first_read: bool
    adds_charge: bool
    min_confidence: str
    columns: tuple[Column, ...]
    loss_weight: float
    training_snr: float
    network_threshold: float

    @property
    def key(self) -> str:
        """Name as written in catalogues and YAML."""
        return self.label.key

    @property
    def title(self) -> str:
        """Name for people."""
        return self.label.title


_COSMIC_RAY = EventClass(
    label=Label.COSMIC_RAY,
    collective="cosmic rays",
    one="cosmic ray",
    several="cosmic rays",
    short="ray",
    mask_priority=1,
    light="#D55E00",
    dark="#FF9248",
    marker="o",
    page_marker="circle",
    sign="●",
    open_sign="○",
    shortcut="1",
    has_first_read=True,
    adds_charge=True,
    min_confidence="min_confidence",
    columns=(
        Column("step_amplitude", float, "DN", "step summed over the pixels"),
        Column("step_error", float, "DN", "standard error of that sum"),
        Column("extended", bool, "", "larger than cosmic_ray_max_spatial_extent"),
    ),
    loss_weight=6.0,
    training_snr=2.0,
    network_threshold=0.2,
)

_TELEGRAPH_NOISE = EventClass(
    label=Label.TELEGRAPH_NOISE,
    collective="telegraph noise",
    one="pixel with telegraph noise",
    several="pixels with telegraph noise",
    short="RTN",
    mask_priority=2,
    light="#0072B2",
    dark="#5CB8F0",
    marker="s",
    page_marker="square",
    sign="■",
    open_sign="□",
    shortcut="2",
    has_first_read=False,
    adds_charge=False,
    min_confidence="rtn_min_confidence",
    columns=(
        Column("n_levels", int, "", "number of levels"),
        Column("transitions", int, "", "changes of level"),
        Column("low", float, "DN", "lowest level"),
        Column("high", float, "DN", "highest level"),
        Column("amplitude", float, "DN", "distance of these levels"),
        Column("dwell_low", float, "", "mean stay in the lowest level, in reads"),
        Column("dwell_high", float, "", "mean stay in the highest level, in reads"),
        Column("frequency", float, "", "transitions / 2 / reads, in cycles per read"),
        Column("chi2_gain", float, "", "chi-squared that the levels take off"),
    ),
    loss_weight=1.0,
    training_snr=9.0,
    network_threshold=0.3,
)

_SNOWBALL = EventClass(
    label=Label.SNOWBALL,
    collective="snowballs",
    one="snowball",
    several="snowballs",
    short="snowball",
    mask_priority=3,
    light="#009E73",
    dark="#2FD9A0",
    marker="^",
    page_marker="triangle",
    sign="▲",
    open_sign="△",
    shortcut="3",
    has_first_read=True,
    adds_charge=True,
    min_confidence="snowball_min_confidence",
    columns=(
        Column("core_radius", float, "pix", "radius of the core"),
        Column("halo_radius", float, "pix", "radius at which the halo is lost in the noise"),
        Column("circularity", float, "", "part of core and disk that both share"),
        Column("growth", float, "pix", "growth of the core radius per read"),
        Column("halo_level", float, "DN", "mean step of the brightest ring of the halo"),
        Column("halo_significance", float, "", "of that ring, in sigma"),
        Column("contrast", float, "", "core over halo"),
        Column("trailed", bool, "", "a trail leaves the core"),
        Column("cut_by_edge", bool, "", "the edge of the array cuts the core"),
        Column("oversized", bool, "", "larger than the limits, with a saturated core"),
    ),
    loss_weight=1.0,
    training_snr=3.0,
    network_threshold=0.3,
)

#: The table: name in catalogues -> row, in the order of the ids.
CLASSES = {row.key: row for row in (_COSMIC_RAY, _TELEGRAPH_NOISE, _SNOWBALL)}

#: Type of a name of the table, for pydantic.
if TYPE_CHECKING:
    ClassKey = str
else:
    ClassKey = Literal[tuple(CLASSES)]

#: Labels of all events, in the order of the ids.
EVENT_LABELS = tuple(row.label for row in CLASSES.values())

#: Other names that settings may use.
ALIASES = {"rtn": Label.TELEGRAPH_NOISE}

#: Labels of events, from the one that is painted first into the mask to the one on top.
MASK_PRIORITY = tuple(
    row.label for row in sorted(CLASSES.values(), key=lambda row: row.mask_priority)
)


def label_of(name: str) -> Label:
    """Return the class of a name or alias.

    Raises
    ------
    ValueError
        There is no such class.

    Examples
    --------
    >>> label_of("rtn").key
    'telegraph_noise'
    """
    table = {label.key: label for label in Label} | ALIASES
    if name not in table:
        raise ValueError(f"class name: wanted one of {sorted(table)}, got {name!r}")
    return table[name]


def labels_with(attribute: str) -> tuple[Label, ...]:
    """Return the labels of the classes for which an attribute of `EventClass` is true.

    Examples
    --------
    >>> [label.key for label in labels_with("adds_charge")]
    ['cosmic_ray', 'snowball']
    """
    return tuple(row.label for row in CLASSES.values() if getattr(row, attribute))
