"""References in a configuration: ``${key}`` is another key's value, ``${function:…}`` a function's.

OmegaConf's functions read the environment, and short texts may refer to each other so often that
they unfold without end. A configuration that is saved has references to keys alone, and one that
is read back may have no others, and not too many.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ctxenc.errors import UserError

TO_KEY = re.compile(r"\$\{([A-Za-z_]\w*(?:\.\w+)*)\}")
DEEPEST = 16  # references to references
MOST = 1000  # values that OmegaConf looks up: a second
LONGEST = 1000  # letters that count like one look-up more


def plain(text: str) -> bool:
    """Whether a text has no references but those to keys."""
    return "${" not in TO_KEY.sub("", text)


def settle(config: DictConfig) -> None:
    """Replace what a function gives (``${oc.env:HOME}``) by what it gives now, in place.

    Hydra's own keys are left alone, and so is what cannot be had: checking the configuration says
    so.
    """
    raw = OmegaConf.to_container(config, resolve=False)
    assert isinstance(raw, dict)
    for path, value in list(_texts({k: v for k, v in raw.items() if k != "hydra"}, "")):
        if not plain(value):
            with contextlib.suppress(OmegaConfBaseException):
                OmegaConf.update(config, path, OmegaConf.select(config, path), merge=False)


def _texts(node: Any, path: str) -> Iterator[tuple[str, str]]:
    """Each text of a configuration with its place, ``mask.parts[0]``."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _texts(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _texts(value, f"{path}[{place}]")
    elif isinstance(node, str):
        yield path, node


def check(config: dict[str, Any]) -> None:
    """Refuse a stranger's configuration that calls functions, or unfolds to very much.

    Args:
        config: a configuration as plain containers, its references as they are.

    Raises:
        UserError: naming the value.
    """
    known: dict[tuple[str, int], float] = {}

    def cost(node: Any, depth: int) -> float:
        if isinstance(node, dict | list):
            return sum(cost(v, depth) for v in (node.values() if isinstance(node, dict) else node))
        if not isinstance(node, str) or "${" not in node:
            return len(str(node)) / LONGEST
        if not plain(node):
            raise UserError(f"{node}: a saved configuration calls no function; expected ${{KEY}}")
        if depth == DEEPEST:
            raise UserError(f"{node}: it refers to itself, or to too many others in a row")
        return len(node) / LONGEST + sum(1 + referred(k, depth + 1) for k in TO_KEY.findall(node))

    def referred(key: str, depth: int) -> float:
        if (key, depth) not in known:
            known[key, depth] = cost(_at(config, key), depth)
        return known[key, depth]

    if cost(config, 0) > MOST:
        raise UserError("its references unfold to too much")


def _at(config: dict[str, Any], key: str) -> Any:
    """The value of a dotted key; None where there is none, which OmegaConf will tell."""
    node: Any = config
    for part in key.split("."):
        if isinstance(node, list) and part.isdecimal() and len(part) < 6:
            node = dict(enumerate(node)).get(int(part))
        else:
            node = node.get(part) if isinstance(node, dict) else None
    return node
