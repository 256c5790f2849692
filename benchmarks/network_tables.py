"""Tables of `network_scores.py`: the rules alone, and rules and network together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ohana.classes import Label
from ohana.evaluate import interval, measure_reliability

Records = list[dict[str, Any]]

#: Edges of S/N of true events (root of chi-squared for telegraph noise), and of significance.
SNR = {
    Label.COSMIC_RAY: (2, 3, 4, 5, 6, 8, 12, 20, 1e9),
    Label.TELEGRAPH_NOISE: (4, 6, 9, 12, 20, 1e9),
    Label.SNOWBALL: (5, 100, 1000, 1e9),
}
SIGNIFICANCE = (0, 4, 5, 6, 8, 12, 1e9)
#: False alarms allowed, if the rules have that many at any cut [per million pixels].
ALLOWED = 20.0
#: Fewest events for a meaningful fraction.
ENOUGH = 20
#: Cut in the confidence of the rules that sets the number of false alarms allowed.
USUAL = 0.5
TITLES = {
    Label.COSMIC_RAY: "Cosmic rays",
    Label.TELEGRAPH_NOISE: "Telegraph noise",
    Label.SNOWBALL: "Snowballs",
}
#: Columns of the records.
TRUE = ("label", "snr", "detectable", "possible", "overlap", "ray", "telegraph", "ball")
FOUND = ("label", "confidence", "significance", "source", "real", "related")


def text_of(rules: Records, hybrid: Records, machine: str) -> str:
    """Return all tables as markdown."""
    seen = [k for k, record in enumerate(rules) if not record["case"]["unseen"]]
    usual, both = [rules[k] for k in seen], [hybrid[k] for k in seen]
    parts = [f"{machine}. Numbers in brackets are events.", "### Summary", summary(rules, hybrid)]
    parts += ["### Cuts in confidence and false alarms per million pixels", cut_table(usual, both)]
    for label in TITLES:
        for what in (complete_rows, pure_rows):
            parts += [f"### {TITLES[label]}: {what.__doc__}", bin_table(usual, both, label, what)]
    parts += ["### Faint tracks", faint_table(usual, both)]
    parts += ["### False alarms of flashes and persistence", awkward_table(usual, both)]
    parts += ["### Detectors never seen", unseen_table(rules, hybrid)]
    return "\n\n".join(parts)


def columns(records: Records, settings: str, side: str) -> dict[str, np.ndarray]:
    """Return the columns of true events or detections of some cases."""
    names = TRUE if side == "true" else FOUND
    rows = [row for record in records for row in record[settings][side]]
    table = np.array(rows, float).reshape(-1, len(names))
    return dict(zip(names, table.T, strict=True))


def belief(true: dict[str, np.ndarray], label: Label) -> np.ndarray:
    """Return the confidence with which each true event was found as a class, 0 if it was not."""
    return true[TRUE[4 + label]]


def equal_cuts(rules: Records, hybrid: Records, label: Label) -> list[tuple[float, float]]:
    """Return the cut in confidence and the false alarms per million pixels of both.

    Each has the lowest cut that leaves no more false alarms on event-free ramps than the rules
    have: at a confidence of `USUAL`, or at a lower one where that gives up to `ALLOWED` per million
    pixels. One is always allowed.
    """
    area = sum(record["megapixels"] for record in rules)
    false = [
        np.sort([c for record in records for kind, c in record["quiet"] if kind == label])[::-1]
        for records in (rules, hybrid)
    ]
    usual, every = int((false[0] >= USUAL).sum()), len(false[0])
    most = max(usual, min(round(ALLOWED * area), every), 1)
    cuts = [float(np.nextafter(some[most], 2)) if len(some) > most else 0.0 for some in false]
    counts = [int((some >= cut).sum()) for some, cut in zip(false, cuts, strict=True)]
    return [(max(cut, 1e-6), n / max(area, 1e-9)) for cut, n in zip(cuts, counts, strict=True)]


def groups(rules: Records, hybrid: Records) -> list[tuple[str, Records, Records]]:
    """Return the cases of each number of reads."""
    every = sorted({record["case"]["reads"] for record in rules})
    pick = [[k for k, r in enumerate(rules) if r["case"]["reads"] == reads] for reads in every]
    return [
        (f"{reads} reads", [rules[k] for k in which], [hybrid[k] for k in which])
        for reads, which in zip(every, pick, strict=True)
    ]


def cut_table(rules: Records, hybrid: Records) -> str:
    """Return the cuts at equal false alarms, per class and number of reads."""
    rows = [["class", "reads", "Mpix", "cut, rules", "cut, both", "false, rules", "false, both"]]
    for label in TITLES:
        for name, mine, theirs in groups(rules, hybrid):
            cuts = equal_cuts(mine, theirs, label)
            area = sum(record["megapixels"] for record in mine)
            values = [f"{cut:.3f}" for cut, _ in cuts] + [f"{rate:.0f}" for _, rate in cuts]
            rows.append([TITLES[label], name, f"{area:.2f}", *values])
    return markdown(rows)


#: Gives (value, good) of the true events or detections of some cases at a cut.
Rows = Callable[[Records, Label, float], tuple[np.ndarray, np.ndarray]]


def complete_rows(records: Records, label: Label, cut: float) -> tuple[np.ndarray, np.ndarray]:
    """completeness [%] by S/N, rules / both"""  # noqa: D400, D401, D403 - a heading
    true = columns(records, "sensitive", "true")
    mine = (true["label"] == label) & (true["possible"] > 0)
    return true["snr"][mine], belief(true, label)[mine] >= cut


def pure_rows(records: Records, label: Label, cut: float) -> tuple[np.ndarray, np.ndarray]:
    """purity [%] by significance, rules / both"""  # noqa: D400, D401, D403 - a heading
    found = columns(records, "sensitive", "found")
    mine = (found["label"] == label) & (found["confidence"] >= cut)
    return found["significance"][mine], found["real"][mine] > 0


def bin_table(rules: Records, hybrid: Records, label: Label, what: Rows) -> str:
    """Return a table of rules / both, per number of reads and bin."""
    edges = edges_of(label, what)
    rows = [["reads", *map(range_name, edges[:-1], edges[1:])]]
    for name, *records in groups(rules, hybrid):
        counts = equal_bins(*records, label, what)
        rows.append([name, *(compared(*pair) for pair in counts)])
    return markdown(rows)


def edges_of(label: Label, what: Rows) -> np.ndarray:
    """Return the edges of the bins of a table."""
    return np.array(SNR[label] if what is complete_rows else SIGNIFICANCE, float)


def equal_bins(
    rules: Records, hybrid: Records, label: Label, what: Rows
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return good and all of the rules and of both in each bin, at equal false alarms."""
    cuts, edges = equal_cuts(rules, hybrid, label), edges_of(label, what)
    counts = (
        binned(*what(records, label, cut), edges)
        for records, (cut, _) in zip((rules, hybrid), cuts, strict=True)
    )
    return list(zip(*counts, strict=True))


