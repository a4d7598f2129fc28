"""Which key matters: how much worse a random forest predicts a metric without it.

Permutation importance (Breiman, "Random Forests", 2001), by scikit-learn: a key's values are
shuffled among runs that the forest has not seen, and what it then explains less of the metric's
variance is the key's importance. It says what matters within the values that were tried.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ctxenc.comparison import figures, groups, settings
from ctxenc.comparison.records import Record, order
from ctxenc.comparison.sections import Comparison, Section
from ctxenc.comparison.tables import Cell, Column, Row, Table

FEWEST_RUNS = 10  # for each key
LEAST_EXPLAINED = 0.3  # of the variance of unseen runs: below, the forest knows too little
FOLDS, REPEATS, TREES = 5, 5, 50


def tables(comparison: Comparison, metric: str) -> list[Table]:
    """One for each section with something to tell apart."""
    found = [
        _table(section, metric, f"importance-{number}")
        for number, section in enumerate(comparison.sections)
    ]
    return [table for table in found if table is not None]


def why_none(comparison: Comparison, metric: str) -> str:
    """Why there are no tables."""
    if any(run.state == "finished" and metric in run.last for run in comparison.ranked):
        return "fewer than two keys differ"
    return (
        f"no finished run has a validation with {metric}; expected --sort by one of "
        f"{', '.join(figures.OF_VALIDATION)}"
    )


def _table(section: Section, metric: str, key: str) -> Table | None:
    """The keys of a section by how much of a metric's variance they explain.

    None where fewer than two keys differ, and so there is nothing to tell apart.
    """
    runs = [run for run in section.runs if run.state == "finished" and metric in run.last]
    differing = settings.differing([run.settings for run in runs])
    keys = _tops(groups.decisive(differing, (*section.by, groups.SEED)))
    if len(keys) < 2:
        return None
    title = f"Which key matters for {section.split} {figures.heading(metric)}"
    columns = (Column("key", "key"), Column("importance", "importance", True))
    needed = FEWEST_RUNS * len(keys)
    if len(runs) < needed:
        few = f"{len(runs)} finished runs, too few to tell {len(keys)} keys apart: expected"
        return Table(key, title, (f"{few} {needed} or more.",), columns, ())
    values = np.array([run.last[metric] for run in runs])
    explained, importances = _importances(_coded(runs, keys), values)
    if not explained >= LEAST_EXPLAINED:
        note = f"These keys explain {max(explained, 0):.0%} of the variance of unseen runs: too "
        return Table(key, title, (f"{note}little to tell which matters.",), columns, ())
    note = (
        f"A random forest explains {explained:.0%} of the variance of runs that it has not seen "
        f"({len(runs)} runs). Importance: how much less, a key's values shuffled; ± standard "
        "deviation over shuffles. Of two keys that always change together, either may get it."
    )
    rows: list[tuple[float, Row]] = []
    for name, shuffled in zip(keys, importances.T, strict=True):
        mean, deviation = float(shuffled.mean()), float(shuffled.std(ddof=1))
        cell = Cell(f"{mean:.2f} ± {deviation:.2f}", mean, (mean - deviation, mean + deviation))
        rows.append((mean, {"key": Cell.of(name), "importance": cell}))
    rows.sort(key=lambda pair: -pair[0])
    return Table(key, title, (note,), columns, [row for _, row in rows])


def _tops(keys: Sequence[str]) -> list[str]:
    """Without the options of a group whose choice differs too: they change with it."""
    return [key for key in keys if "." not in key or key.split(".")[0] not in keys]


def _coded(runs: Sequence[Record], keys: Sequence[str]) -> Float[np.ndarray, "runs keys"]:
    """Values as their ranks: trees split by order alone, and names have none."""
    columns = []
    for key in keys:
        texts = [run.settings.values.get(key, "") for run in runs]
        ranks = sorted(set(texts), key=lambda text: order(settings.typed(key, text)))
        columns.append([ranks.index(text) for text in texts])
    return np.array(columns, float).T


def _importances(
    features: Float[np.ndarray, "runs keys"], values: Float[np.ndarray, " runs"]
) -> tuple[float, Float[np.ndarray, "shuffles keys"]]:
    """(explained variance, its loss by shuffle and key), both of runs left out, mean over folds."""
    from sklearn.ensemble import RandomForestRegressor  # slow to import
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    scores, lost = [], []
    for seen, unseen in KFold(FOLDS, shuffle=True, random_state=0).split(features):
        forest = RandomForestRegressor(TREES, random_state=0).fit(features[seen], values[seen])
        apart = (features[unseen], values[unseen])
        scores.append(forest.score(*apart))
        found = permutation_importance(forest, *apart, n_repeats=REPEATS, random_state=0)
        lost.append(found.importances.T)
    return float(np.mean(scores)), np.mean(lost, axis=0)
