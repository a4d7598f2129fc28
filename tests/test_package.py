"""What is promised of the repository itself: the wheel, the README."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import ctxenc
from ctxenc.config import schema
from ctxenc.config.search_path import choices
from tests.tiny import TINY

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_wheel_carries_its_configuration(tmp_path):
    build_wheel = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build_wheel, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-m", "ctxenc.train"]
    where = [sys.executable, "-c", "import ctxenc; print(ctxenc.__file__)"]
    run = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    assert str(tmp_path) in subprocess.run(where, check=True, **run).stdout
    assert "mask=random" in subprocess.run([*command, "--help"], check=True, **run).stdout
    done = subprocess.run([*command, *TINY, "max_steps=1"], check=False, **run)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parents[2] == tmp_path


def test_the_notebook_lines_of_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (lines,) = [block for block in blocks("python") if "ctxenc.run(" in block]
    real, given = ctxenc.run, []

    def small(*overrides):
        given.extend(overrides)
        return real(*overrides, *TINY, "max_steps=2")

    monkeypatch.setattr(ctxenc, "run", small, raising=False)
    exec("\n".join([*lines.splitlines()[:-1], f"result = {lines.splitlines()[-1]}"]), found := {})
    assert given
    assert 0 < found["result"] < 100


def test_the_parts_of_ones_own_that_the_readme_adds(tmp_path):
    """Through YAML and the command line, as the README has them."""
    (code,) = [block for block in blocks("python") if block.startswith("# my_parts.py")]
    (tmp_path / "my_parts.py").write_text(code)
    for block in blocks("yaml"):
        first, _, content = block.partition("\n")
        file = tmp_path / first.removeprefix("# ")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (commands,) = [block for block in blocks("bash") if "my_parts" in block and "export" in block]
    small = "image_size=16 batch_size=16 dataset.count=100 num_img=3 max_steps=4 eval_every=2"
    sized = f"mask_height=8 mask_width=8 {small}"
    shell = commands.replace("lambda_r1=1\n", f"lambda_r1=1 {sized} | tee run.txt\n")
    shell = shell.replace("RUN", '"$(tail -n 1 run.txt)"').replace("python ", f"{sys.executable} ")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", shell],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "grey" in done.stdout
    run = Path((tmp_path / "run.txt").read_text().strip())
    without = {k: v for k, v in environment.items() if k != "CTXENC_PLUGINS"}
    again = subprocess.run(
        [sys.executable, "-m", "ctxenc.evaluate", str(run)],
        cwd=tmp_path,
        env=without,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 1
    (line,) = again.stderr.splitlines()
    assert "not run from a saved folder" in line
    assert "CTXENC_PLUGINS=my_parts" in line


def test_the_readmes_map_names_what_is_there():
    map_ = README.split("## Where everything is")[1].split("```")[1]
    named = set(re.findall(r"(\w+\.py)", map_))
    there = {p.name for p in (ROOT / "ctxenc").glob("*.py")} - {
        "__init__.py",
        "errors.py",
        "cli.py",
    }
    assert named == there
    rooms = [file.parent.name for file in (ROOT / "ctxenc").glob("*/__init__.py")]
    for folder in (*rooms, *schema.groups(), "experiment"):
        assert f"{folder}/" in map_


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_the_readmes_links_lead_somewhere(link):
    assert (ROOT / link).exists()


def test_the_readmes_commands_name_keys_and_choices_that_exist():
    for group, values in re.findall(r"\b(dataset|mask|loss|model)=([a-z0-9_,]+)", README):
        for value in values.split(","):
            assert value in {*choices(group), "corner", "stripes", "flat", "huber"}


def test_each_promise_names_tests_that_exist():
    promises = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[^`]*|…[^`]*)`", promises)
    text = ""
    for name in named:
        file, _, test = name.partition("::")
        text = text if file == "…" else (ROOT / file).read_text(encoding="utf-8")
        assert not test or f"\ndef {test}(" in text, name
    assert len(named) > 50
