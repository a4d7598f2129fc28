"""Programs as a notebook, a shell and a scheduler start them."""

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import ctxenc
from ctxenc import cli
from ctxenc.run_folder import environment
from ctxenc.run_folder.folder import Run
from tests.faults.programs import start
from tests.programs import started
from tests.tiny import TINY

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
SCRIPTS = PYPROJECT["project"]["scripts"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has one")  # noqa: PTH110
def test_a_notebooks_backend_a_lost_terminal_and_no_cache_do_not_stop_a_run(tmp_path):
    (tmp_path / "a file").touch()  # in place of the cache's folder, so that all is compiled anew
    run = [*TINY, "loss=reconstruction", "max_steps=4", "hydra.run.dir=run"]
    command = [sys.executable, "-m", "ctxenc.train", *run]
    hard = {"MPLBACKEND": "module://nowhere.backend_inline", "LC_ALL": "C"}
    done = subprocess.run(
        ["sh", "-c", '"$@" 2>/dev/full >&-', "sh", *command],
        cwd=tmp_path,
        env={**os.environ, **hard, "XDG_CACHE_HOME": str(tmp_path / "a file")},
        check=False,
    )
    assert done.returncode == 0
    run = Run(tmp_path / "run")
    assert run.status["state"] == "finished"
    assert run.curves.exists()
    assert "WARNING" not in run.log_file.read_text()
    first = run.log_file.read_text().splitlines()[0]
    assert first.endswith(f"run folder: {run.path}")


@pytest.mark.parametrize("given", ["JAX_ENABLE_X64=yes please", "JAX_DEFAULT_PRNG_IMPL=odd"])
def test_a_variable_that_jax_cannot_read_is_one_line(tmp_path, given):
    name, value = given.split("=")
    command = [sys.executable, "-m", "ctxenc.train", "--help"]
    environment = {**os.environ, name: value}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert given in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_help_is_printed_in_other_letters_and_without_a_home(tmp_path, encoding):
    (tmp_path / "a file").touch()  # in place of the cache's folder
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "HOME": "/nowhere"}
    environment["XDG_CACHE_HOME"] = str(tmp_path / "a file")
    command = [sys.executable, "-m", "ctxenc.train", "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "lambda_adv=" in done.stdout.decode(encoding)


def test_a_platform_that_is_not_there_is_one_line_of_the_program(tmp_path):
    environment = {**os.environ, "JAX_PLATFORMS": "cpuu"}
    command = [sys.executable, "-m", "ctxenc.train", "max_steps=1"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("ctxenc.train: JAX_PLATFORMS=cpuu: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_while_a_program_imports_is_one_line(tmp_path, signum):
    program = ("-X", "importtime", "-m", "ctxenc.train")  # tells when it does
    process = start(*TINY, cwd=tmp_path, program=program)
    for line in process.stderr:
        if line.split("|")[-1].strip() == "omegaconf.nodes":
            break
    process.send_signal(signum)
    _, told = process.communicate()
    assert process.returncode == 128 + signum
    lines = [line for line in told.splitlines() if not line.startswith("import time:")]
    assert lines == [f"ctxenc: stopped by {signum.name}"]
    assert list(tmp_path.iterdir()) == []


def test_a_program_of_somebody_else_keeps_its_signals(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "__init__.py").write_text("import ctxenc")
    text = "import signal; print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)"
    (tmp_path / "theirs" / "tool.py").write_text(text)
    command = [sys.executable, "-m", "theirs.tool"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(tmp_path)])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_and_version_say_what_was_called(script, monkeypatch, capsys):
    name = script.removeprefix("ctxenc-")
    assert SCRIPTS[script] == f"ctxenc.{name}:main"
    assert started(name, "--help").stdout.startswith(f"usage: python -m ctxenc.{name} ")
    for option, said in (("--help", f"usage: {script} "), ("--version", "ctxenc 0.")):
        monkeypatch.setattr(sys, "argv", [f"/bin/{script}", option])
        with contextlib.suppress(SystemExit):
            importlib.import_module(f"ctxenc.{name}").main()
        printed = capsys.readouterr().out
        assert printed.startswith(said)
        assert f"python -m ctxenc.{name}" not in printed
    assert printed == f"ctxenc {ctxenc.__version__}\n"


def test_bash_completes_keys_and_choices(tmp_path):
    script = tmp_path / "ctxenc-train"
    script.write_text(f"#!{sys.executable}\nfrom ctxenc.train import main\nmain()\n")
    script.chmod(0o755)
    asked = """
        COMP_WORDS=(ctxenc-train "$1") COMP_CWORD=1 COMP_LINE="ctxenc-train $1" COMP_POINT=99
        hydra_bash_completion
        echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", started("train", "-sc", "install=bash").stdout + asked, "bash", "mask=r"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["mask=random", "mask=region"], done.stderr
    assert "complete -c ctxenc-train " in started("train", "-sc", "install=fish").stdout
    refused = started("train", "-sc", "install=tcsh")
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "invalid choice: 'install=tcsh'" in line


def test_each_program_has_a_script():
    files = Path(ctxenc.__file__).parent.glob("*.py")
    programs = {file.stem for file in files if "\ndef main(" in file.read_text("utf-8")}
    assert {f"ctxenc-{name}" for name in programs} == SCRIPTS.keys()


def test_a_source_tree_that_was_never_installed_runs(monkeypatch):
    """On PYTHONPATH alone there is no metadata of ctxenc's to have a version from."""
    version = metadata.version

    def of_others(name):
        if name == "ctxenc":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", of_others)
    assert ctxenc.__version__ == "of a source tree"
    assert environment.describe()["packages"]["ctxenc"] == "of a source tree"
    assert cli.parser("show", description="")
