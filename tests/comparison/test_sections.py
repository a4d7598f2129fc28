import statistics

import pytest

from ctxenc.comparison import comparison_table, sections
from ctxenc.comparison.records import load
from ctxenc.errors import UserError
from tests.fake_runs import RANDOM, damage, fake_run


def compared(folder, **options):
    return sections.compare(load([folder]), **options)


def ranking(section):
    return [run.label for run in section.runs]


def test_runs_with_other_masks_or_images_are_never_ranked_together(tmp_path):
    fake_run(tmp_path / "a", 15)
    fake_run(tmp_path / "b", 16)
    fake_run(tmp_path / "c", 19, masks="others", **RANDOM)
    fake_run(tmp_path / "d", 20, images="others")
    first, *rest = compared(tmp_path).sections
    assert ranking(first) == ["b", "a"]
    assert first.baseline.label == "a"
    assert first.title == "40 validation images of photos at 32 px, mask=center"
    notes = {ranking(section)[0]: " ".join(section.notes) for section in rest}
    assert "the validation masks differ" in notes["c"]
    assert "the validation images differ" in notes["d"]
    assert "mask=random" in next(s.title for s in rest if ranking(s) == ["c"])
    assert all(section.baseline.label == ranking(section)[0] for section in rest)
    named = compared(tmp_path, baseline="b").sections
    assert [s.baseline and s.baseline.label for s in named] == ["b", None, None]


def test_only_keys_that_decide_on_the_test_are_in_the_titles(tmp_path):
    fake_run(tmp_path / "a", mask_channel=False, overlap=0.0)
    fake_run(tmp_path / "b", mask_channel=True, overlap=0.0625, masks="others")
    titles = [section.title for section in compared(tmp_path).sections]
    assert [title.split("px, ")[1] for title in titles] == [
        "mask=center, overlap=0",
        "mask=center, overlap=0.0625",
    ]


def test_the_order_is_that_of_the_key(tmp_path):
    for name, psnr, seed in (("x", 15, 10), ("y", 17, 2), ("z", 16, 1)):
        fake_run(tmp_path / name, psnr, seed=seed)

    def order(**options):
        (section,) = compared(tmp_path, group_by=(), **options).sections
        return "".join(ranking(section))

    assert order() == "yzx"
    assert order(sort="-psnr_db") == "xzy"
    assert order(sort="l1_percent") == "yzx"  # less is better, and it is 30 - PSNR
    assert order(sort="best.ssim") == "yzx"
    assert order(sort="seed") == "zyx"
    assert order(sort="run") == "xyz"
    assert order(top=2) == "yz"
    assert order(filters=["seed=1e1"]) == "x"
    assert order(filters=["mask=center", "state=finished", "seed=2"]) == "y"
    assert compared(tmp_path, group_by=(), top=1).sections[0].hidden == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sort": "psnr"}, "did you mean psnr_db"),
        ({"sort": "swd"}, "no validation has it; expected test.swd"),
        ({"sort": "-fid"}, "no validation has it; expected test.fid"),
        ({"sort": "best.kid"}, "did you mean test.kid"),
        ({"filters": ["lpips<1"]}, "no validation has it$"),
        ({"filters": ["sed=1"]}, "did you mean seed"),
        ({"filters": ["seed"]}, "KEY=VALUE"),
        ({"filters": ["seed=9"]}, "none of the 2 runs"),
        ({"filters": ["test.psnr_db>1"]}, "not filtered by test figures.*--sort test.psnr_db"),
        ({"baseline": "c"}, "no such run"),
        ({"baseline": "b"}, "no figures"),
        ({"top": 0}, "at least 1"),
        ({"top": 0, "group_by": ["seed"]}, "at least 1"),
        ({"group_by": ["psnr_db"]}, "no such key"),
    ],
)
def test_what_cannot_be_asked_is_a_user_error(tmp_path, options, message):
    fake_run(tmp_path / "a")
    damage(fake_run(tmp_path / "b", state="failed"), "summary.json", None)
    with pytest.raises(UserError, match=message):
        compared(tmp_path, **options)


@pytest.mark.parametrize("sort", ["label_accuracy", "test.swd", "probe.linear", "best.sharpness"])
def test_what_runs_could_have_is_a_key_though_none_of_these_has_it(tmp_path, sort):
    fake_run(tmp_path / "a")
    assert compared(tmp_path, sort=sort).found == 1


def test_groups_are_the_runs_that_are_the_same_but_for_the_key(tmp_path):
    psnrs = {0: (15.0, 16.0, 18.0), 1e-2: (14.0,)}
    for weight, values in psnrs.items():
        for seed, psnr in enumerate(values):
            where = tmp_path / f"{weight}-{seed}"
            fake_run(where, psnr, lambda_adv=weight, seed=seed, num_workers=seed)
    fake_run(tmp_path / "failed", 1.0, state="failed", lambda_adv=1e-2, seed=9)
    table, _ = comparison_table.tables(compared(tmp_path, group_by=["seed"]))
    first, second = table.values()
    assert first["validation.last.psnr_db"] == pytest.approx(statistics.mean(psnrs[0]))
    assert first["validation.last.psnr_db.sd"] == pytest.approx(statistics.stdev(psnrs[0]))
    assert (first["n"], first["values"]) == (3, "0, 1, 2")
    means = [second[f"validation.last.psnr_db{end}"] for end in ("", ".sd")]
    assert (*means, second["n"]) == (14.0, None, 1)
    assert table.rows[1]["n"].text == "1 (of 2)"


def test_the_runs_that_others_began_with_are_called_as_in_the_table(tmp_path):
    """By what labels are, or by the last part of a path elsewhere; CSV and JSON have it all."""
    source = tmp_path / "sweep" / "0-lambda_adv=0,mask=center"
    fake_run(source, 15)
    for name, value in {"tuned": f"{source}@30", "other": "/else/where/run@5"}.items():
        for seed in (0, 1):
            fake_run(tmp_path / f"{name}-{seed}", 16, seed=seed, init_from=value)
    called = {"null", "sweep/0-lambda_adv=0,mask=center@30", "run@5"}
    (table, *_) = comparison_table.tables(compared(tmp_path, group_by=()))
    assert [column.key for column in table.columns][:3] == ["run", "seed", "init_from"]
    assert {row["init_from"].text for row in table.rows} == called
    assert {row["init_from"].value for row in table.rows} == {
        *("null", f"{source}@30", "/else/where/run@5")
    }
    (groups, *_) = comparison_table.tables(compared(tmp_path, group_by=["seed"]))
    assert {(row["init_from"].text, row["n"].text) for row in groups.rows} == {
        *(("null", "1"), ("sweep/0-lambda_adv=0,mask=center@30", "2"), ("run@5", "2"))
    }
    (groups, *_) = comparison_table.tables(compared(tmp_path, group_by=["init_from"]))
    assert "sweep/0-lambda_adv=0,mask=center@30" in groups.rows[0]["values"].text
    for text in ("run@5", "/else/where/run@5"):
        (section,) = compared(tmp_path, filters=[f"init_from={text}"]).sections
        assert sorted(ranking(section)) == ["other-0", "other-1"]
