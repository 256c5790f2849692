"""Plots of one event: ramp with fit, residuals, profile and growth."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ohana.classes import CLASSES
from ohana.report.figures.canvas import say_nothing, whole_ticks
from ohana.report.fitted_ramp import Drawn, fit_to_draw
from ohana.report.snowball_profile import Growth, Profile, radii
from ohana.report.stretch import FAINT, INK, MODEL
from ohana.results.catalogue import Detection
from ohana.results.prediction import Prediction

#: Ratio of the rise of a ramp to the event from which on the slope is subtracted. Chosen.
STEEP = 3.0


def slope_of(fit: np.ndarray) -> float:
    """Return the typical rise of a fitted ramp from read to read [DN]; 0 if nothing is fitted."""
    rises = np.diff(fit)
    rises = rises[np.isfinite(rises)]
    return float(np.median(rises)) if len(rises) else 0.0


def shown_ramp(
    prediction: Prediction, event: Detection, y: int, x: int
) -> tuple[np.ndarray, Drawn, float]:
    """Return ramp and fit of a pixel, less a slope that would hide the event, and the slope.

    Such a ramp ends where it saturates; one that the event itself saturates stays as it is.
    """
    ramp, drawn = prediction.ramp(y, x, event["integration"]), fit_to_draw(prediction, event, y, x)
    fit = drawn.fit
    stop, slope = prediction.stop(y, x, event["integration"]), slope_of(fit)
    line = slope * np.arange(len(ramp))
    known = (fit - line)[np.isfinite(fit)]
    if not slope or (event["first_frame"] or 0) >= stop:
        return ramp, drawn, 0.0
    if abs(slope) * stop <= STEEP * np.ptp(known):
        return ramp, drawn, 0.0
    ramp = np.where(np.arange(len(ramp)) < stop, ramp - line, np.nan)
    return ramp, drawn._replace(fit=fit - line), slope


def draw_ramp(axes: Axes, prediction: Prediction, event: Detection, y: int, x: int) -> None:
    """Draw the ramp of a pixel with the fit, less the slope where that would hide the rest."""
    ramp, drawn, slope = shown_ramp(prediction, event, y, x)
    reads, stop = np.arange(len(ramp)), prediction.stop(y, x, event["integration"])
    label = f"signal less {slope:.4g} DN per read [DN]" if slope else "signal [DN]"
    colour, small = CLASSES[event["type"]].light, 5 if len(ramp) < 120 else 3
    good = reads < stop
    axes.plot(reads[good], ramp[good], "o", color=INK, markersize=small - 1, label="reads")
    if not good.all() and not slope:
        axes.plot(
            reads[~good], ramp[~good], "o", color=FAINT, markersize=small - 1,
            markerfacecolor="none", label="saturated",
        )  # fmt: skip
    if drawn.reason:
        say_nothing(axes, f"no fit: {drawn.reason}")
    axes.plot(reads, drawn.fit, color=MODEL, linewidth=1.5, label="fit")
    if event["first_frame"] is not None:
        axes.axvline(event["first_frame"] - 0.5, color=colour, linewidth=1.2, linestyle="--")
    axes.set(xlabel="read", ylabel=label, xlim=(-0.02 * len(ramp) - 0.5, 1.02 * len(ramp) - 0.5))
    whole_ticks(axes.xaxis)
    axes.set_title(f"pixel at row {y}, column {x} (+)", fontsize=10, loc="left")
    axes.legend(
        fontsize=8.5, frameon=False, ncol=3, loc="lower right", bbox_to_anchor=(1.02, 0.97),
        columnspacing=1.0, handletextpad=0.4, handlelength=1.4,
    )  # fmt: skip
    axes.grid(alpha=0.25)


def draw_residuals(axes: Axes, prediction: Prediction, event: Detection, y: int, x: int) -> None:
    """Draw the residuals of the fit in units of the read noise."""
    rest = prediction.ramp(y, x, event["integration"]) - fit_to_draw(prediction, event, y, x).fit
    maps = prediction.features[event["integration"]]
    if "noise" in maps and np.isfinite(maps["noise"][y, x]):
        noise = float(maps["noise"][y, x])
        axes.axhspan(-noise, noise, color=FAINT, alpha=0.2, linewidth=0)
    if np.isfinite(rest).any():
        axes.plot(np.arange(len(rest)), rest, ".", color=INK, markersize=4)
    else:
        say_nothing(axes, "no read that can be fitted")
    axes.axhline(0, color=MODEL, linewidth=1)
    axes.set(xlabel="read", ylabel="reads - fit\n[DN]")
    axes.grid(alpha=0.25)


def draw_profile(axes: Axes, profile: Profile, event: Detection) -> None:
    """Draw the radial profile of a snowball at its arrival and later."""
    frame, colour = event["first_frame"], CLASSES[event["type"]].light
    styles: tuple[tuple[np.ndarray, str, dict[str, Any]], ...] = (
        (profile.landed, f"read {frame}", {"color": colour, "marker": "o"}),
        (profile.later, f"read {profile.last}", {"color": FAINT, "marker": "s"}),
    )
    for values, label, style in styles:
        axes.plot(profile.distance, values, label=label, markersize=3.5, linewidth=1, **style)
    axes.plot(
        profile.distance[profile.saturated], profile.landed[profile.saturated], "o",
        markersize=6, markerfacecolor="none", color=INK, label="saturated", linestyle="none",
    )  # fmt: skip
    core, halo = radii(event)
    for radius, name in ((core, "core"), (halo, "halo")):
        axes.axvline(radius, color=FAINT, linewidth=1, linestyle=":")
        axes.text(
            radius, 0.97, f" {name}", color=FAINT, va="top", fontsize=9,
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
    bright = np.nanmax(profile.landed, initial=1.0)
    axes.set_yscale("symlog", linthresh=10, linscale=0.5)
    axes.set_ylim(min(0.0, float(np.nanmin(profile.landed, initial=0.0))), 3 * bright)
    axes.set(xlabel="distance from the centroid [pixel]", ylabel="step, median of ring [DN]")
    axes.set_title("radial profile", fontsize=10)
    axes.legend(fontsize=9, frameon=False)
    axes.grid(alpha=0.25)


def draw_growth(axes: Axes, grown: Growth, event: Detection) -> None:
    """Draw the radius of a core and the mean signal of its halo over the reads."""
    colour = CLASSES[event["type"]].light
    axes.plot(grown.read, grown.radius, "o-", color=colour, markersize=3.5, linewidth=1)
    axes.set(xlabel="read", ylabel="radius of the core [pixel]")
    axes.set_ylim(0, max(1.25 * grown.radius.max(), 1.0))
    axes.yaxis.label.set_color(colour)
    other = axes.twinx()
    other.plot(grown.read, grown.halo, "s-", color=FAINT, markersize=3, linewidth=1)
    other.set_ylabel("mean signal of the halo [DN]", color=FAINT)
    top = np.nanmax(grown.halo, initial=1.0)
    other.set_ylim(min(0.0, float(np.nanmin(grown.halo, initial=0.0))), 1.25 * top)
    axes.set_title("growth", fontsize=10)
    axes.grid(alpha=0.25)
