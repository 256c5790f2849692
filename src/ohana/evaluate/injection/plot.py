"""One page of plots that shows a `Recovery`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ohana.classes import Label, labels_with
from ohana.evaluate.bins import interval
from ohana.evaluate.injection.scoring import DATED_SNR, offsets_of
from ohana.evaluate.injection.table import show_limit
from ohana.evaluate.truth.panels import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ohana.evaluate.injection.recovery import Recovery

#: Definition of the charge of each class.
CHARGES = {
    Label.COSMIC_RAY: "charge of the brightest pixel [e-]",
    Label.TELEGRAPH_NOISE: "distance of the levels [e-]",
    Label.SNOWBALL: "charge of a pixel of the core [e-]",
}
#: Bins of charge, and first reads further off than this are counted together.
BINS, LATEST = 12, 5
#: Range of an axis above which it has fewer numbers, so that they do not touch. Chosen.
WIDE = 60.0
#: Maximum number of regions for numbers in the map. Chosen.
NUMBERED = 16


def recovery_figure(recovery: Recovery) -> Figure:
    """Draw a recovery; the figure belongs to no window, so ``savefig`` is all it is for.

    Returns
    -------
    matplotlib.figure.Figure
        First row: completeness of each class against charge. Second row: charge at which half
        of the cosmic rays are found, over the array; false alarms against threshold; dates.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 8.6), layout="constrained")
    axes: Any = figure.subplots(2, 3)
    for axis, label in zip(axes[0], CHARGES, strict=True):
        _draw_completeness(axis, recovery, label)
    _draw_map(axes[1, 0], recovery)
    _draw_false_alarms(axes[1, 1], recovery)
    _draw_dates(axes[1, 2], recovery)
    reads, height, width = recovery.shape
    figure.suptitle(
        f"{recovery.source.name}: {reads} reads of {height} x {width}, "
        f"{len(recovery.events)} events added; bars and bands 68 %",
        fontsize=12,
    )
    return figure


def _draw_completeness(axis: Axes, recovery: Recovery, label: Label) -> None:
    """Draw completeness against charge, with the fit and its 50 % and 90 % points."""
    name, style = label.title, STYLES[label]
    axis.set(title=name, xlabel=CHARGES[label], ylabel="found", ylim=(-0.03, 1.03))
    events = recovery.of(label)
    if not events:
        _say(axis, f"no {name} added")
        return
    charge = np.array([event.charge for event in events])
    found = np.array([event.found for event in events])
    edges = np.geomspace(charge.min() * 0.999, charge.max() * 1.001, BINS + 1)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        here = (charge >= low) & (charge < high)
        if here.any():
            part = found[here].mean()
            bar = np.abs(np.array(interval(found[here].sum(), here.sum())) - part)
            axis.errorbar(np.sqrt(low * high), part, bar[:, None], ms=5, lw=1, **style)
    fit = recovery.by_charge[label]
    if len(fit.at):
        axis.plot(fit.at, fit.curve, color=style["color"])
        axis.fill_between(fit.at, fit.low, fit.high, color=style["color"], alpha=0.2, lw=0)
    text = []
    for part, limit in ((0.5, fit.half), (0.9, fit.most)):
        text.append(f"{part:.0%}: {show_limit(limit)} e-")
        if np.isfinite(limit.value):
            axis.plot([limit.value] * 2, [-0.03, part], color="0.4", lw=1, ls=":")
            axis.plot([edges[0], limit.value], [part] * 2, color="0.4", lw=1, ls=":")
    axis.set_xscale("log")
    axis.set_xlim(edges[0], edges[-1])
    axis.text(0.97, 0.06, "\n".join(text), transform=axis.transAxes, ha="right", fontsize=10)
    gain = recovery.facts.gain
    scales: Any = (lambda x: x / gain, lambda x: x * gain)
    above = axis.secondary_xaxis("top", functions=scales)
    above.set_xlabel("[DN]", fontsize=9)
    above.tick_params(labelsize=8)
    for scale in (axis.xaxis, above.xaxis):
        _number_log_axis(scale, (1, 3) if edges[-1] > WIDE * edges[0] else (1, 2, 5))


