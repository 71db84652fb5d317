"""Derive the AWS provider's schema from PyPI's cdktn-provider-aws.

    pip download --no-deps cdktn-provider-aws
    python tests/terraform/derive_schema.py cdktn_provider_aws-*.whl

writes ``schema.json`` beside this file, in the form of ``terraform providers schema -json``, for
the types that the repository's Terraform files use. It is kept in the repository, because the
wheel has 70 MB; run this again when a Terraform file uses a type that the snapshot lacks, or to
move to a newer provider.

The wheel holds a jsii archive, in which every type of the provider has one generated JavaScript
file, ``lib/<type>/index.js``. It says of each attribute whether it is required, optional or
computed (in a comment) and of which type (in its getter), and of each block how it nests (in
``…ToHclTerraform``). What it does not say: which attributes are sensitive (``SENSITIVE`` does),
deprecations, descriptions, the versions of schemas, and a most of more than one block.
"""

import io
import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SNAPSHOT = HERE / "schema.json"
SOURCE = "registry.terraform.io/hashicorp/aws"
PREFIXES = {
    "resource": ("resource_schemas", ""),
    "data": ("data_source_schemas", "data-aws-"),
    "ephemeral": ("ephemeral_resource_schemas", "ephemeral-aws-"),
}
SENSITIVE = {"random_password", "secret_binary", "secret_string", "secret_string_wo"}

_USED = re.compile(r'^\s*(resource|data|ephemeral)\s+"(aws_\w+)"', re.MULTILINE)
_CLASS = re.compile(r"^class (\w+) extends cdktn\.(\w+) \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
_ATTRIBUTE = re.compile(
    r"^ +// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)$"
    r"(.*?)(?=^ +// \w+ - computed: |\Z|^ +// =====)",
    re.MULTILINE | re.DOTALL,
)
_GETTER = re.compile(r"return (cdktn\.Fn\.tolist\()?this\.get(\w+)Attribute\('\w+'\)")
_NESTED = re.compile(r'= new (\w+)\(this, "\w+"(?:, (true|false))?\);')
_COLLECTION = re.compile(r'= new cdktn\.(\w+)\(this, "\w+"(?:, (true|false))?\);')
_HCL = re.compile(
    r"^ +(\w+): \{\n +value: (.*?),\n +isBlock: (true|false),\n +type: \"(\w+)\",\n"
    r" +storageClassType: \"(\w+)\",\n",
    re.MULTILINE,
)
_FUNCTION = re.compile(r"^function (\w+)ToHclTerraform\(.*?^\}$", re.MULTILINE | re.DOTALL)
_TYPES = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
    "AnyMap": ["map", "string"],
}


def used_types() -> Iterator[tuple[str, str]]:
    """Kind and type of everything that the repository's Terraform files ask the provider for."""
    files = [*ROOT.glob("*.tf"), *ROOT.glob("modules/*/*.tf"), *ROOT.glob("examples/*/*.tf")]
    found = {use for file in files for use in _USED.findall(file.read_text())}
    return iter(sorted(found))


