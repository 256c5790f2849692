"""Public entry for figures and movies: `ResultVisualizer`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ohana.classes import label_of
from ohana.report.figures.canvas import new_figure, save_figure
from ohana.report.figures.event_panel import event_figure
from ohana.report.figures.event_plots import draw_ramp
from ohana.report.figures.full_frame import draw_full_frame
from ohana.report.figures.gallery import gallery_figure, pick_events
from ohana.report.figures.health import health_figure
from ohana.report.figures.movie import write_movie
from ohana.report.figures.summary_page import summary_figure
from ohana.results.catalogue import Detection
from ohana.results.prediction import Prediction, open_prediction, prediction_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class ResultVisualizer:
    """Figures and movies of the results of one exposure.

    Every method returns its figure, which belongs to no window: nothing is shown, and no state
    of ``pyplot`` is touched. Rows, columns and reads count from 0, and are those of the raw
    exposure. Reads stay on disk; only what is drawn is loaded.

    `from_folder` opens a folder of ``ohana-predict``, with its noise, saturation, times of reads
    and settings. The first argument here is a corrected cube.

    Parameters
    ----------
    processed : ndarray, shape (T - 1, H, W), or path of a ``.npy`` file
        Corrected reads 1 to T - 1 [DN] (``EXPOSURE_processed.npy``); a file is memory-mapped.
    detections : list of dict, or path of a ``detections.json``
        The events.

    Attributes
    ----------
    prediction : `ohana.results.prediction.Prediction`
        The results shown.

    Examples
    --------
    >>> import numpy as np
    >>> from ohana import ResultVisualizer
    >>> reads = np.random.default_rng(0).normal(0, 5, (19, 32, 32)).astype(np.float32)
    >>> visualizer = ResultVisualizer(reads, [])
    >>> figure = visualizer.plot_full_frame()
    >>> figure.axes[0].get_title()
    'exposure: nothing found'
    """

    def __init__(
        self, processed: np.ndarray | str | Path, detections: Sequence[Detection] | str | Path
    ) -> None:
        self.prediction: Prediction = prediction_of(processed, detections)

    @classmethod
    def from_folder(cls, folder: str | Path) -> ResultVisualizer:
        """Open the output folder of one exposure.

        Parameters
        ----------
        folder : str or Path
            Written by ``ohana-predict`` or `ohana.Predictor`.

        Raises
        ------
        OhanaError
            It holds no prediction, or there are no reads.
        """
        visualizer = cls.__new__(cls)
        visualizer.prediction = open_prediction(folder)
        return visualizer

    def select(
        self,
        types: str | Sequence[str] | None = None,
        min_confidence: float = 0.0,
        integration: int | None = None,
    ) -> list[tuple[int, Detection]]:
        """Return events of some classes, each with its place in the catalogue.

        Parameters
        ----------
        types : str or sequence of str, optional
            Names of classes (``"rtn"`` will do for telegraph noise); all if absent.
        min_confidence : float
            Minimum confidence, 0 to 1.
        integration : int, optional
            Only this integration.
        """
        names = [types] if isinstance(types, str) else types
        keys = None if names is None else {label_of(name).key for name in names}
        return [
            (number, event)
            for number, event in enumerate(self.prediction.events)
            if (keys is None or event["type"] in keys)
            and event["confidence"] >= min_confidence
            and integration in (None, event["integration"])
        ]

    def plot_full_frame(
        self,
        *,
        types: str | Sequence[str] | None = None,
        min_confidence: float = 0.0,
        integration: int = 0,
        image: str = "last",
        ax: Axes | None = None,
        save: str | Path | None = None,
    ) -> Figure:
        """Draw the whole detector, with the mask and a mark for every event.

        Parameters
        ----------
        types, min_confidence
            Events to mark, see `select`.
        integration : int
            Integration of the exposure.
        image : str
            ``"last"``: last read less first, which shows the events; ``"rate"``: count rates
            without steps.
        ax : matplotlib.axes.Axes, optional
            Where to draw, instead of a new figure.
        save : str or Path, optional
            File to write too; its extension sets the format.
        """
        axes = ax or new_figure(9, 8.2).add_subplot()
        events = [event for _, event in self.select(types, min_confidence, integration)]
        draw_full_frame(axes, self.prediction, events, integration, image)
        return _finished(axes, save)

    def plot_event(
        self, event: int | Detection, *, radius: int | None = None, save: str | Path | None = None
    ) -> Figure:
        """Draw one event: before, after, difference, mask, and a ramp with its fit.

        For a snowball also its radial profile and growth. Telegraph noise is shown in its low and
        high level instead of before and after.

        Parameters
        ----------
        event : int or dict
            Its place in the catalogue, or its entry.
        radius : int, optional
            Half the side of the cut-outs [pixel]; set by the event if absent.
        save : str or Path, optional
            File to write too.
        """
        number, entry = self._entry(event)
        figure = event_figure(self.prediction, entry, number, radius)
        save_figure(figure, save)
        return figure

    def plot_ramp(
        self,
        event: int | Detection,
        pixel: tuple[int, int] | None = None,
        *,
        ax: Axes | None = None,
        save: str | Path | None = None,
    ) -> Figure:
        """Draw the ramp of one pixel of an event, and the fit: steps, or levels.

        Parameters
        ----------
        event : int or dict
            Its place in the catalogue, or its entry.
        pixel : tuple of int, optional
            Row and column; the strongest pixel if absent.
        ax : matplotlib.axes.Axes, optional
            Where to draw, instead of a new figure.
        save : str or Path, optional
            File to write too.
        """
        axes = ax or new_figure(8, 4).add_subplot()
        _, entry = self._entry(event)
        row, col = pixel or entry["position"]
        draw_ramp(axes, self.prediction, entry, row, col)
        return _finished(axes, save)

    def plot_all_detections(
        self,
        max_plots: int = 20,
        types: str | Sequence[str] | None = None,
        min_confidence: float = 0.0,
        save: str | Path | None = None,
    ) -> list[Figure]:
        """Draw events one by one as `plot_event` does, the most significant first.

        Parameters
        ----------
        max_plots : int
            Maximum number of figures.
        types, min_confidence
            Events to draw, see `select`.
        save : str or Path, optional
            Folder for one PNG file each, named after place in the catalogue and class.

        Returns
        -------
        list of Figure
            Empty if there is no such event.
        """
        events = pick_events(self.select(types, min_confidence), "strongest", max_plots)
        return [
            self.plot_event(
                number,
                save=save and Path(save) / f"event_{number:05d}_{event['type']}.png",
            )
            for number, event in events
        ]

    def plot_gallery(
        self,
        pick: str = "strongest",
        count: int = 20,
        *,
        types: str | Sequence[str] | None = None,
        min_confidence: float = 0.0,
        save: str | Path | None = None,
    ) -> Figure:
        """Draw many events on one page.

        Parameters
        ----------
        pick : str
            ``"strongest"``, ``"faintest"`` (by significance) or ``"least certain"``.
        count : int
            Maximum number of events.
        types, min_confidence
            Events to choose from, see `select`.
        save : str or Path, optional
            File to write too.
        """
        events = self.select(types, min_confidence)
        picked = pick_events(events, pick, count)
        which = f"the {len(picked)} {pick} of {len(events)} events" if events else "no event"
        figure = gallery_figure(self.prediction, picked, f"{self.prediction.name}: {which}")
        save_figure(figure, save)
        return figure

    def plot_summary(
        self,
        *,
        types: str | Sequence[str] | None = None,
        min_confidence: float = 0.0,
        save: str | Path | None = None,
    ) -> Figure:
        """Draw counts, distributions, events per read, their map and the telegraph-noise plane.

        Parameters
        ----------
        types, min_confidence
            Events to include, see `select`.
        save : str or Path, optional
            File to write too.
        """
        events = [event for _, event in self.select(types, min_confidence)]
        figure = summary_figure(self.prediction, events)
        save_figure(figure, save)
        return figure

    def plot_health(self, *, integration: int = 0, save: str | Path | None = None) -> Figure:
        """Draw what was measured of the reads, and how many pixels step at each.

        Parameters
        ----------
        integration : int
            Integration of the exposure.
        save : str or Path, optional
            File to write too.
        """
        figure = health_figure(self.prediction, integration)
        save_figure(figure, save)
        return figure

    def create_event_movie(
        self,
        y: int,
        x: int,
        output_path: str | Path,
        *,
        radius: int = 12,
        fps: float = 8.0,
        reads: slice | None = None,
        integration: int = 0,
    ) -> Path:
        """Write a movie: the surroundings of a pixel read by read, beside its ramp.

        Parameters
        ----------
        y, x : int
            Row and column; an event that contains this pixel is outlined and its fit drawn.
        output_path : str or Path
            Ending ``.gif`` or ``.webp``; or ``.mp4``, which needs ffmpeg.
        radius : int
            Half the side of the window [pixel].
        fps : float
            Reads per second.
        reads : slice, optional
            Raw reads; 60 around the first read of the event if absent.
        integration : int
            Integration of the exposure.

        Returns
        -------
        Path
            The movie.

        Raises
        ------
        OhanaError
            Unknown extension, ffmpeg is missing, or the file cannot be written.
        """
        given = Path(output_path), radius, fps, reads, integration
        return write_movie(self.prediction, y, x, *given)

    def _entry(self, event: int | Detection) -> tuple[int | None, Detection]:
        """Return place and entry of an event."""
        events = self.prediction.events
        if isinstance(event, dict):
            return (events.index(event) if event in events else None), event
        if not 0 <= event < len(events):
            raise ValueError(f"event: wanted 0 to {len(events) - 1}, got {event}")
        return int(event), events[event]


def _finished(axes: Axes, save: str | Path | None) -> Figure:
    """Save the figure of some axes, if wanted, and return it."""
    figure: Figure = axes.get_figure(root=True)  # type: ignore[assignment]
    save_figure(figure, save)
    return figure