def _number_log_axis(axis: Any, at: tuple[int, ...]) -> None:
    """Write plain numbers at some digits of each decade only."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=at, numticks=30))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.15g}"))
    axis.set_minor_locator(LogLocator(subs=range(1, 10), numticks=30))
    axis.set_minor_formatter(NullFormatter())


def _draw_map(axis: Axes, recovery: Recovery) -> None:
    """Draw the 50 % charge of cosmic rays for each output or part of the array."""
    regions = recovery.regions
    title = f"cosmic rays: 50 % charge by {regions.kind} [e-]"
    axis.set(title=title, xlabel="column [pixel]", ylabel="row [pixel]")
    fits = recovery.by_region.get(Label.COSMIC_RAY, [])
    half = np.array([fit.half.value for fit in fits])
    if not np.isfinite(half).any():
        _say(axis, "too few events")
        return
    table = np.ma.masked_invalid(half.reshape(len(regions.rows) - 1, -1))
    mesh = axis.pcolormesh(
        regions.cols, regions.rows, table, cmap="cividis", edgecolors="white", linewidth=0.5
    )
    axis.set_facecolor("0.85")
    axis.set_aspect("equal")
    axis.figure.colorbar(mesh, ax=axis, label="charge of the brightest pixel [e-]")
    if len(half) > NUMBERED:
        return
    middle = (np.nanmin(half) + np.nanmax(half)) / 2
    for k, fit in enumerate(fits):
        rows, cols = regions.bounds(k)
        axis.text(
            (cols.start + cols.stop) / 2,
            (rows.start + rows.stop) / 2,
            show_limit(fit.half, interval=False),
            ha="center",
            va="center",
            fontsize=9,
            color="black" if half[k] > middle or np.isnan(half[k]) else "white",
        )


def _draw_false_alarms(axis: Axes, recovery: Recovery) -> None:
    """Draw the number of pixels above a threshold, forwards and backwards."""
    axis.set(
        title="best upward step of each pixel",
        xlabel="threshold [sigma]",
        ylabel="pixels above it, per million",
    )
    alarms = recovery.false_alarms
    if alarms is None:
        _say(axis, "ramps backwards: not asked for")
        return
    single = 1e6 / max(alarms.counted, 1)
    curves: list[tuple[np.ndarray, str, dict[str, Any]]] = [
        (alarms.forward, "as it is", {"color": "black"}),
        (alarms.backward, "backwards: false", {"color": "#CC79A7", "ls": "--"}),
        (alarms.noise, "pure noise: false", {"color": "#56B4E9", "ls": ":"}),
    ]
    for values, name, style in curves:
        shown = np.where(values > 0, values, np.nan)
        axis.step(alarms.thresholds, shown, where="mid", label=name, lw=1.8, **style)
    axis.axhline(single, color="0.6", lw=0.8, ls=":", label="one pixel")
    axis.set_yscale("log")
    # Room above the curves for the legend.
    axis.set_ylim(single / 2, 1e3 * max(np.nanmax(alarms.forward), single))
    text = [
        f"false {a.label.key.replace('_', ' ')}s per million pixels:\n"
        f"  {a.rate.value:.1f} ({a.rate.low:.1f}-{a.rate.high:.1f} at 95 %)"
        for a in alarms.alarms
        if a.label.traits.has_first_read
    ]
    axis.set_xlim(alarms.thresholds[0], alarms.thresholds[-1])
    axis.legend(frameon=False, loc="upper right", title="\n".join(text), alignment="left")


def _draw_dates(axis: Axes, recovery: Recovery) -> None:
    """Draw the delay of the first read of bright events."""
    axis.set(
        title=f"first reads, S/N above {DATED_SNR:g}",
        xlabel="found late by [reads]",
        ylabel="part of those found",
    )
    places = np.arange(-LATEST, LATEST + 1)
    kinds = [label for label in labels_with("has_first_read") if recovery.of(label)]
    drawn = False
    for k, label in enumerate(kinds):
        late = offsets_of(recovery.of(label))
        if not len(late):
            continue
        part = np.array([np.mean(late.clip(-LATEST, LATEST) == place) for place in places])
        axis.bar(
            places + (k - (len(kinds) - 1) / 2) * 0.38,
            part,
            0.36,
            color=STYLES[label]["color"],
            label=f"{label.key.replace('_', ' ')}, {len(late)}",
        )
        drawn = True
    if not drawn:
        _say(axis, "none found")
        return
    names = [f"{place:+d}" if place else "0" for place in places]
    names[0], names[-1] = f"≤-{LATEST}", f"≥{LATEST}"
    axis.set_xticks(places, names)
    axis.set_ylim(0, 1.25)
    axis.legend(frameon=False, loc="upper right")


def _say(axis: Axes, text: str) -> None:
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color="0.4")
