"""What is measured of a package before it is complete: its errors and its scores."""

import shutil

from zoo.core.files import write_json, write_text
from zoo.package.describe import describe, to_yaml
from zoo.package.document import readme_text
from zoo.package.trained import METRICS, Trained, with_calibration


def calibrated(trained: Trained, current: Trained) -> Trained:
    """Return the package with errors that it can state, measured if it has none.

    Parameters
    ----------
    trained
        Run or package that the weights come from.
    current
        The package, its weights and examples written.
    """
    if trained.calibration or current.recipe.contract.task.uncalibrated() is None:
        return current
    from zoo.evaluate.report import plain
    from zoo.evaluate.uncertainty import measured_calibration

    _write_description(current)
    fields = measured_calibration(current.folder, current.recipe.test_set)
    stated = {name: plain(value.model_dump()) for name, value in fields.items()}
    return with_calibration(current, stated)


def write_metrics(trained: Trained, current: Trained, *, score: bool) -> None:
    """Keep the scores of kept weights, or measure them.

    Parameters
    ----------
    trained, current
        As for `calibrated`.
    score
        Whether to measure what is not known.
    """
    folder = current.folder
    known = trained.folder / METRICS
    unchanged = trained.calibration == current.calibration
    if trained.packaged and known.is_file() and unchanged:
        shutil.copyfile(known, folder / METRICS)
        return
    if not score:
        return
    from zoo.evaluate.report import plain
    from zoo.evaluate.scoring import score_package

    _write_description(current)
    write_json(folder / METRICS, plain(score_package(folder, current.recipe.test_set)))


def _write_description(trained: Trained) -> None:
    """Write what the predictor reads, scores still missing in the card."""
    write_text(trained.folder / "README.md", readme_text(trained))
    write_text(trained.folder / "rdf.yaml", to_yaml(describe(trained)))
