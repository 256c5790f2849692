"""``python -m ohana``: list the commands of the package."""

from __future__ import annotations

import ohana

#: Command -> its purpose.
COMMANDS = {
    "ohana-predict": "find the events of one exposure, or of many",
    "ohana-report": "write a page for inspecting results in a browser",
    "ohana-summarize": "rates, spectra and recurrent pixels over many exposures",
    "ohana-evaluate": "how complete and how pure detections are",
    "ohana-create-training": "simulate exposures to train on",
    "ohana-train": "train the network",
}


def main() -> None:
    """Print the commands."""
    print(f"ohana {ohana.__version__}: transient anomalies in up-the-ramp data of HxRG detectors\n")
    width = max(map(len, COMMANDS))
    for name, purpose in COMMANDS.items():
        print(f"  {name:{width}}  {purpose}")
    print("\nEach has --help. Documentation: README.md and docs/ of the source.")


if __name__ == "__main__":
    main()
