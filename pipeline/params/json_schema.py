r"""The JSON Schema of params.yaml, by which editors complete and check it.

It is made of the sections in this folder and committed as docs/params.schema.json, which the
first line of params.yaml names for the YAML language server. It sees each section by itself:
what refers to another section, such as a dataset without a source, only `load` refuses.

    python -m pipeline.params.json_schema docs/params.schema.json
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core.core_schema import DictSchema

from pipeline.job.command_line import parser, run
from pipeline.params.models import ARCHITECTURES
from pipeline.params.own_stages import KEY
from pipeline.params.section import NAME, Section
from pipeline.params.stages import Stages
from pipeline.params.typed_file import File

Json: TypeAlias = dict[str, Any]

VARIANT_OF: Json = {
    "enum": sorted(ARCHITECTURES),
    "description": "The model whose settings this one starts from.",
}


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, without a title per key, and strict about names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False: the title would repeat the key."""
        return False

    def dict_schema(self, schema: DictSchema) -> Json:
        """Return the schema of a mapping; keys that are not names are refused."""
        made = super().dict_schema(schema)
        return made | {"additionalProperties": False} if "patternProperties" in made else made


def params_schema() -> Json:
    """Return the schema: the sections, the models by name, and the user's own variants."""
    sections: list[type[Section]] = [File, *ARCHITECTURES.values()]
    _, made = models_json_schema(
        [(section, "validation") for section in dict.fromkeys(sections)],
        schema_generator=_Generator,
    )
    definitions = made["$defs"]
    file = definitions.pop("File")
    file["properties"].pop("sections")
    file["required"].remove("sections")
    for stage in Stages.model_fields:
        _add_datasets(file["properties"][stage], definitions)
    for section in set(ARCHITECTURES.values()):
        definition = definitions[section.__name__]
        definition.pop("required", None)  # layers complete each other
        definition["properties"] = definition.get("properties", {}) | {"variant_of": VARIANT_OF}
    models = {
        name: _layers(definitions[section.__name__]) for name, section in ARCHITECTURES.items()
    }
    return file | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "params.yaml",
        "description": "Every setting of an experiment.",
        "properties": file["properties"] | models,
        "propertyNames": {"pattern": NAME},
        "additionalProperties": _variant(models),
        "$defs": dict(sorted(definitions.items())),
    }


def _add_datasets(stage: Json, definitions: Json) -> None:
    """Add the key `datasets`, whose entries name the keys of the section that they change."""
    methods = [way["$ref"] for way in stage.get("oneOf", [])]  # an entry of `split` is whole
    for reference in methods or [stage["$ref"]]:
        section = definitions[reference.rsplit("/", 1)[1]]
        own = {key: value for key, value in section.items() if key != "required"}
        own["properties"] = dict(own["properties"])
        section["properties"][KEY] = {
            "type": "object",
            "description": "What is other for a dataset.",
            "patternProperties": {NAME: dict(stage) if methods else own},
            "additionalProperties": False,
        }


def _layers(section: Json) -> Json:
    """Return the schema of a model: `default`, then changes for a dataset."""
    settings = {"$ref": f"#/$defs/{section['title']}"}
    return {
        "type": "object",
        "description": section["description"],
        "properties": {"default": settings},
        "patternProperties": {NAME: settings},
        "additionalProperties": False,
    }


def _variant(models: Json) -> Json:
    """Return the schema of a model of the user's own, whose settings `variant_of` decides."""

    def has(parent: Json) -> Json:
        default = {"required": ["variant_of"], "properties": {"variant_of": parent}}
        return {"required": ["default"], "properties": {"default": default}}

    return {
        "type": "object",
        "description": "A model of your own: another one's settings, with changes.",
        **has(VARIANT_OF),
        "allOf": [
            {"if": has({"const": name}), "then": layers} for name, layers in models.items()
        ],
    }


def main(argv: list[str] | None = None) -> None:
    """Write the schema."""
    out = parser(__doc__, "out", reads_params=False).parse_args(argv).out
    out.write_text(json.dumps(params_schema(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
