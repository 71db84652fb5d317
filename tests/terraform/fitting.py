"""Fits a copy of Terraform files to what an AWS provider knows, by the provider's own schema.

What an older provider does not know is dropped, and what it knows by another name is renamed: a
resource that it has as a data source only, and a write-only argument ``X_wo`` whose plain twin
``X`` it has. As only write-only arguments take ephemeral values, it takes none. Every change is
named.

The files are as ``terraform fmt`` leaves them, so the indentation tells where an argument or a
block begins and ends.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MADE_UP = "made-up-in-place-of-an-ephemeral"
"""What the values of an ephemeral resource become that the provider does not know."""
_KINDS = {
    "resource": "resource_schemas",
    "data": "data_source_schemas",
    "ephemeral": "ephemeral_resource_schemas",
}
_META = {"count", "depends_on", "for_each", "lifecycle", "provider"}
_ITEM = re.compile(r"(?P<indent> *)(?P<name>\w+)(?P<labels>(?: \"[^\"]*\")*)(?: +=| \{)")

Schema = dict[str, Any]


@dataclass(frozen=True)
class _Item:
    """An argument or a block, with its lines: from ``first`` to before ``end``."""

    name: str
    labels: tuple[str, ...]
    first: int
    end: int


def fit(folder: Path, provider: Schema) -> list[str]:
    """Fit all ``*.tf`` files below a folder; gives what was changed, in words.

    ``provider`` is the provider's part of what ``terraform providers schema -json`` prints.
    """
    changes = []
    for module in sorted({path.parent for path in folder.rglob("*.tf")}):
        files = {path: path.read_text().splitlines() for path in sorted(module.glob("*.tf"))}
        fitted = {path: _fit_blocks(lines, provider) for path, lines in files.items()}
        unknown = [address for file in fitted.values() for address in file.unknown]
        for path, file in fitted.items():
            text = "\n".join(file.lines) + "\n"
            for address in unknown:
                text = _without_references(text, address, provider)
            path.write_text(text)
            where = path.relative_to(folder)
            changes += [f"{where}: {change}" for change in file.changes]
    return changes


@dataclass
class _Fitted:
    lines: list[str]
    changes: list[str]
    unknown: list[tuple[str, str, str]]
    """Kind, type and name of what the provider does not know as such."""


def _fit_blocks(lines: list[str], provider: Schema) -> _Fitted:
    """Fit the blocks of a file, from its end on, so that line numbers before stay what they are."""
    fitted = _Fitted(list(lines), [], [])
    for block in reversed(list(_items(lines, 0, len(lines)))):
        if block.name == "variable" and "ephemeral_resource_schemas" not in provider:
            changes = _without_ephemeral(fitted.lines, block)
            fitted.changes += [f"variable {block.labels[0]}: {change}" for change in changes]
        if block.name not in _KINDS:
            continue
        kind, (type_, name) = block.name, block.labels
        address = f"{kind} {type_}.{name}"
        schema = provider.get(_KINDS[kind], {}).get(type_)
        if schema is None:
            fitted.unknown.append((kind, type_, name))
            schema = _as_data(kind, type_, provider)
            if schema is None:
                _drop(fitted.lines, block)
                fitted.changes.append(f"{address} is dropped")
                continue
            first = fitted.lines[block.first]
            fitted.lines[block.first] = first.replace(kind, "data", 1)
            fitted.changes.append(f"{address} is a data source")
        changes = _fit_body(fitted.lines, block, schema["block"])
        fitted.changes += [f"{address}: {change}" for change in changes]
    fitted.changes.reverse()
    return fitted


def _as_data(kind: str, type_: str, provider: Schema) -> Schema | None:
    """The schema of the data source of a resource's name."""
    return provider["data_source_schemas"].get(type_) if kind == "resource" else None


def _without_ephemeral(lines: list[str], variable: _Item) -> Iterator[str]:
    for item in reversed(list(_items(lines, variable.first + 1, variable.end - 1))):
        if item.name == "ephemeral":
            _drop(lines, item)
            yield "ephemeral is dropped"


def _fit_body(lines: list[str], block: _Item, schema: Schema) -> Iterator[str]:
    attributes, blocks = schema.get("attributes", {}), schema.get("block_types", {})
    for item in reversed(list(_items(lines, block.first + 1, block.end - 1))):
        name = item.labels[0] if item.name == "dynamic" else item.name
        plain = name.removesuffix("_wo")
        if name in blocks:
            for change in _fit_body(lines, _content(lines, item), blocks[name]["block"]):
                yield f"{name}.{change}"
        elif name in _META or _settable(attributes.get(name, {})):
            continue
        elif name != plain and _settable(attributes.get(plain, {})):
            lines[item.first] = lines[item.first].replace(name, plain, 1)
            yield f"{name} is {plain}"
        else:
            _drop(lines, item)
            yield f"{name} is dropped"


def _settable(attribute: Schema) -> bool:
    return attribute.get("required", False) or attribute.get("optional", False)


def _content(lines: list[str], item: _Item) -> _Item:
    """The block that holds a block's arguments: of a dynamic one, ``content``."""
    if item.name != "dynamic":
        return item
    inner = _items(lines, item.first + 1, item.end - 1)
    return next(part for part in inner if part.name == "content")


def _items(lines: list[str], first: int, end: int) -> Iterator[_Item]:
    """The arguments and blocks on the outermost level of some lines."""
    number = first
    while number < end:
        found = _ITEM.match(lines[number])
        number += 1
        if found is None:  # a comment, or nothing
            continue
        start, indent = number - 1, found["indent"]
        if lines[start].endswith(("{", "[", "(")):
            closing = re.compile(rf"{indent}[\]}})][^{{(\[]*$")
            while not closing.match(lines[number]):
                number += 1
            number += 1
        yield _Item(found["name"], tuple(re.findall('"(.*?)"', found["labels"])), start, number)


def _drop(lines: list[str], item: _Item) -> None:
    """Take out an item, with the comment right above it."""
    first = item.first
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    del lines[first : item.end]


def _without_references(text: str, address: tuple[str, str, str], provider: Schema) -> str:
    """What refers to an unknown resource, refers to what takes its place, or is gone."""
    kind, type_, name = address
    reference = rf"(?<![\w.\"]){'ephemeral[.]' if kind == 'ephemeral' else ''}{type_}[.]{name}\b"
    if _as_data(kind, type_, provider) is not None:
        return re.sub(reference, f"data.{type_}.{name}", text)
    if kind == "ephemeral":
        return re.sub(rf"{reference}(\[\w+\])?[.]\w+", f'"{MADE_UP}"', text)
    return re.sub(rf"\n *{reference},", "", text)  # an item of a depends_on
