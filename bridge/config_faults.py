"""What is wrong with a configuration, in sentences: the place, what was found, and how to mend it."""

from collections.abc import Iterator, Sequence
import difflib
import json
from pathlib import Path
import re
import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from bridge.config_file import UNSET, Fault, FromEnvironment, Place, show_place
from bridge.config_values import Smtp

_TOO_FEW = "needs at least"
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_EXPECTED = {
    "string_type": "text",
    "string_sub_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "path_type": "a path",
    "is_instance_of": "a path",
}


def lines(faults: Sequence[Fault], values: object, *, name: str) -> list[str]:
    """One line a fault, in the order of the file; the first one of each place, without what it entails."""
    first: dict[Place, str] = {}
    for fault in faults:
        parents = [fault.place[:i] for i in range(1, len(fault.place) + 1)]
        if fault.place == () or not any(p in first for p in parents):
            first.setdefault(fault.place, fault.message)
    wanted = [
        place for place in first
        if not first[place].startswith(_TOO_FEW) or not any(p[:-1] == place for p in first if p)
    ]  # fmt: skip
    wanted.sort(key=lambda place: _rank(place, values))
    return [f"{name}: {show_place(p)}: {first[p]}" if p else f"{name}: {first[p]}" for p in wanted]


def _rank(place: Place, values: Any) -> tuple[int, ...]:
    rank = []
    for part in place:
        keys = list(values) if isinstance(values, dict) else []
        known = part in keys or (isinstance(part, int) and isinstance(values, list))
        rank.append(part if isinstance(part, int) else keys.index(part) if known else len(keys))
        values = values[part] if known else None
    return tuple(rank)


def near(word: str, known: Sequence[str]) -> str:
    """`; did you mean "x"?` or, where nothing is near, `; known here: a, b, c`."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known here: {', '.join(known)}" if known else ""


# --- what the models refuse ----------------------------------------------------------------------


def explain(error: ValidationError, model: type[BaseModel]) -> Iterator[Fault]:
    for detail in error.errors(include_url=False, include_context=True):
        place, kind, owner = _follow(detail["loc"], model)
        if detail["type"].startswith("union_tag"):
            place = (*place, "kind")
        if detail["input"] is not UNSET:
            yield Fault(place, _sentence(detail, kind, owner, place))


def _sentence(detail: ErrorDetails, kind: Any, owner: type[BaseModel], place: Place) -> str:
    context = detail.get("ctx", {})
    got = _show(detail["input"], kind)
    match detail["type"]:
        case "extra_forbidden":
            return f"there is no such key{near(str(place[-1]), field_names(kind))}"
        case "missing":
            return f"is needed: {describe(owner, str(place[-1]))}"
        case "value_error":
            return str(context.get("error", detail["msg"]))
        case "literal_error":
            return f"expected {_any_of(kind)}, got {got}{_near_choice(detail['input'], kind)}"
        case "union_tag_not_found" | "union_tag_invalid":
            kinds = list(_tags(kind))
            found = detail["input"]
            tag = found.get("kind") if isinstance(found, dict) else found
            if tag is None:
                return f"is needed: one of {', '.join(kinds)}"
            return f"expected one of {', '.join(kinds)}, got {_show(tag, str)}{near(str(tag), kinds)}"
        case "greater_than":
            return f"must be more than {context['gt']:g}, got {got}"
        case "less_than":
            return f"must be less than {context['lt']:g}, got {got}"
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}, got {got}"
        case "less_than_equal":
            return f"must be at most {context['le']:g}, got {got}"
        case "too_short":
            return f"{_TOO_FEW} {context['min_length']}"
        case "string_too_long":
            return f"has at most {context['max_length']} characters, got {len(str(detail['input']))}"
        case known if known in _EXPECTED:
            return f"expected {_EXPECTED[known]}, got {got}"
        case _:
            return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _follow(loc: tuple[int | str, ...], model: type[BaseModel]) -> tuple[Place, Any, type[BaseModel]]:
    """The place in the file, the type of what stands there (its model for a wrong key), and its model."""
    owner = model
    place: list[str | int] = []
    kind: Any = model
    for part in loc:
        kind = _bare(kind)
        if part in _tags(kind):
            kind = _tags(kind)[str(part)]
            continue
        place.append(part)
        if _is_model(kind):
            owner = kind
            field = _field(kind, str(part))
            kind = field if field is not None else kind
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif get_origin(kind) is tuple:
            kind = get_args(kind)[0]
    return tuple(place), _bare(kind), owner


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _bare(kind: Any) -> Any:
    """Without Annotated, and without `| None`."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in {Union, types.UnionType}:
        options = [option for option in get_args(kind) if option is not types.NoneType]
        if len(options) == 1:
            return _bare(options[0])
    return kind


