"""Executes ``docs/tutorial.ipynb``; ``python -m tests.tutorial`` saves it with new outputs."""

import os
import re
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"
TEMPORARY = re.compile(r"/\S*/(?=runs/)")  # where the notebook's runs were


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run every cell in a new kernel, in `folder`; an error in a cell is raised."""
    os.environ |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    os.environ |= {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(folder / "k")}
    # As Jupyter does, where no program of this process has chosen another.
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()


def clean(notebook: nbformat.NotebookNode) -> None:
    """Leave out what tells one execution from another: versions, times, temporary folders."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            output.pop("metadata", None) if output.output_type == "stream" else None
            for texts, key in ((output, "text"), (output.get("data", {}), "text/plain")):
                if key in texts:
                    texts[key] = TEMPORARY.sub("…/", texts[key])


if __name__ == "__main__":
    found = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as place:
        execute(found, Path(place))
    clean(found)
    nbformat.write(found, NOTEBOOK)
