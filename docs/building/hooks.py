"""What MkDocs is told beside mkdocs.yml: pages that are made of other files, and formulas."""

import html
import posixpath
import re
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[2]
TOP = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#)([^)#]+)(#[^)]*)?\)")
SCRIPT = {"L": "ℒ", "P": "𝒫"}  # browsers' MathML has these letters, not TeX's \\mathcal
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/, and the notebook as Markdown with its pictures."""
    for name, page in TOP.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text.replace("](docs/", "](")))
    notebook = nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4)
    text, resources = MarkdownExporter().from_notebook_node(
        notebook, resources={"output_files_dir": "tutorial"}
    )
    files.append(File.generated(config, "tutorial.md", content=text))
    for name, content in resources["outputs"].items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to the repository's files lead to their page or place in the API, or are plain text."""
    places = set(
        re.findall(r"^::: (\S+)$", (ROOT / "docs/api.md").read_text("utf-8"), re.MULTILINE)
    )
    above = "" if page.file.src_uri in TOP.values() else "docs"

    def mended(link: re.Match[str]) -> str:
        target, anchor = link[2], link[3] or ""
        text = re.sub(r"^(?:docs/)?(\w+)\.(?:md|ipynb)$", lambda m: m[1].replace("_", " "), link[1])
        if target.endswith(".ipynb"):
            return f"[{text}]({target.removesuffix('.ipynb')}.md{anchor})"
        if files.get_file_from_path(target):
            return f"[{text}]({target}{anchor})"
        file = posixpath.normpath(posixpath.join(above, target))
        if file in TOP:
            return f"[{text}]({TOP[file]}{anchor})"
        module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        if module in places:
            return f"[{text}](api.md#{module})"
        assert (ROOT / file).exists(), f"{page.file.src_uri}: {target}"
        return text

    return LINK.sub(mended, markdown)


def on_page_content(content: str, **_: object) -> str:
    """TeX to MathML, which browsers draw without a script."""

    def mathml(formula: re.Match[str]) -> str:
        tex = re.sub(r"\\mathcal (\w)", lambda m: SCRIPT[m[1]], html.unescape(formula[2]))
        display = "block" if formula[1] == "div" else "inline"
        return convert(tex.replace(r"\log ", r"\log\, "), display=display)

    content = content.replace("::</p>", ":</p>")  # of docstrings in reStructuredText
    return FORMULA.sub(mathml, content)
