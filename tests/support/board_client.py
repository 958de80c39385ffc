"""A board's side of the authentication, made by hand, for tests of servers."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from slotbench.formats import identity

SECRET = bytes(range(32))
HEAD = "/heads/sensor/stable.head"
HOST = "localhost"


class BoardClient:
    """The board's side of the authentication, made by hand."""

    def __init__(self, client: FlaskClient, device_id: str = "lamp-7", secret: bytes = SECRET) -> None:
        self.client, self.device_id, self.secret = client, device_id, secret
        self.nonce, self.nc = "", 0

    def get(self, path: str = HEAD, **changes: Any) -> TestResponse:
        """Send a request, with a proof once there is a challenge. A challenge in the response is kept."""
        header = f'Twoslot id="{self.device_id}"'
        if self.nonce:
            self.nc += 1
            header = self.proof(path, **changes)
        return self.send(path, header)

    def proof(
        self, path: str = HEAD, *, nc: int | None = None, running: int = 5, report: str = "1/5",
        told: int | None = None, method: str = "GET", host: str = HOST, app: tuple[int, int, int] | None = None,
        body: bytes = b"",
    ) -> str:
        """The Authorization header. `told` is the running counter it states, if not the one it proves."""
        nc = nc or self.nc
        code, about = report.split("/")
        proof = identity.IdentityProof(
            nonce=self.nonce, nc=nc, report=int(code), about=int(about), running=running, mac="", app=app)
        said = f'app="{app[0]}/{app[1]}/{app[2]}", ' if app else ""
        mac = identity.compute_mac(self.secret, proof.message(method, host, path, body))
        return (
            f'Twoslot id="{self.device_id}", nonce="{self.nonce}", nc={nc}, report="{report}", '
            f'running="{told or running}", {said}mac="{mac}"')

    def send(self, path: str, header: str, **headers: str) -> TestResponse:
        response = self.client.get(path, headers={"Authorization": header, **headers})
        self._keep_challenge(response)
        return response

    def _keep_challenge(self, response: TestResponse) -> None:
        if found := response.headers.get("WWW-Authenticate"):
            self.nonce, self.nc = found.removeprefix('Twoslot nonce="').removesuffix('"'), 0

    def post(self, body: bytes, path: str = "/report", *, proves: bytes | None = None, **changes: Any) -> TestResponse:
        """Send a report, with a proof once there is a challenge; `proves` is the body that it proves, if another."""
        header = f'Twoslot id="{self.device_id}"'
        if self.nonce:
            self.nc += 1
            header = self.proof(path, method="POST", body=body if proves is None else proves, **changes)
        response = self.client.post(path, data=body, headers={"Authorization": header})
        self._keep_challenge(response)
        return response
