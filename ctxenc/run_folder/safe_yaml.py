"""YAML that may be somebody else's: never deeper, longer to unfold or of more than it looks.

Comparisons wait for thousands of these files, so each is parsed once, and what a scalar means is
looked up once.
"""

import functools
from collections.abc import Iterator
from typing import Any

import yaml

DEEPEST = 64  # levels; libyaml's 30,000th ends the process
CSAFE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def events(text: str) -> Iterator[yaml.Event]:
    """The parts of a document in their order.

    Raises:
        ValueError, yaml.YAMLError: it is damaged, too deep, or could unfold without end.
    """
    depth = 0
    for event in yaml.parse(text, Loader=CSAFE):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError("too deep")
        yield event


def load(text: str) -> Any:
    """What a document holds, as ``yaml.safe_load`` of it; raises as `events`."""
    open_: list[list[Any]] = [[]]  # a mapping's keys and values in turn
    for event in events(text):
        if isinstance(event, yaml.ScalarEvent):
            open_[-1].append(_scalar(event.value, event.tag, event.implicit[0]))
        elif isinstance(event, yaml.CollectionStartEvent):
            if event.tag not in (None, "!"):
                raise ValueError("tags")
            open_.append([])
        elif isinstance(event, yaml.SequenceEndEvent):
            items = open_.pop()
            open_[-1].append(items)
        elif isinstance(event, yaml.MappingEndEvent):
            items = open_.pop()
            open_[-1].append(_mapping(items))
    documents = open_.pop()
    if len(documents) > 1:
        raise ValueError("several documents")
    return documents[0] if documents else None


def _mapping(items: list[Any]) -> dict[Any, Any]:
    if any(isinstance(key, list | dict) for key in items[::2]):
        raise ValueError("a key that is no text")
    return dict(zip(items[::2], items[1::2], strict=True))


@functools.lru_cache(maxsize=10_000)
def _scalar(text: str, tag: str | None, plain: bool) -> Any:
    loader = yaml.SafeLoader("")
    tag = tag if tag not in (None, "!") else loader.resolve(yaml.ScalarNode, text, (plain, False))
    return loader.construct_object(yaml.ScalarNode(tag, text))
