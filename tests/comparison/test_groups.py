"""Runs put together into settings, the answer in a sentence, and one metric by two keys."""

import numpy as np
import pytest

from ctxenc.comparison import answer, comparison_table, groups, paired, sections
from ctxenc.comparison.filters import Filter
from ctxenc.comparison.formats import render
from ctxenc.comparison.pivot import pivot
from ctxenc.comparison.records import load
from ctxenc.errors import UserError
from tests.fake_runs import RANDOM, damage, fake_evaluation, fake_run


def compared(folder, **options):
    return sections.compare(load([folder]), **options)


def sweep(folder, figures, **same):
    """Runs by (λ, seed) with these PSNRs."""
    for (weight, seed), psnr in figures.items():
        fake_run(folder / f"{weight}-{seed}", psnr, lambda_adv=weight, seed=seed, **same)


def seeds(weight, *psnrs):
    return {(weight, seed): psnr for seed, psnr in enumerate(psnrs)}


def answers(folder, **options):
    found = compared(folder, **options)
    return [answer.sentence(section, "psnr_db") for section in found.sections]


def test_runs_that_differ_in_the_seed_alone_are_one_setting_unless_asked_otherwise(tmp_path):
    sweep(tmp_path, seeds(0.0, 15.0, 16.0) | seeds(0.1, 14.0))
    (section,) = compared(tmp_path).sections
    assert section.by == ("seed",)
    assert [len(group.runs) for group in section.groups] == [2, 1]
    assert groups.names(section.groups, section.by) == ["lambda_adv=0", "lambda_adv=0.1"]
    (alone,) = compared(tmp_path, group_by=()).sections
    assert [len(group.runs) for group in alone.groups] == [1, 1, 1]
    (both,) = compared(tmp_path, group_by=["seed", "lambda_adv"]).sections
    assert [len(group.runs) for group in both.groups] == [3]
    (top,) = compared(tmp_path, top=1).sections
    assert (len(top.groups), top.hidden) == (1, 1)


def test_copies_of_a_run_are_not_two_seeds(tmp_path):
    sweep(tmp_path / "sweep", seeds(0.0, 15.0, 16.0))
    for name in ("a", "b"):
        fake_run(tmp_path / "sweep" / name, 17.0, lambda_adv=0.0, seed=1)
    (table,) = comparison_table.tables(compared(tmp_path))
    (row,) = table.values()
    assert (row["n"], row["validation.last.psnr_db"]) == (2, 15.5)
    assert "2 more that repeat another's seed are left out of the means." in table.notes
    (section,) = compared(tmp_path, filters=["seed=1"]).sections
    assert section.by == ()


def test_groups_are_in_the_order_of_their_means(tmp_path):
    sweep(tmp_path, seeds(0.0, 10.0, 20.0) | seeds(0.1, 16.0, 16.0) | seeds(0.2, 19.0, 1.0))
    (section,) = compared(tmp_path).sections
    assert [g.runs[0].label for g in section.groups] == ["0.1-0", "0.0-0", "0.2-0"]
    (section,) = compared(tmp_path, sort="-lambda_adv").sections
    assert [g.runs[0].label for g in section.groups] == ["0.2-0", "0.1-0", "0.0-0"]


def test_a_lead_within_what_another_seed_changes_is_called_so(tmp_path):
    sweep(tmp_path, seeds(0.0, 15.0, 16.0, 17.0) | seeds(0.1, 15.9, 14.9, 17.0))
    (said,) = answers(tmp_path)
    begin = "Best by validation PSNR: lambda_adv=0. Its lead over lambda_adv=0.1, 0.07 dB,"
    assert said.startswith(f"{begin} is within what another seed changes (3 seeds, 95 % interval −")
    assert said.endswith("; more than 30 seeds would be needed to tell.")


def test_a_lead_that_every_seed_shows_is_called_so(tmp_path):
    sweep(tmp_path, seeds(0.0, 15.0, 16.0, 17.0) | seeds(0.1, 14.0, 15.1, 15.9))
    (said,) = answers(tmp_path)
    assert "Its lead over lambda_adv=0.1, 1.00 dB, is more than another seed changes" in said
    (row,) = [
        row
        for row in comparison_table.tables(compared(tmp_path))[0].values()
        if row["lambda_adv"] == 0.1
    ]
    change = "validation.change.psnr_db"
    assert row[change] == pytest.approx(-1.0)
    half = 4.302653 * np.std([1.0, 0.9, 1.1], ddof=1) / np.sqrt(3)  # t of two degrees of freedom
    assert row[f"{change}.low"] == pytest.approx(-1 - half)
    assert row[f"{change}.high"] == pytest.approx(-1 + half)


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (seeds(0.0, 15.0, 16.0) | seeds(0.1, 14.0, 15.0), "is of 2 seeds, too few to tell"),
        (seeds(0.0, 15.0, 16.0) | seeds(0.1, 14.0), "is of 1 seed, too few to tell"),
        (seeds(0.0, 15.0, 16.0) | {(0.1, 7): 14.0}, "is of no seed that both have"),
        (seeds(0.0, 15.0) | seeds(0.1, 14.0), "is of one run each"),
    ],
    ids=["two", "one", "other seeds", "single runs"],
)
def test_too_few_seeds_never_tell(tmp_path, figures, words):
    sweep(tmp_path, figures)
    (said,) = answers(tmp_path)
    assert words in said
    for table in comparison_table.tables(compared(tmp_path)):
        assert not any(row.get("validation.change.psnr_db.low") for row in table.values())


