"""What is made of Terraform files for a provider that does not know all that they say."""

import json
from pathlib import Path

from fitting import MADE_UP, fit
from stand_in import SNAPSHOT, SOURCE

WRITTEN = """\
resource "aws_new" "this" {
  name = "new"
}

resource "aws_call" "this" {
  name = "call"

  depends_on = [
    aws_new.this,
    aws_known.this,
  ]
}

ephemeral "aws_secret" "this" {
  length = 32
}

resource "aws_known" "this" {
  count = 1

  name = "known"
  # Goes with what it is about.
  policy = jsonencode({
    Statement = [
      { Effect = "Allow" },
    ]
  })
  text_wo = true ? ephemeral.aws_secret.this[0].value : "aws_new.this"

  dynamic "inner" {
    for_each = [1]

    content {
      size   = inner.value
      colour = "red"
    }
  }

  outer {
    size = 1
  }
}

variable "text" {
  type      = string
  ephemeral = true
}

output "call" {
  value = aws_call.this.name
}
"""
FITTED = f"""\

data "aws_call" "this" {{
  name = "call"

  depends_on = [
    aws_known.this,
  ]
}}


resource "aws_known" "this" {{
  count = 1

  name = "known"
  text = true ? "{MADE_UP}" : "aws_new.this"

  dynamic "inner" {{
    for_each = [1]

    content {{
      size   = inner.value
    }}
  }}

}}

variable "text" {{
  type      = string
}}

output "call" {{
  value = data.aws_call.this.name
}}
"""
NAME = {"name": {"required": True}, "computed": {"computed": True}}
INNER = {"block": {"attributes": {"size": {"optional": True}}}}
OLD = {
    "resource_schemas": {
        "aws_known": {
            "block": {
                "attributes": {**NAME, "text": {"optional": True}, "policy": {"computed": True}},
                "block_types": {"inner": INNER},
            }
        }
    },
    "data_source_schemas": {"aws_call": {"block": {"attributes": NAME}}},
}


def test_what_an_old_provider_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(WRITTEN)
    assert fit(tmp_path, OLD) == [
        "main.tf: resource aws_new.this is dropped",
        "main.tf: resource aws_call.this is a data source",
        "main.tf: ephemeral aws_secret.this is dropped",
        "main.tf: resource aws_known.this: policy is dropped",
        "main.tf: resource aws_known.this: text_wo is text",
        "main.tf: resource aws_known.this: inner.colour is dropped",
        "main.tf: resource aws_known.this: outer is dropped",
        "main.tf: variable text: ephemeral is dropped",
    ]
    assert (tmp_path / "main.tf").read_text() == FITTED


def test_nothing_is_changed_for_todays_provider(module: Path) -> None:
    before = {path: path.read_text() for path in module.rglob("*.tf")}
    assert fit(module, json.loads(SNAPSHOT.read_text())["provider_schemas"][SOURCE]) == []
    assert {path: path.read_text() for path in before} == before
