"""From the text of a configuration file to plain values: YAML 1.2 scalars, `${NAME}`, no key twice."""

from collections.abc import Mapping
from pathlib import Path
import re
from typing import Any

from msgspec import Struct
import yaml

MAX_DEPTH = 12  # no configuration nests deeper; an alias that holds itself does

Place = tuple[str | int, ...]


class FromEnvironment(str):
    """Text that a `${NAME}` brought in; where a number or a list is expected it is read as one."""

    __slots__ = ()


class Fault(Struct, frozen=True):
    place: Place
    message: str


class Unset:
    """Stands where a value could not be read; its own fault is already on the list."""


UNSET = Unset()


def show_place(place: Place) -> str:
    """`("sites", "acme", "staff", 1)` as people write it: `sites.acme.staff[1]`."""
    shown = ""
    for part in place:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else part
    return shown


class _Loader(yaml.SafeLoader):
    """Scalars mean what they do in JSON: `no` and `12:30` are text, and so is a date."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_SCALARS = {
    "null": ("~nN\0", r"~|null|Null|NULL|"),
    "bool": ("tTfF", r"true|True|TRUE|false|False|FALSE"),
    "int": ("-+0123456789", r"[-+]?(?:0|[1-9][0-9]*)"),
    "float": ("-+.0123456789", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?"),
}
for _name, (_first, _pattern) in _SCALARS.items():
    _starts = ["" if c == "\0" else c for c in _first]
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})$"), _starts)


def scalar(text: str) -> Any:
    """What `text` means as a YAML value; itself where it is no YAML."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader with fewer scalars
    except yaml.YAMLError:
        return text


def from_environment(value: object) -> object:
    """The number or truth that a text from the environment stands for; other values as they are."""
    return scalar(value) if isinstance(value, FromEnvironment) else value


def tuples(value: object) -> object:
    """The same values with tuples for lists, as frozen models hold them."""
    match value:
        case list():
            return tuple(tuples(item) for item in value)
        case dict():
            return {key: tuples(item) for key, item in value.items()}
        case _:
            return value


def read(text: str, *, environ: Mapping[str, str]) -> tuple[Any, list[Fault]]:
    """The values in `text`, and what is wrong with it."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        reader = _Reader(loader, environ)
        return (None if node is None else reader.value(node, ())), reader.faults
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        return UNSET, [Fault((), f"{where}not YAML: {error.problem or error.context}")]
    except yaml.reader.ReaderError as error:
        return UNSET, [Fault((), f"not YAML: {error.reason}, U+{int(error.character):04X}")]
    except (ValueError, RecursionError) as error:
        return UNSET, [Fault((), f"not YAML: {error}")]


class _Reader:
    def __init__(self, loader: _Loader, environ: Mapping[str, str]) -> None:
        self._loader = loader
        self._environ = environ
        self.faults: list[Fault] = []

    def value(self, node: yaml.Node, place: Place) -> Any:
        if len(place) > MAX_DEPTH:
            return self._unset(place, "nests too deep")
        match node:
            case yaml.MappingNode():
                return self._mapping(node, place)
            case yaml.SequenceNode():
                return [self.value(item, (*place, i)) for i, item in enumerate(node.value)]
            case yaml.ScalarNode():
                found = self._loader.construct_object(node)
                return self._expand(found, place) if isinstance(found, str) else found
            case _:
                return self._unset(place, "not a value, a list, or keys with values")

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            line = key_node.start_mark.line + 1
            if key in found:
                self._fault((*place, key), f"is there twice, the second time in line {line}; keep one")
            else:
                found[key] = self.value(value_node, (*place, key))
        return found

    def _expand(self, text: str, place: Place) -> Any:
        try:
            expanded, count = _REFERENCE.subn(self._replace, text)
        except _CannotExpandError as error:
            return self._unset(place, str(error))
        return FromEnvironment(expanded) if count else text

    def _replace(self, match: re.Match[str]) -> str:
        name = match["name"]
        if match["escape"]:
            return match[0][1:]
        if not _NAME.fullmatch(name):
            raise _CannotExpandError(f"${{{name}}} is no name of an environment variable")
        direct, file = self._environ.get(name), self._environ.get(f"{name}_FILE")
        if direct and file:
            raise _CannotExpandError(f"{name} and {name}_FILE are both set; unset one of them")
        if file:
            direct = _content(name, file)
        if not direct:
            state = "is empty" if direct == "" else "is not set"
            mend = f"set it, or set {name}_FILE to the path of a file that holds the value"
            raise _CannotExpandError(f"the environment variable {name} {state}; {mend}")
        return direct

    def _unset(self, place: Place, message: str) -> Unset:
        self._fault(place, message)
        return UNSET

    def _fault(self, place: Place, message: str) -> None:
        self.faults.append(Fault(place, message))


class _CannotExpandError(Exception):
    pass


def _content(name: str, file: str) -> str:
    try:
        return Path(file).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise _CannotExpandError(f"cannot read the file that {name}_FILE names, {file}: {why}") from None


_REFERENCE = re.compile(r"(?P<escape>\$)?\$\{(?P<name>[^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
