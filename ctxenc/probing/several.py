"""Many runs with one command: each probed once, settings averaged over their seeds."""

import functools
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from ctxenc.comparison import groups, records
from ctxenc.config.compose import compose
from ctxenc.evaluation.evaluate import check_name
from ctxenc.evaluation.load import overridden
from ctxenc.evaluation.several import each
from ctxenc.metrics import bootstrap
from ctxenc.probing.folder import Probe
from ctxenc.probing.labelled import KEYS
from ctxenc.probing.probe import probe
from ctxenc.report import probes


def probe_all(folders: Sequence[str], *, force: bool = False, **asked: Any) -> bool:
    """Probe every run at or below the folders, and show what their encoders have learned.

    As `ctxenc.evaluation.several.evaluate_all`: a run that has been probed so is left as it is, and
    one that fails stops no other. What stands beside the runs is judged once for all.

    Args:
        folders: of runs, of sweeps, or of those.
        force: probe also those that have been.
        asked: arguments of `probe`, the same for all runs.

    Returns:
        Whether every run has been probed.

    Raises:
        UserError: bad input that is no single run's.
    """
    check_name(asked["name"])
    overridden(compose(), asked["overrides"], KEYS)
    runs = records.load(folders)
    once = functools.partial(probe, **asked)
    done = each(runs, once, "probed", probes.verdict, force=force)
    tables: dict[str, list[tuple[str, list[Probe]]]] = {}
    by = groups.usual(list(done))
    settings = groups.grouped(list(done), by)
    for setting, name in zip(settings, groups.names(settings, by), strict=True):
        of = [done[run] for run in setting.draws.values() or setting.runs]
        tables.setdefault(probes.described(of[0].metrics), []).append((name, of))
    for title, rows in tables.items():
        figures = {
            name: {row: over_seeds(of, row) for row in ("model", "random", "pixels")}
            for name, of in rows
        }
        probes.show_runs(title, figures, {name: len(of) for name, of in rows})
    print(f"{len(done)} of {len(runs)} runs probed")
    print("to compare them: python -m ctxenc.compare", shlex.join(folders))
    return len(done) == len(runs)


def over_seeds(of: Sequence[Probe], row: str) -> dict[str, bootstrap.Figure]:
    """A row's figures by method, of probes on the same images that differ in the seed alone.

    Of one probe they are its own, with an interval over test images.
    """
    if len(of) == 1:
        found: dict[str, bootstrap.Figure] = of[0].metrics["rows"].get(row, {})
        return found
    hits = [probe.per_image(row) for probe in of]
    figures = {}
    for name in [n for n in hits[0] if all(n in others for others in hits)]:
        table = np.stack([columns[name] for columns in hits], axis=1)
        samples = np.vstack([bootstrap.means(table), bootstrap.resampled_means(table)]).T
        figures[name.rpartition(".")[2]] = bootstrap.over_seeds(samples)
    return figures
