"""The page of a comparison as a file: what it holds, and what it is made from."""

import base64
import io
import json
import os
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from ctxenc.comparison import comparison_table, page, sections
from ctxenc.comparison.page import curves, links, relations, samples
from ctxenc.comparison.records import load, read
from ctxenc.report import grids
from tests.comparison.page.runs import fill
from tests.fake_runs import damage, fake_run, fake_samples
from tests.programs import program


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("runs"))


def made(folder, **options):
    found = sections.compare(load([folder]), **options)
    return page.html(found, comparison_table.tables(found), folder)


@pytest.mark.parametrize("captioned", [True, False])  # of earlier versions they are not
def test_the_strips_of_a_grid_are_its_images_at_their_own_size(tmp_path, captioned):
    run = fake_run(tmp_path / "run")
    fake_samples(run, shade=-1.0, captioned=captioned)
    strips = samples.last_strips(read(run.path, "run"))
    rows = []
    for row in (strips.real, strips.masked, strips.filled):
        data = base64.b64decode(samples.uri(row).removeprefix("data:image/webp;base64,"))
        rows.append(np.asarray(Image.open(io.BytesIO(data))).astype(int))
    assert {tuple(np.flatnonzero(row[0, :, 3] == 0)) for row in rows} == {(32, 33, 66, 67)}  # gaps
    rows = [row[..., :3] for row in rows]
    real, masked, filled = rows
    assert {row.shape for row in rows} == {(32, 3 * 32 + 2 * 2, 3)}  # without the grid's scale
    images = np.random.default_rng(0).uniform(-1, 1, (3, 32, 32, 3))
    expected = np.round((images + 1) * 127.5)
    for i in range(3):
        left = i * 34
        assert np.abs(real[:, left : left + 32] - expected[i]).max() <= 1
        assert (masked[8:24, left + 8 : left + 24] == 255).all()
        assert (filled[8:24, left + 8 : left + 24] == 0).all()
    assert strips.step == 100


def test_large_images_are_not_enlarged_and_odd_pictures_are_left_out(tmp_path):
    run = fake_run(tmp_path / "run")
    file = run.samples / "0000200.png"
    file.parent.mkdir()
    misplaced = Image.new("RGB", (300, 300))
    misplaced.info[grids.PLACE] = "20 20 10 ten"
    for content in (b"\x89PNG\r\n\x1a\n", b"", Image.new("RGB", (7, 9)), misplaced):
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            grids.save(file, content)
        assert samples.last_strips(read(run.path, "run")) is None
    fake_samples(run)  # an earlier step's, which is whole
    assert samples.last_strips(read(run.path, "run")).step == 100


def test_curves_are_thinned_to_means_and_keep_the_last_test(tmp_path):
    run = fake_run(tmp_path)
    damage(run, "metrics.jsonl", "")
    for step in range(1, 101):
        run.append_metrics({"split": "train", "step": step, "generator_loss": float(step)})
        run.append_metrics(
            {"split": "validation", "step": step, "psnr_db": step, "ssim": "damaged"}
        )
    series = curves.series(read(run.path, "run"), 10)
    found = {kind: {k: v.tolist() for k, v in of.items()} for kind, of in series.items()}
    assert found["train"]["step"] == [10 * i for i in range(1, 11)]
    assert found["train"]["generator_loss"] == [10 * i - 4.5 for i in range(1, 11)]
    assert found["tests"]["step"][-1] == found["tests"]["psnr_db"][-1] == 100
    assert len(found["tests"]["step"]) <= 11
    assert "ssim" not in found["tests"]


def test_a_run_whose_lines_cannot_be_read_has_no_curves_and_the_page_is_made(tmp_path, caplog):
    fake_run(tmp_path / "a", seed=1)
    damage(fake_run(tmp_path / "b", seed=2), "metrics.jsonl", None)
    (tmp_path / "b" / "metrics.jsonl").mkdir()
    os.truncate(fake_run(tmp_path / "d", seed=4).path / "metrics.jsonl", 2**40)
    assert curves.series(read(tmp_path / "b", "b"), 10) == {"tests": {}, "train": {}}
    assert ">validation PSNR dB</option>" in made(tmp_path)
    assert caplog.text.count("d/metrics.jsonl") == 1


def test_the_values_of_a_key_are_by_size_though_one_is_none():
    values = [0.5, "null", 0.25, 1e-05, None, 10]
    axis = relations.Dimension("overlap", "overlap", values, [None] * 6)
    assert relations._ordered(axis) == ["1e-05", "0.25", "0.5", "10", "none", "null"]


