"""The notebook of the documentation: it runs as it stands, and what is saved of it is clean."""

import getpass
import re

import nbformat

from tests import tutorial

FEW = '"max_steps=4", "eval_every=2"'  # steps: that the cells run is what is tested


def test_every_cell_of_the_tutorial_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(tutorial.os, "environ", tutorial.os.environ.copy())
    notebook = nbformat.read(tutorial.NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace('"max_steps=60", "eval_every=30"', FEW)
        cell |= {"outputs": [], "execution_count": None} if cell.cell_type == "code" else {}
    assert sum(FEW in cell.source for cell in notebook.cells) == 1
    tutorial.execute(notebook, tmp_path)
    kinds = [
        kind
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind in output.get("data", {})
    ]
    assert kinds.count("image/png") == 3
    assert kinds.count("text/html") >= 5
    assert [path.name for path in tmp_path.glob("*/runs")] == []  # it leaves nothing behind


def test_the_saved_notebook_is_executed_and_names_no_machine():
    notebook = nbformat.read(tutorial.NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not any(cell.metadata for cell in notebook.cells)
    assert notebook.metadata.language_info == {"name": "python"}
    texts = [cell.source for cell in notebook.cells]
    for output in (output for cell in code for output in cell.outputs):
        assert output.output_type != "error"
        texts += [output.get("text", ""), output.get("data", {}).get("text/plain", "")]
    for text in texts:
        assert not re.search(r"(?<![\w…./:])/(home|Users|root|tmp|work|var)\b", text), text
        assert not re.search(rf"\b{re.escape(getpass.getuser())}\b", text), text
