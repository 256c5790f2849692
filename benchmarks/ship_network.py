"""Put a trained network into the package, with its model card.

Example::

    python benchmarks/ship_network.py pretrained_model/best_model_unet3d.pth
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from ohana.network.model_file import PRETRAINED_FILE, Network, load_network, save_network
from ohana.utils.files import replacing

FOLDER = Path(__file__).parents[1] / "src/ohana/network/pretrained"

CARD = """# Model card of the network that ships with ohana

| | |
| --- | --- |
| what | 3-D U-Net: probabilities of background, cosmic ray, telegraph noise and snowball for each pixel and read |
| size | {weights} weights; channels {widths}, strides {strides} |
| for | finding events in up-the-ramp exposures of H2RG-like detectors, together with the rules of ohana |
| input | ramps of at least 4 reads, any height and width, in units of each pixel's own noise: {channels} |
| data | simulated by ohana alone (`configs/pretrained`): {training} exposures to learn from, {validation} to choose the best epoch by; no real one |
| range | 8 to 450 reads, read noise 5-25 e-, gain 0.5-2.7 e-/DN, ground and L2, dark and sky |
| settings | `configs/pretrained/train.yaml`, hash {hash} |
| made with | ohana {ohana}, torch {torch} |
| best epoch | {epoch}; F1 of voxels: {f1} |
| confidence | {calibration} |

Scores of events, beside the rules alone, and limits are in docs/network.md. In short: trained and measured on
simulations only; how frequent hits are is measured in every exposure; telegraph noise with
fewer than four transitions, events in pixels that are full, and ramps of fewer than 4 reads are beyond it.
"""  # noqa: E501


def card_of(network: Network) -> str:
    """Return the model card of a network, in Markdown."""
    facts, size = network.facts, network.model.architecture
    scores: dict[str, Any] = facts["scores"]
    return CARD.format(
        weights=sum(value.numel() for value in network.model.parameters()),
        widths=", ".join(map(str, size.widths)),
        strides=", ".join("x".join(map(str, stride)) for stride in size.strides),
        channels=", ".join(facts["channels"]),
        **facts["exposures"],
        hash=facts["training"],
        **facts["versions"],
        epoch=scores["epoch"],
        f1=", ".join(f"{name.replace('_', ' ')} {f1:.3f}" for name, f1 in scores["f1"].items()),
        calibration="calibrated" if network.calibration else "not calibrated",
    )


def main() -> None:
    """Parse the command line; write the weights and the card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=Path, help="best_model_unet3d.pth of ohana-train")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="folder of the package")
    arguments = parser.parse_args()
    network = load_network(arguments.model)
    if network.calibration is None:
        parser.error(f"{arguments.model}: wanted a calibrated network: train it to its end")
    card = card_of(network)
    arguments.folder.mkdir(exist_ok=True)
    path = arguments.folder / PRETRAINED_FILE
    save_network(path, replace(network, facts=network.facts | {"card": card}))
    with replacing(arguments.folder / "MODEL_CARD.md") as temporary:
        temporary.write_text(card, "utf-8")
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