@pytest.mark.parametrize("sort", ["psnr_db", "-psnr_db", "lambda_adv"])
@pytest.mark.parametrize("top", [1, 2, None])
def test_the_best_is_the_best_of_all_whatever_is_shown(tmp_path, sort, top):
    sweep(tmp_path, seeds(0.0, 14.0, 14.5) | seeds(0.1, 15.0, 15.5) | seeds(0.2, 17.0, 17.5))
    (said,) = answers(tmp_path, sort=sort, top=top)
    assert said.startswith("Best by validation PSNR: lambda_adv=0.2. Its lead over lambda_adv=0.1,")


def test_one_setting_and_runs_asked_for_one_by_one_have_no_answer(tmp_path):
    sweep(tmp_path, seeds(0.0, 15.0, 16.0))
    assert answers(tmp_path) == [""]
    sweep(tmp_path, seeds(0.1, 14.0, 15.0))
    assert answers(tmp_path, group_by=()) == [""]


def evaluated(folder, weight, gain, hard, rng):
    for seed in range(3):
        run = fake_run(folder / f"{weight}-{seed}", 15 + gain, lambda_adv=weight, seed=seed)
        fake_evaluation(run, hard + gain + 0.1 * seed + rng.normal(0, 0.3, len(hard)))


def test_test_figures_are_paired_by_seed_and_image(tmp_path):
    rng = np.random.default_rng(0)
    hard = rng.normal(15, 5, 200)
    for weight, gain in ((0.0, 0.5), (0.1, 0.0), (0.2, 0.5)):
        evaluated(tmp_path, weight, gain, hard, rng)
    (table,), left_out = paired.tables(compared(tmp_path))
    by_name = {row["run"]: row for row in table.values()}
    assert left_out == []
    assert by_name.keys() == {"lambda_adv=0.1", "lambda_adv=0.2"}
    low, high = (by_name["lambda_adv=0.1"][f"test.difference.psnr_db.{e}"] for e in ("low", "high"))
    assert (by_name["lambda_adv=0.1"]["n"], by_name["lambda_adv=0.1"]["images"]) == (3, 200)
    assert -0.8 < low < -0.5 < high < -0.2
    (row,) = [row for row in table.rows if row["run"].text == "lambda_adv=0.2"]
    assert row["test.difference.psnr_db"].text.startswith("≈ ")


def test_a_pivot_has_a_row_and_a_column_for_each_value(tmp_path):
    sweep(tmp_path / "a", seeds(0.0, 15.0, 16.0) | seeds(0.1, 14.0, 15.0))
    sweep(tmp_path / "b", seeds(0.0, 18.0, 18.0) | seeds(0.1, 19.0, 19.0), masks="o", **RANDOM)
    table = pivot(compared(tmp_path), ("mask", "lambda_adv"), "psnr_db")
    assert table.title == "validation PSNR dB"
    (center, random) = table.rows
    assert (center["mask"].text, random["mask"].text) == ("center", "random")
    assert (center["0"].text, center["0.1"].text) == ("15.50 ± 0.71", "14.50 ± 0.71")
    best = [[row[column].best for column in ("0", "0.1")] for row in (center, random)]
    assert best == [[True, False], [False, True]]  # never between masks
    turned = pivot(compared(tmp_path), ("lambda_adv", "mask"), "psnr_db")
    best = [[row[column].best for column in ("center", "random")] for row in turned.rows]
    assert best == [[True, False], [False, True]]


def test_a_pivot_has_numbers_by_size_and_says_which_validation_it_shows(tmp_path):
    values = (0.1, 0.01, None, 0.5, 1e-5, 0.25, 10, 2)
    for number, value in enumerate(values):
        fake_run(tmp_path / str(number), 15.0 + number, overlap=value)
    table = pivot(compared(tmp_path), ("mask", "overlap"), "best.psnr_db")
    titles = [column.title.removeprefix("overlap=") for column in table.columns[1:]]
    assert titles == ["1e-05", "0.01", "0.1", "0.25", "0.5", "2", "10", "null"]
    assert table.title == "best validation PSNR dB"


