"""Where people work: the Makefile, the container and the workflow do the same things."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ["3.11", "3.12", "3.13"]  # as requires-python has them
INSTRUCTIONS = ["FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "CMD"]


def recipe(start):
    """The one line of the Makefile's recipes that begins so, as a shell without .venv has it."""
    (line,) = re.findall(rf"^\t({re.escape(start)}.*)$", MAKEFILE, re.MULTILINE)
    return line.replace("$(BIN)/", "").replace("$(EXTRAS)", "${EXTRAS}").replace(" $(ARGS)", "")


@pytest.fixture
def dockerfile():
    parser = pytest.importorskip("dockerfile_parse", reason="of the extra test")
    return parser.DockerfileParser(str(ROOT), cache_content=True)


def test_the_container_installs_and_runs_what_make_train_does(dockerfile):
    steps = [step for step in dockerfile.structure if step["instruction"] != "COMMENT"]
    assert [step["instruction"] for step in steps] == INSTRUCTIONS
    values = {step["instruction"]: step["value"] for step in steps}
    assert values["RUN"] == recipe("$(BIN)/python -m pip install")
    assert yaml.safe_load(values["CMD"]) == shlex.split(recipe("$(BIN)/python -m ctxenc.train"))
    assert values["COPY"] == ". ."
    image, _, tag = dockerfile.baseimage.partition(":")
    assert (image, tag.removesuffix("-slim")) == ("python", PYTHONS[-1])


def test_the_container_takes_the_extra_for_gpus_and_none_by_default(dockerfile):
    (argument,) = (s["value"] for s in dockerfile.structure if s["instruction"] == "ARG")
    assert shlex.split(argument) == ["EXTRAS="]
    named = re.findall(r'--build-arg "EXTRAS=\[(\w+)\]"', dockerfile.content)
    assert set(named) == {"cuda"} <= PROJECT["optional-dependencies"].keys()
    mounted = re.findall(r":(/\S+)/experiments", dockerfile.content)
    workdir = next(s["value"] for s in dockerfile.structure if s["instruction"] == "WORKDIR")
    assert set(mounted) == {workdir}


def test_the_container_is_given_all_that_is_installed():
    left_out = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    needed = {"ctxenc", "conf", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"}
    assert not needed & set(left_out)
    assert {".venv", "experiments/*"} <= set(left_out)


def test_the_workflow_runs_targets_that_there_are_with_every_python():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    runs = [re.sub(r"\$\{\{.*?\}\}", "…", step["run"]) for step in steps if "run" in step]
    commands = [shlex.split(run) for run in runs]
    targets = {word for make, *words in commands for word in words if "=" not in word}
    assert {command[0] for command in commands} == {"make"}
    assert targets == {"test", "docs", "wheel"}
    assert targets <= set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == PYTHONS
    assert all("@v" in step["uses"] for step in steps if "uses" in step)


def test_what_is_said_of_the_project_is_what_it_is():
    low, high = re.findall(r"3\.(\d+)", PROJECT["requires-python"])
    assert [f"3.{minor}" for minor in range(int(low), int(high))] == PYTHONS
    badges = f"**Python {', '.join(PYTHONS)} · JAX · MIT licence · version {PROJECT['version']}**"
    assert badges in (ROOT / "README.md").read_text(encoding="utf-8")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation.keys() >= {"cff-version", "message", "title", "authors"}
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changes, re.MULTILINE)[0] == PROJECT["version"]
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
