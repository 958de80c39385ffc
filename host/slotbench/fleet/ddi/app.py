"""The application of the DDI server: hawkBit's addresses, with its names and statuses."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Flask, Response, g, jsonify, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response as BaseResponse

from slotbench.errors import BenchError
from slotbench.fleet.cockpit.guard import RateLimit
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.ddi.artifacts import Artifact, ArtifactList
from slotbench.fleet.ddi.decision import ActionState
from slotbench.fleet.ddi.device_tokens import DEVICE_ID, check_device_token
from slotbench.fleet.ddi.messages import MessageError, parse_feedback
from slotbench.fleet.ddi.openapi import ddi_document
from slotbench.fleet.ddi.service import Caller, DdiService, DdiRefusal
from slotbench.server import ProvenRequest, create_app

__all__ = ["create_ddi"]

_BODY_BYTES_MAX: Final = 32 * 1024
_MESSAGES, _MESSAGES_S = 120, 60
_SLEEP_S = (60, 86399)
_ANY_TENANT: Final = "default"
_FIRST_BYTE = re.compile(r"bytes=([0-9]{1,9})-[0-9]{0,9}")
_GOING_ON: Final = frozenset({ActionState.OFFERED, ActionState.KEPT})
_DONE: Final = frozenset({ActionState.INSTALLED})

_log = logging.getLogger(__name__)


def create_ddi(
    database: FleetDatabase, root: Path, observe: Callable[[ProvenRequest], None], *,
    clock: Callable[[], float] = time.time, public_url: str | None = None,
) -> Flask:
    """The application for the site in `root`; `observe` is told what devices report. `clock` gives
    Unix seconds.

    `public_url` is where a reverse proxy offers it: links begin with it, and only then X-Forwarded-For
    counts.
    """
    app = Flask(__name__, static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=_BODY_BYTES_MAX)
    if public_url is not None:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)  # type: ignore[method-assign]
    pages = Blueprint("ddi", __name__, url_prefix="/<tenant>/controller/v1/<device_id>")
    service = DdiService(database, root, observe, clock)
    limit = RateLimit(_MESSAGES, _MESSAGES_S)
    pages.before_request(lambda: _admit(database, limit))
    _add_polls(pages, service, public_url)
    _add_actions(pages, service, public_url)
    _add_files(pages, service, public_url, create_app(root))
    app.register_blueprint(pages)
    app.get("/openapi.json", endpoint="openapi")(lambda: jsonify(ddi_document()))
    _add_refusals(app)
    return app


def _add_polls(pages: Blueprint, service: DdiService, public_url: str | None) -> None:
    @pages.get("")
    def poll(tenant: str, device_id: str) -> BaseResponse:
        """What there is to do."""
        found = service.poll(g.caller)
        links = {}
        if found.action is not None and found.action.state is ActionState.CANCELING:
            links["cancelAction"] = _link(public_url, "canceling", number=found.action.id)
        elif found.action is not None:
            # A client that remembers what it asked asks again when the state is another.
            state = {"c": f"{found.action.id}-{found.action.state}"}
            links["deploymentBase"] = _link(public_url, "deployment", number=found.action.id, **state)
        if found.installed is not None:
            links["installedBase"] = _link(public_url, "installed", number=found.installed.id)
        if found.wants_data:
            links["configData"] = _link(public_url, "config_data")
        response = jsonify(config={"polling": {"sleep": _sleep(found.interval_s)}}, _links=links)
        response.add_etag()
        return response.make_conditional(request)

    @pages.put("/configData")
    def config_data(tenant: str, device_id: str) -> Response:
        """What the device is."""
        service.keep_data(g.caller, _body())
        return Response(status=HTTPStatus.OK)


def _add_actions(pages: Blueprint, service: DdiService, public_url: str | None) -> None:
    def described(number: int, found: ArtifactList) -> Response:
        chunk = {
            "part": "os", "version": found.release.version, "name": found.release.product,
            "artifacts": [_artifact(public_url, number, each) for each in found.files],
            "metadata": [{"key": "counter", "value": str(found.release.counter)}]}
        return jsonify(
            id=str(number), deployment={"download": "forced", "update": "forced", "chunks": [chunk]})

    @pages.get("/deploymentBase/<int(max=9223372036854775807):number>")
    def deployment(tenant: str, device_id: str, number: int) -> Response:
        """What is to be installed."""
        return described(number, service.deployment(g.caller, number, _GOING_ON))

    @pages.get("/installedBase/<int(max=9223372036854775807):number>")
    def installed(tenant: str, device_id: str, number: int) -> Response:
        """What was installed last."""
        return described(number, service.deployment(g.caller, number, _DONE))

    @pages.get("/cancelAction/<int(max=9223372036854775807):number>")
    def canceling(tenant: str, device_id: str, number: int) -> Response:
        """What is to be given up."""
        service.canceling(g.caller, number)
        return jsonify(id=str(number), cancelAction={"stopId": str(number)})

    @pages.post("/deploymentBase/<int(max=9223372036854775807):number>/feedback")
    def feedback(tenant: str, device_id: str, number: int) -> Response:
        """How it goes."""
        service.feedback(g.caller, number, parse_feedback(_body()))
        return Response(status=HTTPStatus.OK)

    @pages.post("/cancelAction/<int(max=9223372036854775807):number>/feedback")
    def cancel_feedback(tenant: str, device_id: str, number: int) -> Response:
        """Whether it was given up."""
        service.cancel_feedback(g.caller, number, parse_feedback(_body()))
        return Response(status=HTTPStatus.OK)


def _add_files(
    pages: Blueprint, service: DdiService, public_url: str | None, site: Flask,
) -> None:
    @pages.get("/softwaremodules/<int(max=9223372036854775807):number>/artifacts")
    def artifacts(tenant: str, device_id: str, number: int) -> Response:
        """The files of an action."""
        found = service.deployment(g.caller, number, frozenset(ActionState))
        return jsonify([_artifact(public_url, number, each) for each in found.files])

    @pages.get("/softwaremodules/<int(max=9223372036854775807):number>/artifacts/<filename>.MD5SUM")
    def md5sum(tenant: str, device_id: str, number: int, filename: str) -> Response:
        """A file's digest, as `md5sum -c` reads it."""
        found = service.download(g.caller, number, filename, None)
        return Response(f"{found.md5}  {found.filename}", mimetype="text/plain")

    @pages.get("/softwaremodules/<int(max=9223372036854775807):number>/artifacts/<filename>")
    def artifact(tenant: str, device_id: str, number: int, filename: str) -> BaseResponse:
        """A file, or a part of it: as boards get it."""
        asked = _FIRST_BYTE.fullmatch(request.headers.get("Range", ""))
        first_byte = None if request.method == "HEAD" else int(asked[1]) if asked else 0
        found = service.download(g.caller, number, filename, first_byte)
        environ = {**request.environ, "PATH_INFO": f"/{found.name}", "SCRIPT_NAME": "", "QUERY_STRING": ""}
        return Response.from_app(site.wsgi_app, environ)


