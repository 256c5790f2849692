"""Compare rates with events excluded with the truth: `python benchmarks/rates.py`.

Simulates exposures of known rate and compares what ``ohana-predict --products`` measures with a fit
that ignores all events. With the JWST pipeline installed (extra ``jwst``), its ramp fit runs on
the same ramps too: without flags, with those of its own jump step, and with those of ohana.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ohana import Label, Predictor, open_exposure
from ohana.products import write_products
from ohana.products.fit import fit_integration
from ohana.products.write import integration_of
from ohana.results.prediction import open_prediction
from ohana.simulate import preset
from ohana.simulate.exposure import draw_scene, read_out, truth_of
from ohana.simulate.layouts import write_exposure
from ohana.utils.formatting import columns

#: Nothing but the rate affects the slopes: no non-linearity and no coupling of pixels.
PLAIN = {
    "rows": 512, "cols": 512, "ipc": 0.0, "nonlinearity": 0.0, "stars": 0, "persistence": 0,
    "transient": 0.0, "hot_fraction": 0.0, "warm_fraction": 0.0, "saturating_fraction": 0.0,
    "dead_fraction": 0.0, "stuck_fraction": 0.0, "telegraph_fraction": 2e-3, "snowballs": 4,
    "cosmic_ray_rate": 6.0,
}  # fmt: skip
CASES = {
    "60 reads (l2)": preset("l2", **PLAIN | {"cosmic_ray_rate": 60.0}),
    "10 groups of 4 frames (nircam)": preset("nircam", **PLAIN),
    "20 groups of 4 frames (nirspec)": preset("nirspec", **PLAIN),
}


def measure(config, seed: int, folder: Path):
    """Return rate and error of each method (H, W) [DN/s], the true rate, and the truth."""
    scene = draw_scene(config, np.random.default_rng(seed))
    path = folder / "x_uncal.fits"
    write_exposure(path, read_out(scene), config)
    Predictor().predict(path, folder / "out")
    prediction, [ramp] = open_prediction(folder / "out"), open_exposure(path)
    [*flagged, _] = write_products(prediction)
    ours = fit_integration(integration_of(prediction, ramp, 0))
    blind = integration_of(replace(prediction, events=[]), ramp, 0)
    maps = dict(blind.maps)
    maps["best_significance"] = np.zeros(ramp.shape[1:])
    maps["neighbour_noise"] = maps["noise"]
    none = fit_integration(blind._replace(maps=maps))
    found = {"events ignored": (none.rate, none.error), "ohana": (ours.rate, ours.error)}
    if flagged and find_spec("jwst"):
        found |= by_jwst(flagged[0], maps, config, folder)
    true = np.zeros(ramp.shape[1:]) + config.sky + config.dark_current
    return found, true / config.gain, truth_of(scene)


def by_jwst(flagged: Path, maps, config, folder: Path):
    """Run the ramp fit of the JWST pipeline with different flags."""
    from jwst.jump import JumpStep
    from jwst.ramp_fitting import RampFitStep
    from stdatamodels.jwst import datamodels

    noise = np.sqrt(2) * config.read_noise / config.gain
    values = {"gain": config.gain, "readnoise": noise}
    for name, kind in (("gain", datamodels.GainModel), ("readnoise", datamodels.ReadnoiseModel)):
        model = kind(data=np.full((2048, 2048), values[name], np.float32))
        model.meta.subarray.xstart = model.meta.subarray.ystart = 1
        model.meta.subarray.xsize = model.meta.subarray.ysize = 2048
        model.meta.instrument.name, model.meta.instrument.detector = "NIRCAM", "NRCA1"
        model.meta.telescope = "JWST"
        model.save(folder / f"{name}.fits")

    def run(step, model):
        step.override_gain = str(folder / "gain.fits")
        step.override_readnoise = str(folder / "readnoise.fits")
        return step.process(model)

    ours = datamodels.open(flagged)
    bare = ours.copy()
    reads = np.arange(config.reads)[:, None, None]
    bare.groupdq[:], bare.pixeldq[:] = np.where(reads >= maps["stop"], 2, 0)[None], 0
    jumps = run(JumpStep(expand_large_events=True), bare.copy())
    chains = {"jwst, no flags": bare, "jwst, jump step": jumps, "jwst, flags by ohana": ours}
    fits = {name: run(RampFitStep(), model)[0] for name, model in chains.items()}
    return {name: (image.data, image.err) for name, image in fits.items()}


def table(found, true, truth) -> str:
    """Compare rates with the truth, in pixels of each kind that have a rate by every method."""
    kinds = {label: np.zeros(true.shape, bool) for label in Label}
    for event in truth.events:
        seen = event.footprint if event.label != Label.TELEGRAPH_NOISE else slice(None)
        kinds[event.label][event.rows[seen], event.cols[seen]] = True
        kinds[Label.BACKGROUND][event.rows, event.cols] = True
    kinds[Label.BACKGROUND] = ~kinds[Label.BACKGROUND]
    border = truth.config.border
    known = np.zeros(true.shape, bool)
    known[border : len(true) - border, border : true.shape[1] - border] = True
    for rate, error in found.values():
        known &= np.isfinite(rate) & (rate != 0) & (error > 0)
    rows = [
        ("pixels", "number", "rates", "bias [DN/s]", "RMS [DN/s]", "bias [sigma]", "RMS [sigma]")
    ]
    for label, where in kinds.items():
        where = where & known
        if label == Label.COSMIC_RAY:
            where &= ~kinds[Label.SNOWBALL] & ~kinds[Label.TELEGRAPH_NOISE]
        for name, (rate, error) in found.items():
            off = (rate - true)[where].astype(float)
            sigma = off / error[where]
            numbers = (off.mean(), np.sqrt(np.mean(off**2)))
            scaled = (sigma.mean(), np.sqrt(np.mean(sigma**2)))
            rows.append(
                (label.key.replace("_", " "), f"{where.sum()}", name)
                + tuple(f"{value:+.4f}" for value in numbers)
                + tuple(f"{value:+.2f}" for value in scaled)
            )
    return columns(rows)


def main() -> None:
    """Print one table for each case."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seed", type=int, default=1)
    seed = options.parse_args().seed
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    for name, config in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            found, true, truth = measure(config, seed, Path(folder))
        print(f"{name}\n{table(found, true, truth)}\n", flush=True)


if __name__ == "__main__":
    main()