def test_settings_and_axes_that_are_not_drawn_are_said(tmp_path, monkeypatch):
    keys = ("gamma_1", "gamma_2", "gamma_3", "gamma_4", "gamma_5", "<b>")
    for number in range(4):
        fake_run(tmp_path / f"{number}", 15.0 + number, **dict.fromkeys(keys, number))
    said = (" more, further down in the table, have no line here.", "Without an axis here: ")
    monkeypatch.setattr(relations, "MOST_AXES", 12)
    assert not any(text in made(tmp_path) for text in said)
    monkeypatch.setattr(relations, "MOST_AXES", 10)
    monkeypatch.setattr(relations, "MOST_LINES", 3)
    html = made(tmp_path)
    assert f">1{said[0]}<" in html
    assert f">{said[1]}&lt;b&gt;.<" in html


def test_a_command_makes_the_run_again_as_far_as_it_was_resumed(tmp_path):
    overrides = ["max_steps=10", "mask=random", "name=it's"]
    run = fake_run(tmp_path, overrides=overrides, max_steps=50)
    expected = "python -m ctxenc.train mask=random 'name=it'\"'\"'s' max_steps=50"
    assert links.command(read(run.path, "run")) == expected


def test_a_command_names_the_step_of_the_weights_that_the_run_began_with(tmp_path):
    run = fake_run(tmp_path, overrides=["init_from='/a,b'", "seed=1"], init_from="/a,b@30")
    expected = "python -m ctxenc.train seed=1 init_from=/a,b@30"
    assert links.command(read(run.path, "run")) == expected
    run = fake_run(tmp_path / "fresh", overrides=["init_from=null"], init_from=None)
    assert links.command(read(run.path, "run")) == "python -m ctxenc.train init_from=null"


def test_a_command_begins_with_the_file_that_the_run_began_with(tmp_path):
    run = fake_run(tmp_path, overrides=["seed=1"])
    run.write_config(run.config, ["seed=1"], "train")
    assert links.command(read(run.path, "run")) == "python -m ctxenc.train seed=1"
    run.write_config(run.config, ["seed=1"], "rates")
    expected = "python -m ctxenc.train --config-dir DIR --config-name rates seed=1"
    assert links.command(read(run.path, "run")) == expected
    for damaged in ("{", "[1]", "hydra:", "hydra: {job: {config_name: [x]}}", "hydra: {}"):
        damage(run, ".hydra/hydra.yaml", damaged)
        assert links.command(read(run.path, "run")) == "python -m ctxenc.train seed=1"


class Links(HTMLParser):
    """What a page's elements refer to, and how many scripts would run."""

    def __init__(self, html):
        super().__init__()
        self.found, self.scripts = [], 0
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.found += [given[name] for name in ("src", "href", "srcset", "action") if name in given]
        self.scripts += tag == "script" and given.get("type") != "application/json"
        assert not any(name.startswith("on") for name in given)


def test_the_page_refers_to_nothing_outside_and_holds_two_scripts(folder):
    html = made(folder)
    parsed = Links(html)
    assert len(parsed.found) > 5
    starts = ("data:image/webp;base64,", "#", "./")
    assert all(link.startswith(starts) for link in parsed.found)
    files = [
        unquote(link, errors="surrogateescape") for link in parsed.found if link.startswith("./")
    ]
    assert "./0/evaluation/test" in files
    assert [file for file in files if not (folder / file).exists()] == []
    assert parsed.scripts == 2
    style = html[html.index("<style>") : html.index("</style>")]
    assert all(at.startswith("data:") for at in re.findall(r"url\([\"']?(.{5})", style))
    assert "@import" not in style
    assert json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])


def test_the_program_writes_the_page_and_prints_its_path(folder, tmp_path):
    file = tmp_path / "new" / "page.html"
    assert program("compare", folder, "--html", file) == f"{file}\n"
    assert [f.name for f in file.parent.iterdir()] == ["page.html"]
    assert json.loads(program("compare", folder, "--html", file, "--format=json"))["tables"]


def test_the_split_is_said_above_columns_curves_and_samples(folder, tmp_path):
    html = made(folder)
    for words in ("training, on validation images", "evaluation, on test images"):
        assert f"<span>{words}</span>" in html
    assert ">validation PSNR dB</option>" in html
    assert "The same validation images and holes" in html
    assert "validation PSNR 15.00 dB · step 100" in html
    fake_samples(fake_run(tmp_path / "older", split="test"))
    html = made(tmp_path)
    assert "<span>training, on test images</span>" in html
    assert ">test PSNR dB</option>" in html
    assert "The same test images and holes" in html
    assert "there was a validation split" in html


def test_what_hides_nothing_is_not_called_masked(tmp_path):
    fake_samples(fake_run(tmp_path / "whole"), hidden=False)
    html = made(tmp_path)
    assert "The same validation images for all rows" in html
    assert "<div>given</div>" in html
    assert "<div>masked</div>" not in html
    fake_samples(fake_run(tmp_path / "whole"))
    assert "<div>masked</div>" in made(tmp_path)


def test_groups_have_a_page_too(folder):
    html = made(folder, group_by=["seed"])
    assert "Mean ± standard deviation over seed" in html
