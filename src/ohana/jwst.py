"""A step for the JWST pipeline: ``ohana.jwst.OhanaStep``, in place of the jump step or after it.

Needs the extra: ``pip install "ohana[jwst]"``. No reference file is read and nothing is fetched.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

from ohana import __version__
from ohana.arrays import Anomalies, find_in_ramp
from ohana.config import DetectorConfig
from ohana.predictor import load_model
from ohana.products.flags import group_flags, pixel_flags
from ohana.ramp import Ramp
from ohana.read.array import planes_of_array
from ohana.read.detector import Found, gather, read_times
from ohana.read.jwst import defaults, pixel_quality

try:
    from jwst.stpipe import Step
    from stdatamodels.jwst import datamodels
except ImportError as error:
    raise ImportError(
        f'ohana.jwst: wanted the JWST pipeline (pip install "ohana[jwst]"), got: {error}'
    ) from error

__all__ = ["OhanaStep"]

log = logging.getLogger("stpipe.ohana")

#: Settings that are about files, of which a step has none, or about other detectors.
NO_PARAMETERS = (
    "dataset",
    "detectors_side_by_side",
    "detector_index",
    "polarity",
    "read_order",
)
#: FITS keyword of a detector property -> its place in a data model.
HEADER = {
    "INSTRUME": "meta.instrument.name",
    "DETECTOR": "meta.instrument.detector",
    "SUBSTRT1": "meta.subarray.xstart",
    "SUBSTRT2": "meta.subarray.ystart",
    "SUBSIZE1": "meta.subarray.xsize",
    "SUBSIZE2": "meta.subarray.ysize",
    "FASTAXIS": "meta.subarray.fastaxis",
    "SLOWAXIS": "meta.subarray.slowaxis",
    "NFRAMES": "meta.exposure.nframes",
    "GROUPGAP": "meta.exposure.groupgap",
    "TFRAME": "meta.exposure.frame_time",
    "TGROUP": "meta.exposure.group_time",
    "NOUTPUTS": "meta.exposure.noutputs",
}


def parameters() -> str:
    """Return the settings of `ohana.DetectorConfig` as the parameters of a step.

    Examples
    --------
    >>> [line] = [line for line in parameters().splitlines() if line.startswith("gain")]
    >>> line
    'gain = float(default=None) # Gain [e-/DN]'
    """
    lines = []
    for name, field in DetectorConfig.model_fields.items():
        if name in NO_PARAMETERS:
            continue
        unit = field.json_schema_extra["unit"]  # type: ignore[index, call-overload]
        about = f"{field.description}{f' [{unit}]' if unit else ''}"
        lines.append(f"{name} = {_kind(field.annotation, field.default)} # {about}")
    lines.append("model = string(default=None) # Network besides the rules, a file or `pretrained`")
    return "\n".join(lines)


def _kind(annotation: Any, default: Any) -> str:
    """Return a parameter of one type; limits are checked by the settings, with better messages."""
    if isinstance(default, tuple):
        return f"float_list(min=2, max=2, default=list({', '.join(map(str, default))}))"
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(kind for kind in get_args(annotation) if kind is not type(None))
    if get_origin(annotation) is Literal:
        annotation = str
    if get_origin(annotation) is tuple:
        return "int_list(min=4, max=4, default=None)"
    names = {bool: "boolean", int: "integer", float: "float", str: "string"}
    return f"{names[annotation]}(default={default})"


class OhanaStep(Step):
    """Find cosmic rays, snowballs and telegraph noise in a ramp, and flag them.

    GROUPDQ gets JUMP_DET where a step of charge leads to a group and SATURATED in the cores of
    snowballs, PIXELDQ gets TELEGRAPH. Reads are not changed. It belongs where the jump step
    stands, after ``linearity`` and ``dark_current``; its parameters are the settings of
    `ohana.DetectorConfig`.

    Attributes
    ----------
    events : list of dict
        The catalogue of the last exposure, see `ohana.results.catalogue.Detection`; the model that
        is returned has it as ``ohana.events``. With ``save_results`` it is also written beside the
        product, with the ending ``.json``.
    """

    spec = parameters()
    class_alias = "ohana"
    reference_file_types: list[str] = []

    def default_suffix(self) -> str:
        """Return the suffix of the product's name."""
        return "ohana"

    def process(self, step_input: Any) -> Any:
        """Flag the events of an exposure.

        Parameters
        ----------
        step_input : str or RampModel
            The ramps.

        Returns
        -------
        RampModel
            With its flags set.
        """
        result = self.prepare_output(step_input, open_as_type=datamodels.RampModel)
        network = load_model(self.model) if self.model else None
        names = [name for name in DetectorConfig.model_fields if name not in NO_PARAMETERS]
        config = DetectorConfig(**{name: getattr(self, name) for name in names})
        self.events: list[Any] = []
        for integration, ramp in enumerate(ramps_of_model(result, config)):
            found = find_in_ramp(ramp, config, network)
            flag_integration(result, integration, found)
            self.events += found.events
        counts = Counter(event["type"] for event in self.events)
        log.info("found %s", ", ".join(f"{n} {kind}" for kind, n in counts.items()) or "nothing")
        result.ohana = {"version": __version__, "events": self.events}
        result.meta.cal_step.jump = "COMPLETE"
        if self.save_results:
            path = Path(self.make_output_path(suffix="ohana", ext=".json"))
            path.write_text(json.dumps(self.events, allow_nan=False), "utf-8")
        return result


def ramps_of_model(model: Any, config: DetectorConfig) -> list[Ramp]:
    """Return the integrations of a ``RampModel``, without a copy of its arrays.

    Parameters
    ----------
    model : RampModel
        ``data`` (N, T, H, W), ``groupdq`` and ``pixeldq``.
    config : DetectorConfig
        Its values for the detector override the model.
    """
    header = {key: value for key, name in HEADER.items() if (value := _get(model, name))}
    shape = model.data.shape
    default, notes = defaults(header, shape[2:])
    steps = model.meta.cal_step
    saturated = steps.saturation == "COMPLETE" or bool((model.groupdq & 2).any())
    if not saturated and steps.superbias != "COMPLETE":
        default |= _rail()
    bad, suspect = pixel_quality(model.pixeldq)
    ramps = []
    for integration in range(shape[0]):
        planes = planes_of_array(model.data[integration])
        flags = model.groupdq[integration]
        facts, more = gather([header], config, planes, default=default)
        ramps.append(
            Ramp(
                name=str(model.meta.filename),
                source=Path(str(model.meta.filename)),
                planes=planes,
                times=read_times(shape[1], facts),
                facts=facts,
                flags=planes_of_array(flags) if flags.any() else None,
                bad_pixels=bad,
                suspect=suspect,
                integration=integration,
                reference_done=steps.refpix == "COMPLETE",
                notes=(*notes, *more),
            )
        )
    return ramps


def _rail() -> Found:
    """Return the largest value of the converter, for uncorrected reads."""
    return {"saturation": (65535.0, "default (rail of the 16-bit converter)")}


def _get(model: Any, name: str) -> Any:
    """Return the value at a place like ``meta.instrument.name`` of a data model, or None."""
    for part in name.split("."):
        model = getattr(model, part, None)
    return model


def flag_integration(model: Any, integration: int, found: Anomalies) -> None:
    """Set the flags of one integration of a ``RampModel``, in place."""
    groups = group_flags(found.jumps, found.saturated_from, found.shape[0], found.given)
    for group, flags in enumerate(groups):
        model.groupdq[integration, group] |= flags
    model.pixeldq |= pixel_flags(found.events, np.zeros(found.shape[1:]))