@pytest.mark.parametrize(
    ("keys", "metric", "message"),
    [
        (("mask", "seed"), "psnr_db", "two settings with mask=center and seed=0 differ in lambda_"),
        (("mask", "lambda_adv"), "psnr", "--metric=psnr: expected one of psnr_db"),
        (("mask", "lambda_adv"), "test.fid", "--metric=test.fid: no finished run has it"),
        (("mask", "lamda"), "psnr_db", "--pivot=lamda: no such key; did you mean lambda_"),
    ],
)
def test_a_pivot_that_cannot_be_made_is_a_user_error(tmp_path, keys, metric, message):
    sweep(tmp_path, seeds(0.0, 15.0, 16.0) | seeds(0.1, 14.0, 15.0))
    with pytest.raises(UserError, match=message):
        pivot(compared(tmp_path), keys, metric)


def test_filters_compare_numbers_and_texts(tmp_path):
    sweep(tmp_path, seeds(0.0, 15.0) | seeds(0.01, 14.0) | seeds(0.1, 13.0))

    def kept(*filters):
        return [run.label for run in compared(tmp_path, filters=filters).ranked]

    assert kept("lambda_adv<0.1", "lambda_adv>=1e-2") == ["0.01-0"]
    assert kept("psnr_db > 13.5") == ["0.0-0", "0.01-0"]
    assert kept("lambda_adv!=1e-1", "mask=center") == ["0.0-0", "0.01-0"]
    assert kept("run!=0.1-0", "lambda_adv<=0") == ["0.0-0"]
    for text, message in (("seed", "expected KEY=VALUE"), ("seed<two", "a number after <")):
        with pytest.raises(UserError, match=message):
            Filter.of(text)


def test_latex_has_the_best_in_bold_and_every_sign_escaped(tmp_path):
    sweep(tmp_path, seeds(0.0, 15.0, 16.0) | seeds(0.1, 14.0, 15.0))
    text = render(comparison_table.tables(compared(tmp_path)), "latex")
    (row,) = [line for line in text.splitlines() if line.startswith(r"lambda\_adv=0 ")]
    assert r"2 & \textbf{15.50 $\pm$ 0.71} & baseline &" in row
    assert row.endswith(r"\\")
    (row,) = [line for line in text.splitlines() if line.startswith(r"lambda\_adv=0.1 ")]
    assert r"& 14.50 $\pm$ 0.71 & $-$1.00 &" in row
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    assert r"L1 \%" in text
    assert not set(text) & set("±−×≈")


def test_runs_without_a_configuration_are_nobodys_copies(tmp_path):
    sweep(tmp_path, seeds(0.0, 15.0, 16.0))
    for name in ("x", "y"):
        damage(fake_run(tmp_path / name, 14.0), ".hydra/config.yaml", None)
    (section,) = compared(tmp_path, group_by=["seed"]).sections
    assert sorted(len(group.runs) for group in section.groups) == [1, 1, 2]
    assert not any(group.repeated for group in section.groups)


def test_means_over_another_key_say_nothing_of_seeds(tmp_path):
    for weight in (0.0, 0.1):
        for height in (8, 16):
            name = f"{weight}-{height}"
            fake_run(tmp_path / name, height + weight, lambda_adv=weight, mask_height=height)
    (said,) = answers(tmp_path, group_by=["lambda_adv"])
    assert said.endswith(
        "is of means over lambda_adv: what another seed would change is not known."
    )


def test_the_lead_of_a_metric_that_should_be_near_1_is_in_nearness(tmp_path):
    for weight, sharpness in ((0.0, 0.9), (0.1, 1.2)):
        for seed in range(3):
            run = fake_run(tmp_path / f"{weight}-{seed}", lambda_adv=weight, seed=seed)
            summary = run.summary
            summary["last"]["sharpness"] = sharpness + 0.01 * seed
            run.write_summary(summary)
    (section,) = compared(tmp_path).sections
    said = answer.sentence(section, "sharpness")
    assert said.startswith("Best by validation sharpness: lambda_adv=0. Its lead over")
    assert "lambda_adv=0.1, 0.12, is more than another seed changes" in said


def test_a_setting_that_shares_no_seed_is_named(tmp_path):
    for weight, chosen in ((0.0, (0, 1)), (0.1, (2, 3))):
        for seed in chosen:
            run = fake_run(tmp_path / f"{weight}-{seed}", lambda_adv=weight, seed=seed)
            fake_evaluation(run, [15.0, 16.0])
    tables, left_out = paired.tables(compared(tmp_path))
    line = "lambda_adv=0.1: not paired, as it shares no run's seed with lambda_adv=0"
    assert (tables, left_out) == ([], [line])