def worse_bins(rules: Records, hybrid: Records, label: Label, what: Rows) -> str:
    """Return in how many bins both are lower than the rules, and in how many beyond chance."""
    pairs = [
        pair
        for _, *records in groups(rules, hybrid)
        for pair in equal_bins(*records, label, what)
        if pair[0][1] and pair[1][1]
    ]
    lower = sum(b[0] * a[1] < a[0] * b[1] for a, b in pairs)
    return f"{lower}, {sum(is_worse(*pair) for pair in pairs)} of {len(pairs)}"


def binned(value: np.ndarray, good: np.ndarray, edges: np.ndarray) -> list[tuple[int, int]]:
    """Return good and all in each bin.

    Examples
    --------
    >>> binned(np.array([1.0, 3.0, 3.5]), np.array([True, True, False]), np.array([0.0, 2, 4]))
    [(1, 1), (1, 2)]
    """
    every, some = (np.histogram(x, edges)[0].tolist() for x in (value, value[good]))
    return list(zip(some, every, strict=True))


def compared(rules: tuple[int, int], hybrid: tuple[int, int]) -> str:
    """Return two fractions as text with their number; bold if the second is lower beyond chance."""
    first, second = percent(*rules), percent(*hybrid)
    text = f"{first} / {second} ({hybrid[1]})"
    return f"**{text}**" if is_worse(rules, hybrid) else text