def _add_refusals(app: Flask) -> None:
    def refused(status: HTTPStatus, why: str) -> Response:
        response = jsonify(errorCode=status.phrase, message=why)
        response.status_code = status
        if status is HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = "TargetToken, GatewayToken"
        return response

    @app.errorhandler(DdiRefusal)
    def refuse(error: DdiRefusal) -> Response:
        return refused(error.status, str(error))

    @app.errorhandler(MessageError)
    def refuse_message(error: MessageError) -> Response:
        _log.warning("%s: a message was refused: %s", g.caller.device_id, error)
        return refused(HTTPStatus.BAD_REQUEST, str(error))

    @app.errorhandler(HTTPException)
    def refuse_request(error: HTTPException) -> Response:
        status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        response = refused(status, status.description or status.phrase)
        for name, value in error.get_headers():
            if name == "Allow":
                response.headers[name] = value
        return response

    @app.errorhandler(BenchError)
    def tell(error: BenchError) -> Response:
        _log.error("a device that speaks DDI cannot be answered: %s", error)
        response = refused(HTTPStatus.SERVICE_UNAVAILABLE, "try again later")
        response.headers["Retry-After"] = "60"
        return response

    @app.after_request
    def guarded(response: Response) -> Response:
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def _admit(database: FleetDatabase, limit: RateLimit) -> None:
    """Let a device in that shows its token. Raises DdiRefusal."""
    arguments = request.view_args or {}
    device_id, tenant = arguments["device_id"], arguments["tenant"].casefold()
    if not DEVICE_ID.fullmatch(device_id):
        raise DdiRefusal(HTTPStatus.BAD_REQUEST, "a device id has 1 to 64 letters, digits and . _ : -")
    address = request.remote_addr or ""
    with database.reading() as connection:
        token = check_device_token(connection, request.headers.get("Authorization", ""), device_id)
    if token is None:
        _log.warning("%s: the device %s shows no token that admits it", address, device_id)
        raise DdiRefusal(HTTPStatus.UNAUTHORIZED, "show a token: Authorization: TargetToken ...")
    if tenant not in (token.product, _ANY_TENANT):
        raise DdiRefusal(HTTPStatus.NOT_FOUND, "the tenant is the product of the token, or default")
    if request.method != "GET":
        if limit.is_exceeded(device_id):
            raise DdiRefusal(HTTPStatus.TOO_MANY_REQUESTS, "too many messages: wait a minute")
        limit.count(device_id)
    g.caller = Caller(device_id, token, address)


def _body() -> bytes:
    if not request.is_json:
        raise DdiRefusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")
    return request.get_data()


def _artifact(public_url: str | None, number: int, artifact: Artifact) -> dict[str, Any]:
    links = {
        name: _link(public_url, endpoint, number=number, filename=artifact.filename)
        for name, endpoint in (("download", "artifact"), ("md5sum", "md5sum"))}
    if links["download"]["href"].startswith("http:"):
        links |= {f"{name}-http": link for name, link in links.items()}
    return {
        "filename": artifact.filename, "size": artifact.size, "_links": links,
        "hashes": {"sha1": artifact.sha1, "md5": artifact.md5, "sha256": artifact.sha256}}


def _link(public_url: str | None, endpoint: str, **values: Any) -> dict[str, str]:
    base = public_url or request.host_url.rstrip("/")
    arguments = {**(request.view_args or {}), **values}
    path = url_for(f"ddi.{endpoint}", **{
        key: value for key, value in arguments.items()
        if key in ("tenant", "device_id") or key in values})
    return {"href": f"{base}{path}"}


def _sleep(seconds: int) -> str:
    """A time between two polls, as hawkBit writes it: less than a day."""
    low, high = _SLEEP_S
    seconds = min(max(seconds, low), high)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