def _tags(kind: Any) -> dict[str, Any]:
    """The models of a union that `kind` tells apart."""
    found: dict[str, Any] = {}
    if get_origin(kind) in {Union, types.UnionType}:
        for option in get_args(kind):
            if _is_model(option) and "kind" in option.model_fields:
                found.update(dict.fromkeys(get_args(option.model_fields["kind"].annotation), option))
    return found


def _field(model: type[BaseModel], key: str) -> Any:
    for name, field in model.model_fields.items():
        if key == (field.alias or name):
            return field.annotation
    return None


def field_names(model: Any) -> list[str]:
    if not _is_model(model):
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def describe(model: type[BaseModel], key: str) -> str:
    """What the key means, as far as the first full stop or semicolon."""
    for name, field in model.model_fields.items():
        if key == (field.alias or name):
            text = field.description or _bare(field.annotation).__doc__ or ""
            return re.split(r"[;.](?:\s|$)", text)[0]
    return ""


def _any_of(kind: Any) -> str:
    shown = [json.dumps(choice) for choice in get_args(kind)]
    return " or ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def _near_choice(value: Any, kind: Any) -> str:
    close = difflib.get_close_matches(str(value), [str(c) for c in get_args(kind)], n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def _show(value: Any, kind: Any) -> str:
    if kind in {SecretStr, Smtp} or isinstance(value, FromEnvironment):
        return "a value that is not shown"
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, list | tuple):
        return "a list"
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return "nothing" if value is None else shown if len(shown) <= 60 else f"{shown[:59]}…"


# --- what only the whole can tell ----------------------------------------------------------------


def cross_check(values: Any, folder: Path) -> Iterator[Fault]:
    """References, ids and paths, judged on the plain values so that they are found beside other faults."""
    top = values if isinstance(values, dict) else {}
    staff = top.get("staff")
    sites = top.get("sites")
    people = list(staff) if isinstance(staff, dict) else []
    for person in people:
        if not _ID.fullmatch(person):
            yield Fault(("staff", person), 'an id has 1 to 32 of a-z 0-9 "-" "_"')
    for site, section in sites.items() if isinstance(sites, dict) else ():
        if not _ID.fullmatch(site):
            yield Fault(("sites", site), 'an id has 1 to 32 of a-z 0-9 "-" "_"')
        told = section.get("staff") if isinstance(section, dict) else None
        for index, item in enumerate(told) if isinstance(told, list | tuple) else ():
            group = item if isinstance(item, list | tuple) else [item]
            for inner, name in enumerate(group):
                place: Place = ("sites", site, "staff", index, *([inner] if group is item else []))
                if name is UNSET:
                    continue
                if not isinstance(name, str):
                    yield Fault(
                        place, f"expected a name from staff, or a list of them, got {_show(name, str)}"
                    )
                elif name not in people:
                    yield Fault(place, f"no such person {json.dumps(name)} in staff{near(name, people)}")
    assistant = top.get("assistant")
    knowledge = assistant.get("knowledge") if isinstance(assistant, dict) else None
    if isinstance(knowledge, str | Path) and not (folder / knowledge).is_dir():
        yield Fault(("assistant", "knowledge"), f"there is no folder {folder / knowledge}")