def is_worse(rules: tuple[int, int], hybrid: tuple[int, int]) -> bool:
    """Return whether the second of two fractions is lower by more than their intervals."""
    return bool(rules[1] and hybrid[1] and interval(*hybrid)[1] < interval(*rules)[0])


def faint_table(rules: Records, hybrid: Records) -> str:
    """Return the completeness of faint tracks at equal false alarms, per number of reads."""
    rows = [["reads", "tracks", "rules [%]", "both [%]", "more [points]"]]
    for name, mine, theirs in groups(rules, hybrid):
        parts = faint_parts(mine, theirs)
        gain = 100 * (parts[1][0] - parts[0][0]) / max(parts[0][1], 1)
        rows.append([name, str(parts[0][1]), *(percent(*p) for p in parts), f"{gain:+.1f}"])
    return markdown(rows)


def faint_parts(rules: Records, hybrid: Records) -> list[tuple[int, int]]:
    """Return found and all faint tracks of both, at equal false alarms."""
    cuts = equal_cuts(rules, hybrid, Label.COSMIC_RAY)
    parts = []
    for records, (cut, _) in zip((rules, hybrid), cuts, strict=True):
        values = np.array([value for record in records for value in record["faint"]])
        parts.append((int((values >= cut).sum()), len(values)))
    return parts


def awkward_table(rules: Records, hybrid: Records) -> str:
    """Return detections per exposure with a flash and persistence, at `USUAL` confidence."""
    rows = [["reads", "exposures", *(f"{TITLES[label]}, rules / both" for label in TITLES)]]
    for name, *records in groups(rules, hybrid):
        count = sum(record["case"]["draws"] for record in records[0])
        cells = []
        for label in TITLES:
            false = [
                sum(kind == label and c >= USUAL for r in some for kind, c in r["awkward"])
                for some in records
            ]
            cells.append(" / ".join(f"{n / count:.1f}" for n in false))
        rows.append([name, str(count), *cells])
    return markdown(rows)


def summary(rules: Records, hybrid: Records) -> str:
    """Return one row for each goal."""
    seen = [k for k, record in enumerate(rules) if not record["case"]["unseen"]]
    mine, theirs = [rules[k] for k in seen], [hybrid[k] for k in seen]
    rows = [["what", "to reach", "rules", "both"]]
    parts = [faint_parts(*pair[1:]) for pair in groups(mine, theirs)]
    pooled = [percent(*np.sum([part[k] for part in parts], axis=0)) for k in (0, 1)]
    rows.append(["faint tracks found [%], equal false alarms", "rules + 15", *pooled])
    for label in TITLES:
        lower = [worse_bins(mine, theirs, label, what) for what in (complete_rows, pure_rows)]
        title = f"{TITLES[label].lower()}: bins with both below rules, beyond chance, of all"
        rows.append([title, "0", "", f"completeness {lower[0]}; purity {lower[1]}"])
    for label, least in zip(TITLES, (0.97, 0.95, 0.98), strict=True):
        for settings in ("default", "sensitive"):
            title = f"purity of {TITLES[label].lower()} [%], `{settings}`"
            values = [purity(records, label, settings) for records in (mine, theirs)]
            rows.append([title, f">= {100 * least:.0f}" if settings == "default" else "", *values])
    for settings in ("default", "sensitive"):
        values = [footprints(records, settings) for records in (mine, theirs)]
        rows.append([f"overlap of snowballs, `{settings}`: median, mean", ">= 0.92", *values])
    values = [confusion(records) for records in (mine, theirs)]
    rows.append(["cosmic ray / telegraph noise mistaken [%]", "<= 1", *values])
    values = [calibration(records) for records in (mine, theirs)]
    rows.append(["expected calibration error (by chance)", "<= 0.05", *values])
    return markdown(rows)


def purity(records: Records, label: Label, settings: str) -> str:
    """Return the purity of the detections at `USUAL` confidence, or at that of the settings."""
    found = columns(records, settings, "found")
    mine = found["label"] == label
    mine &= found["confidence"] >= (USUAL if settings == "sensitive" else 0.0)
    return f"{percent(int(found['real'][mine].sum()), int(mine.sum()))} ({int(mine.sum())})"


