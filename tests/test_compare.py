"""The program, from its command line."""

import csv
import io
import json
import os
import subprocess
import sys

import pytest

from tests.fake_runs import RANDOM, damage, fake_evaluation, fake_run
from tests.programs import started


def ctxenc_compare(*arguments, **environment):
    return started("compare", *arguments, **environment)


RUNS = "--group-by=none"  # a row a run, though their seeds differ


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    for seed in (0, 1):
        for weight in (0.0, 0.01):
            psnr = 15 + seed + 10 * weight
            run = fake_run(folder / f"{seed}-{weight}", psnr, seed=seed, lambda_adv=weight)
            fake_evaluation(run, [psnr, psnr + 1, psnr + 2])
    fake_run(folder / "random", 25.0, masks="others", **RANDOM)
    damage(fake_run(folder / "torn"), "summary.json", '{"last": ')
    failed = fake_run(folder / "failed", state="failed", error="DivergedError: step 7")
    damage(failed, "summary.json", None)
    return folder


def test_the_table_shows_what_differs_and_every_run(sweep):
    done = ctxenc_compare(sweep, RUNS)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("run"))
    head = lines[start].split()
    assert head[:4] == ["run", "seed", "lambda_adv", "PSNR"]
    assert " ".join(head).endswith("status step time test PSNR dB test SSIM")
    names = [line.split()[0] for line in lines[start + 1 : start + 5]]
    assert names == ["1-0.01", "1-0.0", "0-0.01", "0-0.0"]
    changes = ["+1.10", "+1.00", "+0.10", "baseline"]
    assert all(c in line.split() for c, line in zip(changes, lines[start + 1 :], strict=False))
    assert "mask=random" in done.stdout
    assert "the validation masks differ" in done.stdout
    assert "DivergedError: step 7" in done.stdout
    assert "summary.json: not readable as JSON" in done.stdout
    assert "+1.10 [+1.10, +1.10]" in done.stdout


def test_csv_and_json_hold_every_run_once_with_its_figures(sweep):
    rows = list(csv.DictReader(io.StringIO(ctxenc_compare(sweep, RUNS, "--format=csv").stdout)))
    runs = [row for row in rows if row["path"]]
    assert sorted(row["run"] for row in runs) == ["0-0.0", "0-0.01", "1-0.0", "1-0.01", "random"]
    (row,) = [row for row in runs if row["run"] == "1-0.01"]
    assert (row["validation.last.psnr_db"], row["test.psnr_db"]) == ("16.1", "17.1")
    assert not {"psnr_db", "best.psnr_db"} & row.keys()
    found = json.loads(ctxenc_compare(sweep, RUNS, "--format=json").stdout)["tables"]
    by_key = {table["key"]: table["rows"] for table in found}
    validation = [row["validation.last.psnr_db"] for row in by_key["section-0"]]
    assert validation == [16.1, 16.0, 15.1, 15.0]
    assert by_key["section-0"][0]["lambda_adv"] == 0.01
    assert {row["run"] for row in by_key["trouble"]} == {"torn", "failed"}
    assert {row["baseline"] for row in by_key["paired-0"]} == {"0-0.0"}
    assert by_key["paired-0"][0]["test.difference.psnr_db.low"] == pytest.approx(1.1)


def test_markdown_is_one_table_a_section(sweep):
    lines = ctxenc_compare(sweep, RUNS, "--format=md", "--top=1").stdout.splitlines()
    assert lines[0].startswith("### ")
    assert "| run | seed |" not in lines  # a single row has nothing that differs
    widths = {line.count(" | ") for line in lines if line.startswith("|") and "1-0.01" in line}
    assert widths
    assert any("3 more not shown" in line for line in lines)


def test_group_by_shows_mean_and_standard_deviation(sweep):
    out = ctxenc_compare(sweep, "--group-by=seed", "--filter=mask=center", COLUMNS="200").stdout
    row, pair = [line for line in out.splitlines() if line.startswith("lambda_adv=0.01 ")]
    assert pair.split()[:3] == ["lambda_adv=0.01", "2", "+0.10"]  # of two seeds no interval
    assert row.split()[:3] == ["lambda_adv=0.01", "2", "15.60"]
    assert "15.60 ± 0.71" in row
    assert "pooled PSNR" not in out
    assert "pooled PSNR" in ctxenc_compare(sweep, "--group-by=seed", "--all").stdout


