"""The OpenAPI document of the addresses below /api/: made from the classes that they answer with."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Any, Final, get_args, get_origin, get_type_hints

from flask import Flask, Response, jsonify

from slotbench import __version__
from slotbench.fleet.board_list import BoardEntry, BoardHealth, BoardView
from slotbench.fleet.offers import OfferedHead, OfferedRelease
from slotbench.fleet.rollout_store import RolloutView
from slotbench.fleet.summary import RunningCount

__all__ = ["add_openapi", "openapi_document"]

_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_FILTER: Final[Sequence[tuple[str, dict[str, Any], str]]] = (
    ("search", _TEXT | {"maxLength": 100}, "Words in device id, name, place or profile."),
    ("state", _TEXT | {"enum": list(BoardHealth)}, "Only boards in this state."),
    ("product", _TEXT | {"maxLength": 32}, "Only boards of this product."),
    ("channel", _TEXT | {"maxLength": 32}, "Only boards of this channel."),
    ("board", _TEXT | {"maxLength": 32}, "Only boards of this profile."),
    ("running", _COUNT | {"maximum": 0xFFFFFFFF}, "Only boards that run this counter."),
    ("gave_up", _COUNT | {"maximum": 0xFFFFFFFF}, "Only boards in trouble with this release."),
    ("gave_up_app", _COUNT | {"maximum": 0xFFFFFFFF}, "Only boards in trouble with this program."),
    ("after", _TEXT | {"maxLength": 64}, "Only boards behind this device id."),
    ("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "Most boards."))
_ID: Final = [("id", _TEXT | {"minLength": 1, "maxLength": 64}, "The device id.")]


def add_openapi(app: Flask) -> None:
    """Add the address of the document."""

    @app.get("/api/openapi.json")
    def openapi() -> Response:
        """The document."""
        return jsonify(openapi_document())


def openapi_document() -> dict[str, Any]:
    """The document, as OpenAPI 3.1 has it."""
    parts: dict[str, Any] = {}

    def many(kind: type) -> dict[str, Any]:
        return {"type": "array", "items": _schema(kind, parts)}

    states = {
        "type": "object", "properties": dict.fromkeys(BoardHealth, _COUNT), "required": list(BoardHealth)}
    paths = {
        "/api/fleet": _address("The numbers of the fleet, and what is offered.", (), {
            "total": _COUNT, "states": states, "running": many(RunningCount), "heads": many(OfferedHead)}),
        "/api/boards": _address("Boards, by device id.", _FILTER, {
            "boards": many(BoardView), "matching": _COUNT}),
        "/api/board": _address("One board, and its newest history.", _ID, {
            "board": _schema(BoardView, parts), "history": many(BoardEntry)}, is_one=True),
        "/api/rollouts": _address("The newest rollouts.", (), {"rollouts": many(RolloutView)}),
        "/api/releases": _address("The releases that were seen in the site.", (), {
            "releases": many(OfferedRelease)})}
    return {
        "openapi": "3.1.0",
        "info": {"title": "twoslot fleet", "version": __version__,
                 "description": "What boards proved, and what is offered. Times are Unix seconds."},
        "paths": paths, "security": [{"token": []}],
        "components": {
            "schemas": parts,
            "securitySchemes": {"token": {
                "type": "http", "scheme": "bearer", "description": "Made by `slotbench fleet token new`."}}}}


def _address(
    what: str, parameters: Sequence[tuple[str, dict[str, Any], str]], answer: Mapping[str, Any], *,
    is_one: bool = False,
) -> dict[str, Any]:
    refusals = {
        "401": "The token is missing or wrong.", "421": "The cockpit does not know this name as its own.",
        "429": "Too many wrong tokens."}
    if is_one:
        refusals["404"] = "There is no such thing."
    return {"get": {
        "summary": what,
        "parameters": [
            {"name": name, "in": "query", "required": is_one, "schema": schema, "description": words}
            for name, schema, words in parameters],
        "responses": {
            "200": {"description": what, "content": {"application/json": {"schema": {
                "type": "object", "properties": dict(answer), "required": list(answer)}}}},
            **{status: {"description": words, "content": {"text/plain": {"schema": _TEXT}}}
               for status, words in refusals.items()}}}}


def _schema(kind: Any, parts: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; classes become parts that are referred to."""
    if is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in parts:
            parts[kind.__name__] = {}
            hints = get_type_hints(kind)
            parts[kind.__name__] = {
                "type": "object",
                "properties": {field.name: _schema(hints[field.name], parts) for field in fields(kind)},
                "required": [field.name for field in fields(kind)], "additionalProperties": False}
        return {"$ref": f"#/components/schemas/{kind.__name__}"}
    origin = get_origin(kind)
    if origin is not None and issubclass(origin, Sequence):
        return {"type": "array", "items": _schema(get_args(kind)[0], parts)}
    if isinstance(kind, types.UnionType):
        return {"anyOf": [_schema(each, parts) for each in get_args(kind)]}
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {"type": "string", "enum": list(kind)}
    return {"type": {str: "string", bool: "boolean", int: "integer", type(None): "null"}[kind]}
