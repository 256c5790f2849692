"""The published entry point: `Predictor` runs the pipeline on exposures with fixed settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ohana.config import DetectorConfig
from ohana.config_file import load_config
from ohana.errors import OhanaError

if TYPE_CHECKING:
    from ohana.cli.progress import Progress
    from ohana.pipeline import Summary


class Predictor:
    """Find the events of exposures.

    Parameters
    ----------
    model_path : str or Path, optional
        Weights of a network. Not part of this version: only None (rules alone) is accepted.
    config : DetectorConfig, str or Path, optional
        Settings, a YAML file with settings, or the name of a preset.

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
        if model_path is not None:
            raise OhanaError(
                f"model {model_path}: networks are not part of this version; "
                "leave the model out to find events by rules"
            )
        self.config = config if isinstance(config, DetectorConfig) else load_config(config)

    def predict(
        self,
        path: str | Path,
        output_dir: str | Path = "prediction_outputs",
        *,
        processed: bool = True,
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
        """
        from ohana.pipeline import predict  # compiled kernels: only when there is work

        return predict(
            Path(path), Path(output_dir), self.config, processed=processed, progress=progress
        )
