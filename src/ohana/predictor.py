"""Public entry point: `Predictor` runs the pipeline on exposures with fixed settings."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ohana.config import DetectorConfig
from ohana.config_file import load_config
from ohana.errors import OhanaError
from ohana.extras import make_extras

if TYPE_CHECKING:
    from ohana.network.model_file import Network
    from ohana.results.summary import Summary
    from ohana.utils.progress import Progress

log = logging.getLogger("ohana")


class Predictor:
    """Find the events of exposures.

    Parameters
    ----------
    model_path : str or Path, optional
        Model file of a network to use besides the rules, or ``"pretrained"`` for the one that
        ships with the package; rules alone if absent.
    config : DetectorConfig, str or Path, optional
        Settings, a YAML file with settings, or the name of a preset. With a network,
        ``network_precision`` is resolved for this machine if it is ``auto``.

    Raises
    ------
    OhanaError
        A file cannot be used, or this machine does not support the precision in the settings.

    Examples
    --------
    >>> Predictor(config="sensitive").config.cosmic_ray_min_intensity
    0.0
    """

    def __init__(
        self,
        model_path: str | Path | None = None,
        config: DetectorConfig | str | Path | None = None,
    ) -> None:
        self.model_path = model_path
        self.network = None if model_path is None else load_model(model_path)
        self.config = config if isinstance(config, DetectorConfig) else load_config(config)
        if self.network is not None:
            self.config = with_precision(self.config)

    def predict(
        self,
        path: str | Path,
        output_dir: str | Path = "prediction_outputs",
        *,
        processed: bool = True,
        report: bool = False,
        catalogues: Sequence[str] = (),
        products: bool = False,
        progress: Progress | None = None,
    ) -> Summary:
        """Find the events of one exposure and write mask, catalogue and per-pixel features.

        Parameters
        ----------
        path : str or Path
            A file, or a folder of TIFF frames.
        output_dir : str or Path
            Folder for the results, made if it is not there.
        processed : bool
            Write the corrected cube too: 4 bytes per pixel and read.
        report : bool
            Write ``report.html`` too: the events in a browser.
        catalogues : sequence of str
            Write the catalogue in other formats too: ``ecsv``, ``parquet``, ``regions``.
        products : bool
            Write the flags of all reads and the rates without events too, as FITS: see
            `ohana.products.write_products`.
        progress : callable, optional
            Called with the name of a stage, the parts done and the parts in all.

        Returns
        -------
        Summary
            What was found and written.

        Raises
        ------
        OhanaError
            The input is no ramp, or the results cannot be written.

        Notes
        -----
        Results are complete before catalogues, products and page are made from them. If one of
        these fails, a warning is logged and the reason is in ``Summary.failed``.
        """
        from ohana.export.formats import remove_catalogues
        from ohana.pipeline import predict  # compiled kernels: only when there is work

        remove_catalogues(Path(output_dir))
        summary = predict(
            Path(path),
            Path(output_dir),
            self.config,
            processed=processed,
            progress=progress,
            network=self.network,
        )
        wanted = {"catalogues": catalogues, "products": products, "report": report}
        made = make_extras(summary.folder, summary.folder, wanted, progress)
        for kind, reason in made.failed.items():
            log.warning(f"{summary.folder}: no {kind}: {reason}")
        return replace(summary, files=(*summary.files, *made.files), failed=made.failed)


def with_precision(config: DetectorConfig) -> DetectorConfig:
    """Replace the precision ``auto`` by that of this machine, so that settings define results.

    Raises
    ------
    OhanaError
        The device does not support the precision of the settings.
    """
    from ohana.network.device import running_on  # torch: only with a network

    precision = running_on(config.network_precision).precision
    return config.model_copy(update={"network_precision": precision})


def load_model(path: str | Path) -> Network:
    """Load the network of a model file, or the one that ships with the package.

    Raises
    ------
    OhanaError
        The file is not a model of this package, or PyTorch or safetensors are missing.
    """
    try:
        from ohana.network.model_file import load_network
    except ImportError as error:
        raise OhanaError(
            f'model {path}: wanted PyTorch and safetensors (pip install "ohana[unet]"), '
            f"got: {error}"
        ) from error
    return load_network(path)
