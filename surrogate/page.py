"""A report as one HTML file: no script, nothing from elsewhere, light and dark."""

from surrogate.charts import calibration, scatter
from surrogate.report import LEVELS, Report


def render(report: Report) -> str:
    """Return the whole page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("surrogate", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    said = report.predictions
    curves = {
        "conformal": [each.conformal for each in report.coverages],
        "spread": [each.spread for each in report.coverages],
    }
    return environment.get_template("report.html.jinja").render(
        report=report,
        scatter=Markup(scatter(said.mean_N, *said.intervals[0.9], said.accuracy_N)),
        calibration=Markup(calibration(LEVELS, curves)),
    )