def test_only_the_columns_that_were_asked_for_are_shown(sweep):
    options = ("--columns=psnr_pooled_db,seed", "--group-by=none", "--format=md", "--importance")
    done = ctxenc_compare(sweep, *options)
    heads = [line for line in done.stdout.splitlines() if line.startswith("| run |")]
    assert heads[0] == "| run | seed | pooled PSNR dB |"
    assert done.stderr == "ctxenc.compare: --importance: fewer than two keys differ\n"


def test_a_narrow_terminal_has_each_runs_name_and_settings_beside_its_figures(sweep):
    out = ctxenc_compare(sweep, RUNS, COLUMNS="80").stdout
    assert max(map(len, out.splitlines())) <= 80
    assert "Where not said otherwise: seed=" in out
    line = next(line for line in out.splitlines() if line.startswith("1-0.01"))
    assert line.split()[-5:] == ["16.10", "16.60", "+1.10", "0.161", "13.90"]


def test_a_narrow_terminal_has_every_column_whole(sweep):
    out = ctxenc_compare(sweep, RUNS, "--all", COLUMNS="80").stdout
    assert max(map(len, out.splitlines())) <= 80
    wide = ctxenc_compare(sweep, RUNS, "--all").stdout
    figures = [word for word in wide.split() if word.startswith(("[+", "[−", "+", "−"))]
    assert len(figures) > 20
    assert not set(figures) - set(out.split())
    for heading in ("best pooled PSNR dB", "best L1 %", "status"):
        assert heading in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["/nowhere"],
        [".", "--filter=x"],
        ["{}", "--sort=nope"],
        ["{}", "--columns=sharp"],
        ["{}", "--sort=swd"],
        ["{}", "--baseline=nope"],
        ["{}", "--html=/"],
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_a_non_zero_exit(arguments, sweep, tmp_path):
    here = [str(sweep) if a == "{}" else str(tmp_path) if a == "." else a for a in arguments]
    done = ctxenc_compare(*here)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("ctxenc.compare: ")


def test_columns_may_be_of_the_test_split_alone(sweep):
    assert ctxenc_compare(sweep, "--columns=psnr_db,swd").returncode == 0


def test_names_cannot_move_the_cursor_or_break_a_table(tmp_path):
    fake_run(tmp_path / "evil\x1b[2J|name\n<b>", 15.0)
    fake_run(tmp_path / os.fsdecode(b"no text \xff"), 14.0)  # as some archives leave them
    fake_run(tmp_path / "[red]", 13.0, state="[b]漢字", overlap=0.25)
    for form in ("csv", "json", "table", "md"):
        done = ctxenc_compare(tmp_path, f"--format={form}")
        assert done.returncode == 0, done.stderr
        out = done.stdout
        assert "\x1b" not in out
        if form in ("csv", "json"):
            continue
        (line,) = [line for line in out.splitlines() if "evil" in line and ": " not in line]
        assert "15.00" in line
    assert r"\|name \<b\>" in out
    narrow = ctxenc_compare(tmp_path, COLUMNS="80").stdout
    assert "\n[red]  overlap=0.25" in narrow
    assert "[b]漢字" in narrow


def test_two_hundred_runs_take_less_than_five_seconds(tmp_path):
    for number in range(200):
        run = fake_run(tmp_path / f"{number}-seed={number}", 15 + number / 100, seed=number)
        fake_evaluation(run, [15.0 + number / 100 + i for i in range(40)])
    command = [sys.executable, "-m", "ctxenc.compare", str(tmp_path), RUNS]
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    before = os.times()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    after = os.times()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished") == 200
    # Of the processor, so that tests beside this one do not count.
    user = after.children_user - before.children_user
    assert user + after.children_system - before.children_system < 5


def test_it_does_not_wait_for_jax():
    code = "import sys, ctxenc.compare; print([m in sys.modules for m in ('jax', 'plotly')]); "
    code += "import ctxenc.comparison.page; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[False, False]", "False"]