class Source:
    """One ``index.js``, read."""

    def __init__(self, text: str) -> None:
        self.classes = {name: (base, body) for name, base, body in _CLASS.findall(text)}
        self.write_only = set(
            re.findall(r"^ +(\w+): this\.markWriteOnlyAttribute\(", text, re.MULTILINE)
        )
        self.hcl = {
            match[1].lower(): {line[1]: line for line in _HCL.finditer(match[0])}
            for match in _FUNCTION.finditer(text)
        }

    def main(self) -> str:
        """Body of the class that is the type itself; blocks have another base."""
        for base, body in self.classes.values():
            if base.startswith("Terraform"):
                return body
        raise SystemExit("There is no class for the type itself: the archive has another form now.")

    def block(self, body: str, hcl: dict[str, re.Match[str]]) -> dict[str, object]:
        attributes: dict[str, object] = {}
        blocks: dict[str, object] = {}
        for name, computed, optional, required, code in _ATTRIBUTE.findall(body):
            nested = _NESTED.search(code)
            if nested and name in hcl and hcl[name][3] == "true" and computed == "false":
                blocks[name] = self._nested_block(nested[1], hcl[name], required=required == "true")
                continue
            flags = {"computed": computed, "optional": optional, "required": required}
            attributes[name] = {
                "type": self._nested_type(nested) if nested else _simple_type(name, code),
                **{flag: True for flag, value in flags.items() if value == "true"},
                **({"sensitive": True} if name in SENSITIVE else {}),
                **({"write_only": True} if name in self.write_only else {}),
            }
        block: dict[str, object] = {"attributes": attributes}
        if blocks:
            block["block_types"] = blocks
        return block

    def _nested_block(self, cls: str, hcl: re.Match[str], *, required: bool) -> dict[str, object]:
        many = cls.endswith("List")
        nesting = {"struct": "single"}.get(hcl[4], hcl[4])
        nested: dict[str, object] = {"nesting_mode": nesting, "block": self._fields(cls)}
        if required and nesting != "single":
            nested["min_items"] = 1
        if not many and nesting != "single":
            nested["max_items"] = 1
        return nested

    def _fields(self, cls: str) -> dict[str, object]:
        stem = cls.removesuffix("List").removesuffix("OutputReference")
        _, body = self.classes[f"{stem}OutputReference"]
        return self.block(body, self.hcl.get(stem.lower(), {}))

    def _nested_type(self, nested: re.Match[str]) -> object:
        """The type of an attribute that holds objects (which the provider computes, mostly)."""
        cls, as_set = nested[1], nested[2] == "true"
        stem = cls.removesuffix("List").removesuffix("Map").removesuffix("OutputReference")
        _, body = self.classes[f"{stem}OutputReference"]
        fields = {
            name: self._nested_type(inner)
            if (inner := _NESTED.search(code))
            else _simple_type(name, code)
            for name, _, _, _, code in _ATTRIBUTE.findall(body)
        }
        if cls.endswith("Map"):
            return ["map", ["object", fields]]
        return ["set" if as_set else "list", ["object", fields]]


def _simple_type(name: str, code: str) -> object:
    getter = _GETTER.search(code)
    collection = _COLLECTION.search(code)
    if collection and collection[1] in _TYPES:
        return _TYPES[collection[1]]
    if getter is None or getter[2] not in _TYPES:
        raise SystemExit(f"The type of attribute {name} cannot be told: {code.strip()}")
    found = _TYPES[getter[2]]
    return ["set", found[1]] if getter[1] else found


def schema_of(text: str) -> dict[str, object]:
    source = Source(text)
    body = source.main()
    return {"version": 0, "block": source.block(body, _hcl_of_main(text))}


def _hcl_of_main(text: str) -> dict[str, re.Match[str]]:
    start = text.find("synthesizeHclAttributes()")
    return {line[1]: line for line in _HCL.finditer(text, max(start, 0))} if start >= 0 else {}


def _provider_schema(text: str) -> dict[str, object]:
    """The provider's own plain arguments; its blocks are left out, as nothing uses them."""
    types = {"string": "string", "number": "number", "boolean": "bool"}
    attributes = {
        name: {"type": types[line[5]], "optional": True}
        for name, line in _hcl_of_main(text).items()
        if line[3] == "false" and line[5] in types and name != "alias"
    }
    return {"version": 0, "block": {"attributes": attributes}}


def main(wheel: str) -> None:
    with zipfile.ZipFile(wheel) as outer:
        archive = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        content = io.BytesIO(outer.read(archive))
    wanted = {"package/lib/provider/index.js": ("provider", "")}
    for kind, type_ in used_types():
        prefix = PREFIXES[kind][1]
        folder = prefix + type_.removeprefix("aws_").replace("_", "-")
        wanted[f"package/lib/{folder}/index.js"] = (kind, type_)
    schemas: dict[str, dict[str, object]] = {key: {} for key, _ in PREFIXES.values()}
    version = ""
    with tarfile.open(fileobj=content) as inner:
        for member in inner:
            if member.name not in wanted:
                continue
            kind, type_ = wanted.pop(member.name)
            text = inner.extractfile(member).read().decode()
            text = text[: text.rfind("//# sourceMappingURL")]
            if kind == "provider":
                version = re.search(r"providerVersion: '([\d.]+)'", text)[1]
                provider = _provider_schema(text)
            else:
                schemas[PREFIXES[kind][0]][type_] = schema_of(text)
    if wanted:
        raise SystemExit(f"The archive has no {', '.join(wanted)}.")
    document = {
        "derived_from": f"{Path(wheel).name} (hashicorp/aws {version})",
        "format_version": "1.0",
        "provider_schemas": {
            SOURCE: {
                "provider": provider,
                **{key: dict(sorted(value.items())) for key, value in schemas.items()},
            },
        },
    }
    SNAPSHOT.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
