"""The published sweep: compared from its archive, it says what docs/results.md says."""

from pathlib import Path

import pytest

from ctxenc.comparison import comparison_table, paired, sections
from ctxenc.comparison.records import load

DOCS = Path(__file__).parents[2] / "docs"
MASKS = ("center", "random", "blocks", "region", "freeform")
FIGURES = ("psnr_db", "l1_percent", "ssim", "sharpness", "swd")


@pytest.fixture(scope="module")
def compared():
    return sections.compare(load([DOCS / "tradeoff"]))


def test_its_table_is_that_of_the_results(compared):
    rows = []
    for section, table in zip(compared.sections, comparison_table.tables(compared), strict=True):
        assert [len(group.draws) for group in section.groups] == [3, 3, 3]
        for row in sorted(table.rows, key=lambda row: row["lambda_adv"].value):
            cells = [row[f"test.{name}"] for name in FIGURES]
            texts = [f"**{cell.text}**" if cell.best else cell.text for cell in cells]
            mask = section.runs[0].settings.values["mask"]
            rows.append([mask, row["lambda_adv"].text, *texts])
    lines = (DOCS / "results.md").read_text().splitlines()
    begin = lines.index("| mask | λ_adv | PSNR dB | L1 % | SSIM | sharpness | SWD |") + 2
    published = [[c.strip() for c in line.split("|")[1:-1]] for line in lines[begin : begin + 15]]
    for place, row in enumerate(published):
        row[0] = row[0] or published[place - 1][0]
    assert published == rows
    assert list(dict.fromkeys(row[0] for row in published)) == list(MASKS)


def test_it_has_paired_differences_without_the_images(compared):
    tables, (left_out,) = paired.tables(compared)
    assert [len(table.rows) for table in tables] == [2] * 5
    assert "no per_image.csv" in left_out
    (row,) = [row for row in tables[0].values() if row["run"] == "lambda_adv=0.01"]
    assert row["test.difference.psnr_db.low"] < -0.61 < row["test.difference.psnr_db.high"]


def test_it_is_small_and_says_nothing_of_the_machine(compared):
    files = [file for file in (DOCS / "tradeoff").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 3e6
    for run in compared.ranked:
        assert run.settings.values["dataset.data_dir"] == "DATA"
        (given,) = [text for text in run.overrides if text.startswith("dataset.data_dir=")]
        assert given.removeprefix("dataset.data_dir=").strip("'") == "DATA"
