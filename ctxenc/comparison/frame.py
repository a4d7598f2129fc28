"""Runs as a pandas table: ``ctxenc.runs("experiments")``."""

import os
from typing import TYPE_CHECKING, Any

from ctxenc.comparison import evaluated, records, settings

if TYPE_CHECKING:
    import pandas as pd


def runs(*folders: str | os.PathLike[str]) -> "pd.DataFrame":
    """Every run at or below the folders, a row each, by its path below what they share.

    Columns are ``run`` (a `ctxenc.Run`), ``state``, ``problem`` (what is missing or wrong),
    ``step`` and ``seconds``; the keys of the configurations, numbers as numbers; and figures, as
    ``validation.last.psnr_db``, ``validation.best.psnr_db``, of runs that were evaluated
    ``test.psnr_db``, and of those that were probed ``probe.linear``. What a run does not have is
    missing. Figures compare where ``masks`` and ``images`` are the same, those of the test split
    where ``test.masks`` and ``test.images`` are, and a probe's where ``probe.on`` is::

        table = ctxenc.runs("experiments")
        table.groupby(["mask", "lambda_adv"])["test.psnr_db"].agg(["mean", "std", "count"])

    Raises:
        UserError: a folder that is not there or cannot be read, or no run below any of them.
    """
    import pandas as pd  # slow to import

    found = records.load(folders)
    rows = {record.label: _row(record) for record in found}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("label")


def _row(record: records.Record) -> dict[str, Any]:
    own = {"run": record.run, "state": record.state, "problem": record.problem}
    own |= {"step": record.step, "seconds": record.seconds}
    keys = {k: settings.typed(k, value) for k, value in record.settings.values.items()}
    figures: dict[str, Any] = {}
    if record.tested_on is not None:
        split, masks, images = record.tested_on
        figures |= {"masks": masks, "images": images}
        for of, values in (("last", record.last), ("best", record.best)):
            figures |= {f"{split}.{of}.{name}": value for name, value in values.items()}
    if record.probed is not None:
        figures |= {"probe.on": " ".join(record.probed.on), **record.probed.figures}
    for test in evaluated.tests([record]).shown.values():
        figures |= {"test.masks": test.on[0], "test.images": test.on[1]}
        figures |= {f"test.{name}": value for name, value in test.figures.items()}
    return own | keys | figures