def footprints(records: Records, settings: str) -> str:
    """Return median and mean overlap of the detectable snowballs."""
    true = columns(records, settings, "true")
    overlap = true["overlap"][(true["label"] == Label.SNOWBALL) & (true["detectable"] > 0)]
    if not len(overlap):
        return "-"
    return f"{np.median(overlap):.3f}, {overlap.mean():.3f} ({len(overlap)})"


def confusion(records: Records) -> str:
    """Return the fraction of cosmic rays and telegraph pixels mistaken for each other."""
    true = columns(records, "default", "true")
    wrong = every = 0
    for label, other in (
        (Label.COSMIC_RAY, Label.TELEGRAPH_NOISE),
        (Label.TELEGRAPH_NOISE, Label.COSMIC_RAY),
    ):
        mine = (true["label"] == label) & (true["detectable"] > 0)
        every += int(mine.sum())
        wrong += int((mine & (belief(true, label) == 0) & (belief(true, other) > 0)).sum())
    return f"{percent(wrong, every)} ({every})"


def calibration(records: Records) -> str:
    """Return the expected calibration error of all confidences."""
    found = columns(records, "sensitive", "found")
    result = measure_reliability(found["confidence"], found["real"] > 0)
    return f"{result.error:.3f} ({result.chance:.3f})"


def unseen_table(rules: Records, hybrid: Records) -> str:
    """Return completeness and purity beside those of the most similar case within the training."""
    heads = [f"{TITLES[label]}: found, pure [%] (like it)" for label in TITLES]
    rows = [["case", "like it", *heads, "rules lose [points]", "both lose [points]"]]
    for k, record in enumerate(rules):
        if not record["case"]["unseen"]:
            continue
        case, near = record["case"], like(rules, record["case"])
        if near is None:
            continue
        levels = [[levels_of(some[j]) for j in (k, near)] for some in (rules, hybrid)]
        here, there = levels[1]
        cells = [f"{shown(here[i : i + 2])} ({shown(there[i : i + 2])})" for i in (0, 2, 4)]
        detector = f"{case['noise'][0]:g} e-, {case['gain'][0]:g} e-/DN"
        name = f"{case['reads']} reads, {case['rate']}, {case['light']}, {detector}"
        lost = [f"{100 * np.nanmean(old - new):.1f}" for new, old in levels]
        rows.append([name, f"{rules[near]['case']['reads']} reads", *cells, *lost])
    return markdown(rows)


def like(records: Records, case: dict[str, Any]) -> int | None:
    """Return the case of the same scene with the nearest number of reads within the training."""
    known = [
        k
        for k, record in enumerate(records)
        if not record["case"]["unseen"]
        and all(record["case"][name] == case[name] for name in ("rate", "light"))
    ]
    away = [abs(np.log(records[k]["case"]["reads"] / case["reads"])) for k in known]
    return known[int(np.argmin(away))] if known else None


def levels_of(record: dict[str, Any]) -> np.ndarray:
    """Return completeness of detectable events and purity, at `USUAL` confidence, per class.

    NaN where fewer than `ENOUGH` were counted.
    """
    true, found = (columns([record], "sensitive", side) for side in ("true", "found"))
    out = []
    for label in TITLES:
        mine = (true["label"] == label) & (true["detectable"] > 0)
        theirs = (found["label"] == label) & (found["confidence"] >= USUAL)
        for part in (belief(true, label)[mine] >= USUAL, found["real"][theirs] > 0):
            out.append(float(np.mean(part)) if len(part) >= ENOUGH else np.nan)
    return np.array(out)


def shown(parts: np.ndarray) -> str:
    """Return fractions as text."""
    return ", ".join("-" if np.isnan(x) else f"{100 * x:.1f}" for x in parts)


def percent(good: int, every: int) -> str:
    """Return a fraction in per cent, a dash for none."""
    return f"{100 * good / every:.1f}" if every else "-"


def range_name(low: float, high: float) -> str:
    """Return a range as text.

    Examples
    --------
    >>> range_name(2, 3), range_name(20, 1e9)
    ('2-3', '> 20')
    """
    return f"> {low:g}" if high >= 1e9 else f"{low:g}-{high:g}"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, headings first, as a table."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])
