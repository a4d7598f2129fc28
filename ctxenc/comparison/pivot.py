"""One metric by two keys, as ``--pivot mask lambda_adv``: rows of the one, columns of the other."""

from collections.abc import Mapping, Sequence

from ctxenc.comparison import figures, settings
from ctxenc.comparison.groups import Group
from ctxenc.comparison.probed import PREFIX
from ctxenc.comparison.records import Record, order
from ctxenc.comparison.sections import Comparison, Section, check_key
from ctxenc.comparison.tables import Cell, Column, Row, Table, shared_decimals, spread, with_best
from ctxenc.errors import UserError
from ctxenc.metrics.registry import METRICS

Places = Sequence[tuple[str, str]]  # a row's value and a column's
Cells = Mapping[tuple[str, str], tuple[Section, Group]]


def pivot(comparison: Comparison, keys: tuple[str, str], name: str) -> Table:
    """Mean ± standard deviation over the finished runs that have both values.

    Args:
        comparison: its sections' groups are what is averaged over: a cell of two settings would
            hide what tells them apart.
        keys: of the configuration, for the rows and for the columns.
        name: a metric of the last validation; as ``test.psnr_db``, of the test split, and as
            ``best.psnr_db``, of the best validation.

    Raises:
        UserError: a key or metric that no run has, or settings that share a cell.
    """
    records = [run for section in comparison.sections for run in section.runs]
    for key in keys:
        check_key(key, records, "--pivot", sorts=False)
    if figures.metric_of(name) not in METRICS:
        raise UserError(
            f"--metric={name}: expected one of {', '.join(METRICS)}, or as test.psnr_db"
        )
    cells = _gathered(comparison, keys)
    rows, columns = (
        sorted({place[i] for place in cells}, key=lambda text: order(settings.typed(key, text)))
        for i, key in enumerate(keys)
    )
    places = [[(row, column) for column in columns] for row in rows]
    values = {place: _values(*cells[place], name) for place in cells}
    decimals = shared_decimals(figures.metric_of(name), values.values())
    found = {p: spread(figures.metric_of(name), of_p, decimals) for p, of_p in values.items()}
    if not any(cell.text for cell in found.values()):
        raise UserError(f"--metric={name}: no finished run has it")
    found |= {place: Cell() for row in places for place in row if place not in cells}
    lines = [list(cells)] if len(comparison.sections) == 1 else places
    if any(_differ(cells, line) for line in lines):
        lines = [list(line) for line in zip(*places, strict=True)]
    for line in lines:
        if not _differ(cells, line):
            marked = with_best([found[place] for place in line], figures.metric_of(name))
            found |= dict(zip(line, marked, strict=True))
    over = {key: None for section in comparison.sections for key in section.by}
    notes = [f"Mean ± standard deviation over {', '.join(over)} of finished runs."] if over else []
    if len(comparison.sections) > 1:
        notes.append("Figures compare only where they were tested on the same masks and images.")
    heads = [Column(keys[0], keys[0]), *(Column(c, f"{keys[1]}={c}", True) for c in columns)]
    made: list[Row] = [
        {keys[0]: Cell.of(line[0][0])} | {column: found[row, column] for row, column in line}
        for line in places
    ]
    split = "test" if name.startswith(("test.", PREFIX)) else comparison.sections[0].split
    title = f"{split} {figures.heading(figures.metric_of(name))}"
    title = f"best {title}" if "best" in name.split(".") else title
    return Table("pivot", title, notes, heads, made)


def _gathered(comparison: Comparison, keys: tuple[str, str]) -> Cells:
    """The one setting of each pair of values, with its section."""
    cells: dict[tuple[str, str], tuple[Section, Group]] = {}
    for section in comparison.sections:
        for group in section.groups:
            place = _place(group.runs[0], keys)
            if place in cells:
                raise UserError(
                    f"--pivot {' '.join(keys)}: two settings with {keys[0]}={place[0]} and "
                    f"{keys[1]}={place[1]} differ in {_told_apart(cells[place][1], group, keys)}; "
                    "expected one: --filter or --group-by leaves one"
                )
            cells[place] = section, group
    return cells


def _place(run: Record, keys: tuple[str, str]) -> tuple[str, str]:
    row, column = (run.shown(key, run.settings.values.get(key, "")) for key in keys)
    return row, column


def _told_apart(one: Group, other: Group, keys: tuple[str, str]) -> str:
    pair = [group.runs[0].settings for group in (one, other)]
    found = [key for key in settings.differing(pair) if key not in keys]
    return ", ".join(found[:4]) or "what they were tested on"


def _differ(cells: Cells, line: Places) -> bool:
    return len({id(cells[place][0]) for place in line if place in cells}) > 1


def _values(section: Section, group: Group, name: str) -> list[float]:
    of_each = [section.value(run, name) for run in group.draws.values()]
    return [value for value in of_each if value is not None]
