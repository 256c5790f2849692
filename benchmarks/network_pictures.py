"""Figures of `network_scores.py`: completeness against S/N, and reliability of confidences."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from network_tables import Records, binned, columns, complete_rows, equal_cuts, groups
from ohana.classes import Label
from ohana.evaluate import interval, measure_reliability
from ohana.evaluate.truth.panels import GREY, STYLES, with_errors

#: Bins of S/N.
EDGES = np.array([1, 2, 3, 4, 5, 6, 8, 12, 20, 50])


def draw_completeness(rules: Records, hybrid: Records, path: Path) -> None:
    """Draw the completeness of cosmic rays at equal false alarms, a panel per number of reads."""
    seen = [k for k, record in enumerate(rules) if not record["case"]["unseen"]]
    parts = groups([rules[k] for k in seen], [hybrid[k] for k in seen])
    figure, panels = plt.subplots(
        1, len(parts), figsize=(3.2 * len(parts), 3.2), sharey=True, squeeze=False
    )
    for axes, (name, *both) in zip(panels[0], parts, strict=True):
        cuts = equal_cuts(*both, Label.COSMIC_RAY)
        for records, (cut, _), label, style in zip(
            both, cuts, ("rules", "rules and network"), ("0.45", "#D55E00"), strict=True
        ):
            counts = binned(*complete_rows(records, Label.COSMIC_RAY, cut), EDGES)
            full = [k for k, (_, every) in enumerate(counts) if every]
            value = np.array([counts[k][0] / counts[k][1] for k in full])
            low, high = np.array([interval(*counts[k]) for k in full]).reshape(-1, 2).T
            error = np.maximum([value - low, high - value], 0)
            middle = np.sqrt(EDGES[:-1] * EDGES[1:])[full]
            axes.errorbar(middle, value, error, marker="o", ms=4, color=style, label=label)
        title = f"{name}, {cuts[0][1]:.0f} false per Mpix"
        axes.set(xscale="log", ylim=(-0.03, 1.03), xlabel="S/N of the brightest pixel")
        axes.set_title(title, fontsize=10)
        axes.minorticks_off()
        axes.set_xticks([2, 5, 10, 20], ["2", "5", "10", "20"])
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc="lower right", bbox_to_anchor=(1.0, 0.3))
    panels[0][0].set_ylabel("cosmic rays found")
    _save(figure, path)


def draw_reliability(rules: Records, hybrid: Records, path: Path) -> None:
    """Draw the fraction of real detections against their confidence, for the rules and for both."""
    figure, panels = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True)
    for axes, records, title in zip(
        panels, (rules, hybrid), ("rules", "rules and network"), strict=True
    ):
        seen = [record for record in records if not record["case"]["unseen"]]
        found = columns(seen, "sensitive", "found")
        axes.plot([0, 1], [0, 1], color=GREY, lw=1)
        for label, style in STYLES.items():
            mine = found["label"] == label
            result = measure_reliability(found["confidence"][mine], found["real"][mine] > 0)
            if result.bins:
                mean = [each.mean for each in result.bins]
                name = f"{label.title}: off {result.error:.3f}, n {int(mine.sum())}"
                axes.errorbar(mean, *with_errors(result.bins), label=name, capsize=2, **style)
        axes.set(title=title, xlabel="mean confidence", xlim=(0, 1.02), ylim=(0, 1.02))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    panels[0].set_ylabel("part that is real")
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
