"""What is promised of the repository itself: the wheel, the README and the pages of docs/."""

import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import ctxenc
from ctxenc.config import schema
from ctxenc.config.search_path import choices
from tests import compiling
from tests.programs import program
from tests.tiny import TINY

ROOT = Path(__file__).parents[1]
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))
}
README, EXTENDING = PAGES["README.md"], PAGES["docs/extending.md"]


def commands_of(text):
    """A page with each command on a line, out of ``"$(…)"``."""
    return re.sub(r'"\$\((.*?)\)"', r"\1", text.replace("\\\n", " "))


COMMANDS = sorted(
    {
        (name, arguments.strip())
        for text in PAGES.values()
        for name, arguments in re.findall(
            r"(?:python -m ctxenc\.|\bctxenc-)(\w+)\b([^`\n#|]*)", commands_of(text)
        )
    }
)


def blocks(language, page):
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


def test_the_wheel_carries_its_configuration(tmp_path):
    build_wheel = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build_wheel, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {**compiling.as_users_have_it(), "PYTHONPATH": str(tmp_path / "site")}
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
    (lines,) = [block for block in blocks("python", README) if "ctxenc.run(" in block]
    real, given = ctxenc.run, []

    def small(*overrides):
        given.extend(overrides)
        return real(*overrides, *TINY, "max_steps=2")

    monkeypatch.setattr(ctxenc, "run", small, raising=False)
    exec("\n".join([*lines.splitlines()[:-1], f"result = {lines.splitlines()[-1]}"]), found := {})
    assert given
    assert 0 < found["result"] < 100


def test_the_parts_of_ones_own_that_the_documentation_adds(tmp_path):
    """Through YAML and the command line, as docs/extending.md has them."""
    (code,) = [block for block in blocks("python", EXTENDING) if block.startswith("# my_parts.py")]
    (tmp_path / "my_parts.py").write_text(code)
    for block in blocks("yaml", EXTENDING):
        first, _, content = block.partition("\n")
        file = tmp_path / first.removeprefix("# ")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (commands,) = [block for block in blocks("bash", EXTENDING) if "export CTXENC" in block]
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


def test_the_map_names_what_is_there():
    map_ = PAGES["CONTRIBUTING.md"].split("## Where everything is")[1].split("```")[1]
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


@pytest.mark.parametrize("page", PAGES)
def test_a_pages_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", PAGES[page]):
        assert (ROOT / page).parent.joinpath(link).exists(), link


def test_the_readme_leads_to_every_page():
    pages = {page.name for kind in ("*.md", "*.ipynb") for page in (ROOT / "docs").glob(kind)}
    for name in pages - {"api.md"}:  # which is empty outside the site
        assert f"(docs/{name})" in README


def test_the_pages_commands_name_keys_and_choices_that_exist():
    own = re.findall(r"\b\w+/(\w+)/(\w+)\.yaml", "\n".join(PAGES.values()))
    own += [(file.parent.name, file.stem) for file in ROOT.glob("examples/*/*/conf/*/*.yaml")]
    for group, values in re.findall(
        rf"\b({'|'.join(schema.groups())}|experiment)=([a-z0-9_][a-z0-9_,]*)",
        "\n".join(PAGES.values()),
    ):
        for value in values.strip(",").split(","):
            assert value in choices(group) or (group, value) in own, f"{group}={value}"


@pytest.mark.parametrize("name", sorted({name for name, _ in COMMANDS}))
def test_the_pages_commands_name_options_and_keys_that_exist(name):
    options = set(re.findall(r"(?<![\w-])--?[a-z]+(?:-[a-z]+)*", program(name, "--help")))
    for arguments in (given for named, given in COMMANDS if named == name):
        for word in shlex.split(arguments):
            key, equals, _ = word.partition("=")
            if word.startswith("-"):
                assert key in options, f"{name} {arguments}"
            elif equals and "…" not in key:
                top = re.match(r"[~+]*([\w]*)", key)[1]
                assert top in {*schema.fields(), "hydra", "experiment", "install"}, (
                    f"{name} {arguments}"
                )


def test_each_promise_names_tests_that_exist():
    promises = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[^`]*|…[^`]*)`", promises)
    text = ""
    for name in named:
        file, _, test = name.partition("::")
        text = text if file == "…" else (ROOT / file).read_text(encoding="utf-8")
        assert not test or f"\ndef {test}(" in text, name
    assert len(named) > 50
