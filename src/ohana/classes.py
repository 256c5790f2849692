"""The classes an event can have: one table for mask, labels, network channels and catalogue."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

#: Okabe & Ito's colours, brighter on black: told apart by colour-blind readers, and by marks.
STYLES = {
    Label.COSMIC_RAY.key: ClassStyle("cosmic ray", "#D55E00", "#FF9248", "o"),
    Label.TELEGRAPH_NOISE.key: ClassStyle("telegraph noise", "#0072B2", "#5CB8F0", "s"),
    Label.SNOWBALL.key: ClassStyle("snowball", "#009E73", "#2FD9A0", "^"),
}


class Label(IntEnum):
    """Class of a pixel or event; the value is its id in every mask and label array."""

    BACKGROUND = 0
    COSMIC_RAY = 1
    TELEGRAPH_NOISE = 2
    SNOWBALL = 3

    @property
    def key(self) -> str:
        """Name as written in catalogues and YAML, e.g. ``"cosmic_ray"``."""
        return self.name.lower()


ALIASES = {"rtn": Label.TELEGRAPH_NOISE}


#: Later wins where classes overlap in the two-dimensional mask.
MASK_PRIORITY = (Label.COSMIC_RAY, Label.TELEGRAPH_NOISE, Label.SNOWBALL)


def label_of(name: str) -> Label:
    """Return the class of a name or alias.

    Examples
    --------
    >>> label_of("rtn").key
    'telegraph_noise'
    """
    table = {label.key: label for label in Label} | ALIASES
    if name not in table:
        raise ValueError(f"class name: wanted one of {sorted(table)}, got {name!r}")
    return table[name]


class ClassStyle(NamedTuple):
    """How a class looks.

    ``light`` is its colour on white, ``dark`` that on black and on images, ``marker`` its mark in
    the notation of matplotlib.
    """

    name: str
    light: str
    dark: str
    marker: str
