"""Health of an exposure as a figure and on the page."""

import json
from dataclasses import replace

import numpy as np
import pytest
from report_pages import READS, small_prediction
from test_report_page import block

from ohana import ResultVisualizer
from ohana.report.figures.health import health_figure
from ohana.report.page.build import write_report
from ohana.report.page.run_details import sections

ENTRY = {
    "integration": 0,
    "rises": 9,
    "falls": 2,
    "decoys": 1,
    "decoys_by_noise": 0.25,
    "pixels_in_events": 0.0123,
    "suspect_pixels": 7,
    "reads": {
        "rises": [0] * (READS - 1) + [9],
        "falls": [0] * (READS - 1) + [2],
        "light [%]": [None, *np.linspace(0, 3, READS - 1).tolist()],
    },
    "not_searched": [{"read": 4, "reason": "flash"}],
    "missing": ["read 7: 64 rows are zero"],
    "warnings": ["12 % of all pixels step in read 3: not believable"],
}


@pytest.fixture
def prediction(tmp_path):
    return replace(small_prediction(tmp_path / "x"), run={"health": [ENTRY]})


def test_figure(prediction, tmp_path):
    figure = health_figure(prediction)
    figure.draw_without_rendering()
    steps, light = figure.axes
    assert light.get_ylabel() == "light\n[%]"
    assert np.isnan(light.lines[0].get_ydata()[0])
    labels = [text.get_text() for text in steps.get_legend().get_texts()]
    assert labels == ["rises", "falls", "not searched"]
    look = ResultVisualizer.__new__(ResultVisualizer)
    look.prediction = prediction
    look.plot_health(save=tmp_path / "health.png")
    assert (tmp_path / "health.png").stat().st_size > 10_000


def test_figure_without_a_record(prediction):
    for empty in (health_figure(replace(prediction, run={})), health_figure(prediction, 1)):
        [axes] = empty.axes
        assert "no health" in axes.texts[0].get_text()


def test_section(prediction):
    [health] = [part for part in sections(prediction) if part["title"] == "Health"]
    assert health["rows"] == [
        ["warning", "12 % of all pixels step in read 3: not believable"],
        ["pixels that rise, fall", "9, 2"],
        ["falls like events", "1 (0.25 by noise)"],
        ["pixels in events", "1.23 %"],
        ["pixels flagged, but used", "7"],
        ["read 4 not searched", "flash"],
        ["missing", "read 7: 64 rows are zero"],
    ]
    several = replace(prediction, run={"health": [ENTRY, ENTRY | {"integration": 1}]})
    [health] = [part for part in sections(several) if part["title"] == "Health"]
    assert [row[0] for row in health["rows"] if row[0].startswith("warning")] == [
        "warning (0)",
        "warning (1)",
    ]


def test_reads_that_are_left_out_for_one_reason_are_one_row(prediction):
    left = [{"read": read, "reason": "flash"} for read in (3, 4, 5, 9)]
    left += [{"read": 7, "reason": "unsettled"}]
    told = replace(prediction, run={"health": [ENTRY | {"not_searched": left}]})
    [health] = [part for part in sections(told) if part["title"] == "Health"]
    assert health["rows"][5:7] == [
        ["reads 3-5, 9 not searched", "flash"],
        ["read 7 not searched", "unsettled"],
    ]


def facts_of(prediction, path):
    return json.loads(block(write_report(prediction, path).read_text("utf-8"), "facts"))


def test_page(prediction, tmp_path):
    facts = facts_of(prediction, tmp_path / "with.html")
    assert facts["warnings"] == ENTRY["warnings"]
    assert facts["health"].startswith("data:image/png;base64,")
    assert len(facts["health"]) > 5_000
    without = facts_of(replace(prediction, run={}), tmp_path / "without.html")
    assert (without["warnings"], without["health"]) == ([], None)


def test_page_of_several_integrations(prediction, tmp_path, monkeypatch):
    drawn, other = [], ENTRY | {"integration": 1, "warnings": ["first", "second"]}

    def draw(prediction, integration):
        drawn.append(health_figure(prediction, integration))
        return drawn[0]

    monkeypatch.setattr("ohana.report.figures.health.health_figure", draw)
    several = replace(prediction, run={"health": [ENTRY, other]})
    told = facts_of(several, tmp_path / "r.html")["warnings"]
    assert told == [
        f"integration 0: {ENTRY['warnings'][0]}",
        "integration 1: first",
        "integration 1: second",
    ]
    # That with most warnings.
    assert drawn[0].get_suptitle() == f"{prediction.name}, integration 1: health of the reads"
