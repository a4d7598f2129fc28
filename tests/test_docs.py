"""The site of the documentation: it is built without a warning, and opens without a network."""

import html
import importlib
import re
from pathlib import Path

import pytest

from ctxenc.config.search_path import choices

ROOT = Path(__file__).parents[1]
FETCHED = (
    r"<(?:script|img|iframe|source|video)\b[^>]*?\bsrc=\"([^\"]*)|<link\b[^>]*?\bhref=\"([^\"]*)"
)

DOTTED = r"\bctxenc(?:\.[A-Za-z_]\w*)+"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """What `make docs` builds; strict: a warning is an error."""
    pytest.importorskip("mkdocs", reason="of the extra docs, which `make test` installs")
    build = importlib.import_module("mkdocs.commands.build").build
    load = importlib.import_module("mkdocs.config").load_config
    folder = tmp_path_factory.mktemp("site")
    config = load(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder))
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    return {page.name: page.read_text(encoding="utf-8") for page in folder.glob("*.html")}


def test_nothing_is_fetched_from_elsewhere(site):
    assert {"index.html", "tutorial.html", "api.html", "masks.html"} <= site.keys()
    for name, page in site.items():
        fetched = [html.unescape(a or b) for a, b in re.findall(FETCHED, page)]
        assert fetched
        for address in fetched:
            assert not re.match(r"(https?:)?//", address), f"{name}: {address}"


def test_formulas_are_drawn_without_a_script(site):
    method = site["algorithm.html"]
    assert method.count("<math") > 30
    assert not re.search(r"arithmatex|\\(?:hat|lambda|mathcal|odot)", method)


def test_the_reference_says_what_the_code_says(site):
    import ctxenc

    for name in ("run", "runs", "load", "Run", "UserError"):
        assert f'id="ctxenc.{name}"' in site["api.html"]
        first = getattr(ctxenc, name).__doc__.strip().splitlines()[0].partition("`")[0]
        assert first.rstrip(" .:") in html.unescape(site["api.html"])


def test_each_member_that_the_reference_names_is_on_it(site):
    reference = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    found = re.findall(r"^::: (\S+)\n +options:\s+\{?members: \[([^]]+)", reference, re.MULTILINE)
    assert len(found) >= 6
    for module, members in found:
        for member in members.split(", "):
            assert f'id="{module}.{member}"' in site["api.html"], f"{module}.{member}"


def test_what_texts_call_by_its_dotted_name_is_there():
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("ctxenc/**/*.py")]
    named = {n for t in texts for n in re.findall(DOTTED, t.read_text(encoding="utf-8"))}
    assert len(named) > 100
    for name in named - {"ctxenc.NAME", "ctxenc.plugins"}:  # any program; a group of entry points
        module, _, rest = name.partition(".")
        found = importlib.import_module(module)
        for part in filter(None, rest.split(".")):
            module = f"{module}.{part}"
            if not hasattr(found, part) and part not in getattr(found, "__annotations__", {}):
                importlib.import_module(module)
            found = getattr(found, part, None)


def test_every_mask_is_in_the_gallery():
    page = (ROOT / "docs" / "masks.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == sorted(choices("mask"))
