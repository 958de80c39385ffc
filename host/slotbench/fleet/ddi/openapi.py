"""The OpenAPI document of the DDI server, for those who write a client, and for the tests of this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from slotbench import __version__
from slotbench.fleet.ddi.device_tokens import DEVICE_ID
from slotbench.fleet.ddi.messages import ATTRIBUTES_MAX, KEY_MAX, VALUE_MAX, Execution

__all__ = ["ddi_document"]

_TEXT: Final = {"type": "string"}
_HREF: Final = {"type": "object", "properties": {"href": _TEXT}, "required": ["href"]}
_NUMBER: Final = ("number", {"type": "integer", "minimum": 0, "maximum": (1 << 63) - 1})
_FILENAME: Final = ("filename", _TEXT | {"minLength": 1, "maxLength": 100})
_DEVICE: Final = (
    ("tenant", _TEXT | {"minLength": 1, "maxLength": 32}),
    ("device_id", _TEXT | {"pattern": f"^{DEVICE_ID.pattern}$"}))
_REFUSALS: Final = {
    "400": "The device id or the body is not what the API has.", "401": "No token that admits this device.",
    "403": "The device id belongs to a board.", "404": "There is no such tenant, device, action or file.",
    "503": "The database or the site cannot be used now."}
_CHANGES: Final = {
    "413": "The body is too long.", "415": "The body is not application/json.", "429": "Too many messages."}


def _object(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": dict(items)}


_ARTIFACT: Final = _object({
    "filename": _TEXT, "size": {"type": "integer", "minimum": 0},
    "hashes": _object({"sha1": _TEXT, "md5": _TEXT, "sha256": _TEXT}),
    "_links": _object(
        {"download": _HREF, "md5sum": _HREF}, {"download-http": _HREF, "md5sum-http": _HREF})})
_CHUNK: Final = _object({
    "part": _TEXT, "version": _TEXT, "name": _TEXT, "artifacts": _list(_ARTIFACT),
    "metadata": _list(_object({"key": _TEXT, "value": _TEXT}))})
_HANDLING: Final = _TEXT | {"enum": ["skip", "attempt", "forced"]}
_SCHEMAS: Final = {
    "Poll": _object({
        "config": _object({"polling": _object({
            "sleep": _TEXT | {"pattern": "^[0-9]{2}:[0-5][0-9]:[0-5][0-9]$"}})}),
        "_links": _object({}, dict.fromkeys(
            ("deploymentBase", "cancelAction", "installedBase", "configData"), _HREF))}),
    "Deployment": _object({
        "id": _TEXT, "deployment": _object({
            "download": _HANDLING, "update": _HANDLING, "chunks": _list(_CHUNK)})}),
    "Cancel": _object({"id": _TEXT, "cancelAction": _object({"stopId": _TEXT})}),
    "Artifacts": _list(_ARTIFACT),
    "ConfigData": _object(
        {"data": {
            "type": "object", "maxProperties": ATTRIBUTES_MAX,
            "propertyNames": {"minLength": 1, "maxLength": KEY_MAX},
            "additionalProperties": _TEXT | {"maxLength": VALUE_MAX}}},
        {"mode": _TEXT | {"enum": ["merge", "replace", "remove"]}}),
    "Feedback": _object(
        {"status": _object(
            {"execution": _TEXT | {"enum": list(Execution)},
             "result": _object({"finished": _TEXT | {"enum": ["success", "failure", "none"]}})},
            {"details": _list(_TEXT), "code": {"type": "integer"}})},
        {"time": _TEXT}),
    "Refusal": _object({"errorCode": _TEXT, "message": _TEXT}),
}


def ddi_document() -> dict[str, Any]:
    """The document, as OpenAPI 3.1 has it."""
    paths = {
        "": {"get": _operation("What there is to do; a new device is written down.", "Poll")},
        "/configData": {"put": _operation("What the device is.", body="ConfigData")},
        "/deploymentBase/{number}": {"get": _operation("What is to be installed.", "Deployment", (_NUMBER,))},
        "/deploymentBase/{number}/feedback": {
            "post": _operation("How it goes.", parameters=(_NUMBER,), body="Feedback", is_gone=True)},
        "/installedBase/{number}": {"get": _operation("What was installed last.", "Deployment", (_NUMBER,))},
        "/cancelAction/{number}": {"get": _operation("What is to be given up.", "Cancel", (_NUMBER,))},
        "/cancelAction/{number}/feedback": {
            "post": _operation(
                "Whether it was given up.", parameters=(_NUMBER,), body="Feedback", is_gone=True)},
        "/softwaremodules/{number}/artifacts": {
            "get": _operation("The files of an action.", "Artifacts", (_NUMBER,))},
        "/softwaremodules/{number}/artifacts/{filename}": {
            "get": _operation("A file, or a part of it.", parameters=(_NUMBER, _FILENAME), is_file=True)},
        "/softwaremodules/{number}/artifacts/{filename}.MD5SUM": {
            "get": _operation("Its MD5.", parameters=(_NUMBER, _FILENAME), is_file=True)},
    }
    scheme = {"type": "apiKey", "in": "header", "name": "Authorization",
              "description": "`TargetToken ...` or `GatewayToken ...`, made by `slotbench fleet hawkbit`."}
    return {
        "openapi": "3.1.0",
        "info": {"title": "twoslot, for devices that speak hawkBit's DDI", "version": __version__},
        "paths": {"/{tenant}/controller/v1/{device_id}" + path: item for path, item in paths.items()},
        "security": [{"token": []}],
        "components": {"schemas": _SCHEMAS, "securitySchemes": {"token": scheme}}}


def _operation(
    what: str, answer: str = "", parameters: Sequence[tuple[str, Mapping[str, Any]]] = (), *, body: str = "",
    is_gone: bool = False, is_file: bool = False,
) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": what}}
    if answer:
        responses["200"]["content"] = _json(answer)
    if answer == "Poll":
        responses["304"] = {"description": "Nothing changed."}
    if is_file:
        kinds = ("application/octet-stream", "text/plain")
        responses |= {status: {"description": what, "content": {kind: {"schema": _TEXT} for kind in kinds}}
                      for status in ("200", "206")}
        responses["304"] = {"description": "Nothing changed."}
        responses["416"] = {"description": "It has no such part."}
    refusals = _REFUSALS | (_CHANGES if body else {}) | ({"410": "The action has ended."} if is_gone else {})
    responses |= {
        status: {"description": words, "content": _json("Refusal")} for status, words in refusals.items()}
    found: dict[str, Any] = {
        "summary": what, "responses": responses,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": schema}
            for name, schema in (*_DEVICE, *parameters)]}
    if body:
        found["requestBody"] = {"required": True, "content": _json(body)}
    return found


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
