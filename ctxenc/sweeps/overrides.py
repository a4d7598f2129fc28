"""The overrides of a sweep: their values, and the single runs that try each of these."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Glob, IntervalSweep, Override

from ctxenc.config import schema, search_path
from ctxenc.config.compose import parse
from ctxenc.errors import UserError


def without(overrides: Sequence[str], unwanted: Callable[[str], bool]) -> list[str]:
    """The overrides but for those with unwanted keys."""
    return [text for text in overrides if not unwanted(key_of(text))]


def key_of(text: str) -> str:
    """The key of an override, without ``+`` and ``~``."""
    return parse([text])[0].get_key_element().lstrip("+~")


def merged(overrides: Sequence[str]) -> list[str]:
    """The overrides, of those with the same key the last alone, as Hydra's sweepers take them."""
    return list({o.get_key_element(): str(o.input_line) for o in parse(overrides)}.values())


def fixed(overrides: Sequence[str]) -> list[str]:
    """The overrides that have one value, the same for every job."""
    return [str(o.input_line) for o in parse(overrides) if not o.is_sweep_override()]


def single_runs(overrides: Sequence[str]) -> list[list[str]]:
    """Single runs that together try each value of a sweep, the others at their first value.

    Of an interval, both ends are tried.
    """
    tried = [
        [f"{o.get_key_element()}={value}" for value in values(o)]
        if o.is_sweep_override()
        else [str(o.input_line)]
        for o in parse(overrides)
    ]
    first = [texts[0] for texts in tried]
    others = [
        [*first[:i], text, *first[i + 1 :]] for i, texts in enumerate(tried) for text in texts[1:]
    ]
    return [first, *others]


def settled(text: str, *, listed: bool) -> str:
    """The override as it will mean the same again, from any folder.

    Folders of datasets and masks become absolute; with `listed`, values are listed one by one, not
    shuffled again nor looked up among files again.
    """
    (override,) = parse([text])
    group, _, option = override.key_or_group.partition(".")
    key = schema.keys().get(group)
    if key is not None and option.split(".")[-1] in key.folders and "${" not in text:
        folders = plain_values(override)
        if all(folders):
            paths = [quoted(Path(str(folder)).expanduser().absolute()) for folder in folders]
            return f"{override.get_key_element()}={','.join(paths)}"
    if listed and override.is_discrete_sweep():
        return f"{override.get_key_element()}={','.join(values(override))}"
    return text


def quoted(path: Path) -> str:
    """A path as a value that Hydra reads back the same."""
    escaped = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def values(override: Override) -> list[str]:
    """The values of an override, as a command line would have them; the ends of an interval.

    Raises:
        UserError: a pattern that matches no choice of its group.
    """
    value = override.value()
    if isinstance(value, IntervalSweep):
        return [str(value.start), str(value.end)]
    if isinstance(value, Glob):
        choices = list(search_path.choices(override.key_or_group))
        if found := value.filter(choices):
            return found
        raise UserError(f"{override.input_line}: expected some of {', '.join(choices)}")
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]


def plain_values(override: Override) -> list[Any]:
    """The values as a configuration gets them."""
    return [parse([f"key={value}"])[0].value() for value in values(override)]
