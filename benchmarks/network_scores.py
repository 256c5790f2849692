"""Compare rules and network together with the rules alone, on newly drawn detectors.

Every case (reads, rate of hits, dark or sky) is simulated with events of all classes, with faint
tracks only, without events, and with flashes and persistence, and searched both ways. The results
of each case are kept in ``--cache``, so that an interrupted run continues and tables can be written
again. Writes the tables in ``docs/network.md`` and the figures beside it.

Example::

    python benchmarks/network_scores.py --model pretrained --quick --output /tmp/scores
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from machine import describe
from network_cases import Case, cases, exposures_of, is_faint
from network_pictures import draw_completeness, draw_reliability
from network_tables import Records, text_of
from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.config_file import load_config
from ohana.correction.fit import corrected_ramp
from ohana.correction.load import CorrectedRamp
from ohana.detect.false_discovery import EventDensities
from ohana.detect.row_block import compile_kernels
from ohana.evaluate.truth.confusion import overlaps
from ohana.evaluate.truth.pairs import Pairing, compare
from ohana.pipeline import FoundEvents, find_events
from ohana.read import open_exposure
from ohana.results.catalogue import catalogue
from ohana.simulate import Truth, simulate_to_fits
from ohana.utils.files import replacing
from pages import write_section

#: Settings by name: the defaults, and without floors in DN or cuts in confidence.
SETTINGS: dict[str, DetectorConfig] = {
    "default": DetectorConfig(),
    "sensitive": load_config("sensitive").model_copy(
        update={"rtn_min_confidence": 0.0, "snowball_min_confidence": 0.0}
    ),
}

#: A function that finds the events of an exposure.
Finder = Callable[[CorrectedRamp, DetectorConfig, EventDensities | None], FoundEvents]


def finder(network: Any) -> Finder:
    """Return the function that finds events: by rules alone if there is no network."""

    def find(
        source: CorrectedRamp, config: DetectorConfig, population: EventDensities | None
    ) -> FoundEvents:
        return find_events(source, config, lambda *_: None, None, population, network)

    return find


def measure(case: Case, seed: int, find: Finder) -> dict[str, Any]:
    """Return the records of one case: columns of true events, detections and false alarms."""
    record: dict[str, Any] = {"case": case.facts(), "megapixels": 0.0, "faint": []}
    record |= {"quiet": [], "awkward": []}
    record |= {name: {"true": [], "found": []} for name in SETTINGS}
    with TemporaryDirectory() as folder:
        for kinds in exposures_of(case, seed):
            path = Path(folder) / "ramp.fits"
            population = None
            for kind, (config, rng) in kinds.items():
                truth = simulate_to_fits(config, rng, path)
                for name, settings in SETTINGS.items():
                    if kind != "events" and name != "sensitive":
                        continue
                    found = find(_open(path, settings), settings, population)
                    if kind == "events":
                        add_events(record[name], truth, found)
                    if kind == "tracks":
                        record["faint"] += faint_tracks(truth, found)
                    if kind in ("quiet", "awkward"):
                        record[kind] += false_alarms(found)
                    if kind == "quiet":
                        record["megapixels"] += 1e-6 * float(np.prod(config.active_shape))
                    if kind == "events" and name == "sensitive":
                        # Confidences depend on the density of real events: it must be the same
                        # in all four exposures.
                        population = found.population
    return record


def _open(path: Path, settings: DetectorConfig) -> CorrectedRamp:
    ramp = open_exposure(path, settings)[0]
    return corrected_ramp(ramp, settings)[0]


def add_events(record: dict[str, Any], truth: Truth, found: FoundEvents) -> None:
    """Append a row for each true event and each detection.

    True: class, S/N, whether it is detectable and possible, intersection over union, and the
    confidence of the best detection of each class that belongs to it, 0 without; detections of
    another class count if they belong to no event of their own. Found: class, confidence,
    significance, source (0 rules, 1 network, 2 both), whether it is real, and whether it belongs
    to an event at all.
    """
    entries = catalogue(found.events)
    both = compare(truth, entries, SETTINGS["default"].sigma_threshold)
    true, overlap, belief = both.true, overlaps(truth, both), beliefs(both)
    for k in range(len(true)):
        flags = [bool(both.detectable[k]), bool(both.possible[k])]
        row = [int(true.label[k]), _short(true.axes["snr"][k]), *flags, _short(overlap[k])]
        record["true"].append([*row, *map(_short, belief[k])])
    related = np.isin(np.arange(len(entries)), both.pair_found)
    for k, entry in enumerate(entries):
        source = ("rules", "unet", "both").index(entry["source"])
        row = [int(both.found.label[k]), entry["confidence"], _short(entry["significance"] or 0.0)]
        record["found"].append([*row, source, bool(both.events_of[k]), bool(related[k])])


def beliefs(both: Pairing) -> np.ndarray:
    """Return the confidence of the best detection of each class for each true event, (n, 3)."""
    out = np.zeros((len(both.true), 3))
    counts = both.pair_same | (both.events_of == 0)[both.pair_found]
    true, found = both.pair_true[counts], both.pair_found[counts]
    # A confidence of 0 is still a detection.
    value = np.maximum(both.confidence[found], 1e-4)
    np.maximum.at(out, (true, both.found.label[found] - 1), value)
    return out


def faint_tracks(truth: Truth, found: FoundEvents) -> list[float]:
    """Return the confidence with which each faint track is found, 0 if it is not."""
    both = compare(truth, catalogue(found.events), SETTINGS["default"].sigma_threshold)
    faint = [event.label == Label.COSMIC_RAY and is_faint(event.snr) for event in truth.events]
    return [_short(value) for value in beliefs(both)[np.array(faint, bool), 0]]


def false_alarms(found: FoundEvents) -> list[list[float]]:
    """Return class and confidence of the events found in an exposure without any."""
    return [[int(event.label), _short(event.confidence)] for event in found.events]


def _short(value: float) -> float:
    return round(float(value), 4)


def load_or_measure(
    case: Case, system: str, key: str, find: Finder, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Return the records of a case from the cache, or measure and keep them."""
    contents = json.dumps([case.facts(), arguments.seed, system, key], sort_keys=True)
    mark = hashlib.sha256(contents.encode()).hexdigest()[:16]
    path = arguments.cache / f"{case.name}_{system}_{mark}.json"
    if path.exists():
        return json.loads(path.read_text())
    start = time.perf_counter()
    record = measure(case, arguments.seed, find)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, separators=(",", ":"), allow_nan=False))
    print(f"{case.name} {system}: {time.perf_counter() - start:.0f} s", flush=True)
    return record


