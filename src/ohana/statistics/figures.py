"""Figures of the exposures of one detector: trends, spectra, repeated telegraph noise."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ohana.classes import CLASSES, EVENT_LABELS, Label, labels_with
from ohana.report.figures.canvas import new_figure, say_nothing
from ohana.report.stretch import FAINT
from ohana.statistics.rates import CHANCE
from ohana.statistics.repeats import Repeats
from ohana.statistics.tally import EDGES, Tally, megapixels
from ohana.utils.intervals import poisson_interval

#: Marker area on the map for a pixel that shows telegraph noise in all exposures [point^2].
LARGEST = 60.0
#: Exposures from which on their number is drawn on a logarithmic axis.
LONG = 50
#: With more exposures than this, single ones are drawn faintly, with means over this many groups
#: of consecutive exposures.
MANY, GROUPS = 120, 40
HITS = labels_with("adds_charge")


def trend_figure(tally: Tally) -> Figure:
    """Draw the rate of each class against time, or the order of exposures without one."""
    figure = new_figure(11, 7)
    days = [exposure.start for exposure in tally.exposures]
    known = all(days)
    time: Any = [datetime.fromisoformat(day) for day in days] if known else range(1, len(days) + 1)
    panels = figure.subplots(len(CLASSES), 1, sharex=True)
    for axes, label in zip(panels, EVENT_LABELS, strict=True):
        _draw_trend(axes, tally, label, time)
    if known:
        locator = AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("begin of the exposure (UTC)" if known else "exposure, in order of names")
    return figure


def _draw_trend(axes: Axes, tally: Tally, label: Label, time: Any) -> None:
    """Draw the rate of a class in each exposure with its interval, and the mean of all.

    Of many exposures, groups of neighbours have an interval.
    """
    style = CLASSES[label.key]
    counts = np.array([count[label].events for count in tally.counts])
    if not style.has_first_read:
        unit, per = np.array([megapixels(each) for each in tally.exposures]), "Mpix"
    else:
        unit, per = np.array([each.area_time for each in tally.exposures]), "cm$^2$ s"
    events, mean, top = counts.sum(), counts.sum() / unit.sum(), (counts / unit).max()
    axes.axhline(mean, color=FAINT, linewidth=1, zorder=1)
    if len(counts) > MANY:
        axes.plot(time, counts / unit, ".", color=style.light, alpha=0.3, markersize=2)
        # Neighbours together, in groups of one size but for the last.
        starts = np.arange(0, len(counts), -(-len(counts) // GROUPS))
        middle = np.minimum(starts + starts[1] // 2, len(counts) - 1)
        time = [time[i] for i in middle]
        counts, unit = np.add.reduceat(counts, starts), np.add.reduceat(unit, starts)
    rate = counts / unit
    low, high = (limit / unit for limit in poisson_interval(counts, CHANCE))
    axes.errorbar(
        time, rate, [rate - low, high - rate], fmt=style.marker, color=style.light,
        markersize=4, elinewidth=0.8,
    )  # fmt: skip
    axes.set_ylabel(
        f"{style.title}\n[1 / ({per})]" if " " in per else f"{style.title}\n[1 / {per}]"
    )
    axes.set_ylim(0, 1.05 * max(float(high.max()), top))
    axes.set_title(f"{events} events, mean {mean:.4g}", loc="right", fontsize=9)


def spectrum_figure(tally: Tally) -> Figure:
    """Draw the spectra of steps and charges, and the distribution of telegraph noise."""
    figure = new_figure(13, 4.2)
    peak, charge, telegraph = figure.subplots(1, 3)
    area_time, mpix = tally.exposed["max_intensity"]
    for label in HITS:
        _draw_spectrum(peak, tally.spectra["max_intensity"][label], label, area_time)
        _draw_spectrum(charge, tally.spectra["charge"][label], label, tally.exposed["charge"][0])
    noise = Label.TELEGRAPH_NOISE
    _draw_spectrum(telegraph, tally.spectra["max_intensity"][noise], noise, mpix)
    peak.set(xlabel="step of the brightest pixel [DN]", ylabel="1 / (cm$^2$ s DN)")
    charge.set(xlabel="charge of the event [e$^-$]", ylabel="1 / (cm$^2$ s e$^-$)")
    telegraph.set(xlabel="distance of levels [DN]", ylabel="pixels / (Mpix DN)")
    for axes in (peak, charge, telegraph):
        if axes.has_data():
            axes.set(xscale="log", yscale="log", ymargin=0.15)
            _label_log(axes)
            axes.legend(frameon=False)
        else:
            why = "gain not known" if axes is charge and not tally.exposed["charge"][0] else "none"
            say_nothing(axes, why)
    return figure


def _draw_spectrum(axes: Axes, counts: np.ndarray, label: Label, unit: float) -> None:
    """Draw events per unit and width of the bin, with their intervals."""
    filled = counts > 0
    if not filled.any() or not unit:
        return
    style, scale = CLASSES[label.key], 1 / (unit * np.diff(EDGES)[filled])
    middle = np.sqrt(EDGES[1:] * EDGES[:-1])[filled]
    value = counts[filled] * scale
    low, high = (limit * scale for limit in poisson_interval(counts[filled], CHANCE))
    axes.errorbar(
        middle, value, [value - low, high - value],
        [middle - EDGES[:-1][filled], EDGES[1:][filled] - middle],
        fmt=style.marker, markersize=4, color=style.light, elinewidth=0.9,
        label=f"{style.title} ({counts.sum()})",
    )  # fmt: skip


def _label_log(axes: Axes) -> None:
    """Label a logarithmic axis at each decade, a short one between them too."""
    low, high = axes.get_xlim()
    short = high < 30 * low
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if short else (1,)))
    if short:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def telegraph_figure(tally: Tally, repeats: Repeats) -> Figure:
    """Draw a map of the repeated pixels, and their number against exposures and chance."""
    figure = new_figure(11, 5)
    where, often = figure.subplots(1, 2)
    _draw_map(where, tally, repeats)
    number = np.arange(1, repeats.searched + 1)
    colour = CLASSES[Label.TELEGRAPH_NOISE.key].light
    # Cumulative from the right: pixels that repeat at least this often.
    observed, chance = (
        np.cumsum(part[:0:-1])[::-1] for part in (repeats.observed, repeats.expected)
    )
    often.step(number, observed, where="mid", color=colour, label="observed", linewidth=2)
    often.step(number, chance, where="mid", color=FAINT, label="by chance")
    often.axvline(repeats.least, color=FAINT, linestyle=":", label="listed from here on")
    long = repeats.searched > LONG
    often.set(
        xlabel=f"exposures of {repeats.searched} with telegraph noise, or more", ylabel="pixels",
        xscale="log" if long else "linear", yscale="log",
        ylim=(0.02, 2 * max(observed.max(), chance.max(), 1)),
    )  # fmt: skip
    if long:
        _label_log(often)
    else:
        often.xaxis.set_major_locator(MaxNLocator(integer=True))
    often.legend(frameon=False)
    return figure


def _draw_map(axes: Axes, tally: Tally, repeats: Repeats) -> None:
    """Mark the listed pixels, with a size that grows with their repeats; the others faintly."""
    height, width = tally.detector.shape
    every = np.array([flicker[:2] for flicker in tally.flickering]).reshape(-1, 2)
    axes.scatter(every[:, 1], every[:, 0], s=2, color=FAINT, alpha=0.5, linewidths=0)
    listed = repeats.pixels
    size = [LARGEST * pixel["seen"] / pixel["searched"] for pixel in listed]
    style = CLASSES[Label.TELEGRAPH_NOISE.key]
    axes.scatter(
        [pixel["col"] for pixel in listed], [pixel["row"] for pixel in listed], s=size,
        marker=style.marker, facecolors="none", edgecolors=style.light, linewidths=1,
    )  # fmt: skip
    axes.set(
        xlim=(-0.5, width - 0.5), ylim=(-0.5, height - 0.5), aspect="equal",
        xlabel="column [pixel]", ylabel="row [pixel]",
    )  # fmt: skip
    axes.set_title(f"{len(listed)} pixels in {repeats.least} exposures or more", fontsize=9)
