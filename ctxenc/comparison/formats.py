"""Tables for other programs: Markdown, LaTeX, CSV and JSON."""

import csv
import io
import json
from collections.abc import Sequence

from ctxenc.comparison import terminal
from ctxenc.comparison.tables import Cell, Table
from ctxenc.errors import printable

FORMATS = ("table", "md", "latex", "csv", "json")


def render(tables: Sequence[Table], form: str) -> str:
    """All tables in one of `FORMATS`."""
    forms = {"table": terminal.text, "md": _markdown, "latex": _latex, "csv": _csv, "json": _json}
    return forms[form](tables)


def _markdown(tables: Sequence[Table]) -> str:
    lines = []
    for table in tables:
        lines += [f"### {_md(table.title)}", ""]
        lines += [f"**{_md(table.answer)}**", ""] if table.answer else []
        lines += [line for note in table.notes for line in (_md(note), "")]
        columns = table.visible()
        rows = [
            [_md(column.title) for column, _ in columns],
            ["---:" if column.number else "---" for column, _ in columns],
            *zip(*([_md(cell.text) for cell in cells] for _, cells in columns), strict=True),
        ]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        lines.append("")
    return "\n".join(lines).rstrip()


def _md(text: str) -> str:
    """Text that Markdown shows as it is."""
    escaped = "".join(f"\\{c}" if c in "\\|`*_<>[]" else c for c in printable(text))
    return escaped.replace("&", "&amp;")


def _csv(tables: Sequence[Table]) -> str:
    """One CSV for all tables: ``table`` tells them apart, columns that one lacks are blank."""
    keys = list(dict.fromkeys(column.key for table in tables for column in table.columns))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(printable, ["table", *keys]))
    for table in tables:
        for row in table.values():
            values = [table.title, *map(row.get, keys)]
            writer.writerow(printable(v) if isinstance(v, str) else v for v in values)
    return file.getvalue().rstrip("\n")


def _json(tables: Sequence[Table]) -> str:
    found = [
        {"key": t.key, "title": t.title, "answer": t.answer, "notes": list(t.notes)}
        | {"rows": t.values()}
        for t in tables
    ]
    return json.dumps({"tables": found}, indent=2, allow_nan=False)


LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {c: f"\\{c}" for c in "&%$#_{}"}
LATEX |= {"±": r"$\pm$", "−": "$-$", "≈": r"$\approx$", "×": r"$\times$", "λ": r"$\lambda$"}


def _latex(tables: Sequence[Table]) -> str:
    r"""With the best of each metric in bold, for ``\usepackage{booktabs}``."""
    lines = ["% \\usepackage{booktabs}"]
    for table in tables:
        if table.key == "trouble":
            continue
        columns = table.visible()
        heads = [_tex(column.title) for column, _ in columns]
        rows = zip(*([_tex_cell(cell) for cell in cells] for _, cells in columns), strict=True)
        lines += [
            *("", r"\begin{table}", r"\centering", rf"\caption{{{_tex(table.title)}}}"),
            rf"\begin{{tabular}}{{{''.join('r' if c.number else 'l' for c, _ in columns)}}}",
            *(r"\toprule", rf"{' & '.join(heads)} \\", r"\midrule"),
            *(rf"{' & '.join(row)} \\" for row in rows),
            *(r"\bottomrule", r"\end{tabular}", r"\end{table}"),
        ]
    return "\n".join(lines)


def _tex_cell(cell: Cell) -> str:
    return rf"\textbf{{{_tex(cell.text)}}}" if cell.best else _tex(cell.text)


def _tex(text: str) -> str:
    """Text that LaTeX shows as it is."""
    return "".join(LATEX.get(c, c) for c in printable(text))