def load(model: str) -> tuple[Any, str]:
    """Return a network and a hash of its weights; None and a word for ``none``."""
    if model == "none":
        return None, "none"
    from ohana.network.model_file import load_network

    network, code = load_network(model), hashlib.sha256()
    for name, tensor in sorted(network.model.state_dict().items()):
        code.update(name.encode() + tensor.numpy().tobytes())
    code.update(json.dumps(network.calibration and network.calibration.as_dict()).encode())
    return network, code.hexdigest()


def main() -> None:
    """Parse the command line, measure what is not in the cache, write tables and figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="pretrained", help="file, `pretrained` or `none`")
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument("--exposures", type=int, default=1, help="times the usual draws")
    parser.add_argument("--quick", action="store_true", help="few and small cases")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--cache", type=Path, default=Path("network_scores"), help="folder")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="folder")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    (arguments.output / "images").mkdir(parents=True, exist_ok=True)
    compile_kernels(logging.getLogger("ohana"))
    network, key = load(arguments.model)
    rules: Records = []
    hybrid: Records = []
    for case in cases(arguments.exposures, arguments.quick):
        if arguments.only in case.name:
            rules.append(load_or_measure(case, "rules", "", finder(None), arguments))
            hybrid.append(load_or_measure(case, "hybrid", key, finder(network), arguments))
    text = text_of(rules, hybrid, describe())
    print(text)
    write_section(arguments.output / "network.md", "scores", text)
    images = arguments.output / "images"
    draw_completeness(rules, hybrid, images / "network_completeness.png")
    draw_reliability(rules, hybrid, images / "network_reliability.png")


if __name__ == "__main__":
    main()
