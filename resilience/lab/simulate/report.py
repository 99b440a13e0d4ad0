"""One HTML file with everything: tables, verdicts and plots; nothing is fetched.

Text comes from scenarios and policies, which others may have written: jinja2 escapes
all of it, and no script is part of the page.
"""

import base64
from importlib import resources

from jinja2 import Environment, StrictUndefined

from .columns import columns
from .outcome import Simulation
from .plots import METRICS, png


def html(found: Simulation) -> str:
    """The report of *found*; the same text for the same runs."""
    text = (
        resources.files("resilience.lab.simulate")
        .joinpath("report.html.j2")
        .read_text("utf-8")
    )
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = columns(found.scenario)
    rows = [
        {
            "policy": row.policy,
            "topology": row.topology,
            "load": f"{row.load:g}",
            "is_ours": row.runs[0].is_ours,
            "cells": [
                {
                    "mean": column.text(row.mean[column.key]),
                    "worst": column.text(row.worst[column.key]),
                }
                for column in shown
            ],
        }
        for row in found.rows
    ]
    plots = [
        {
            "title": metric.title,
            "data": base64.b64encode(png(found, metric)).decode("ascii"),
        }
        for metric in METRICS
    ]
    return environment.from_string(text).render(
        found=found,
        scenario=found.scenario,
        columns=shown,
        rows=[] if found.safe else rows,
        safe=[
            {
                "policy": one.policy,
                "topology": one.topology,
                "safe": f"{one.safe:.1%}",
                "recoveries": ", ".join(
                    f"{load:.1%}: {'never' if worst is None else f'{worst:.1f} s'}"
                    for load, worst in one.recoveries
                ),
            }
            for one in found.safe
        ],
        plots=plots,
        seeds=sorted({run.seed for run in found.runs}),
    )
