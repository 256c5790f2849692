"""Simulate an exposure into a FITS file, and its truth beside it.

Example::

    python benchmarks/make_exposure.py --preset l2 --reads 450 --size 2048 --output l2.fits
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from ohana.simulate import PRESETS, preset, simulate_to_fits

#: Settings of an exposure without events.
NO_EVENTS = {"cosmic_rays": 0, "telegraph_pixels": 0, "snowballs": 0}


def main() -> None:
    """Parse the command line, simulate, report what was written."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="FITS file to write")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="l2")
    parser.add_argument("--reads", type=int, help="number of reads, as in the preset if absent")
    parser.add_argument("--size", type=int, help="height and width [pixel], likewise")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-events", action="store_true", help="noise only")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="other settings")
    arguments = parser.parse_args()
    changes: dict[str, Any] = dict(item.split("=", 1) for item in arguments.set)
    size = {"reads": arguments.reads, "rows": arguments.size, "cols": arguments.size}
    changes |= {name: value for name, value in size.items() if value is not None}
    if arguments.no_events:
        changes |= NO_EVENTS
    config = preset(arguments.preset, **changes)
    start = time.perf_counter()
    truth = simulate_to_fits(config, np.random.default_rng(arguments.seed), arguments.output)
    truth_path = arguments.output.with_suffix(".truth.json")
    truth.save(truth_path)
    seconds = time.perf_counter() - start
    print(f"{arguments.output}: {config.shape}, {len(truth.events)} events, {seconds:.1f} s")
    print(truth_path)


if __name__ == "__main__":
    main()
