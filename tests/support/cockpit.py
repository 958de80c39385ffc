"""A browser without a window: it logs in, keeps its cookie, and sends forms with the session's token."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


class Browser:
    """A person with a login."""

    def __init__(self, client: FlaskClient, token: str) -> None:
        self.client, self.token = client, token
        self._csrf = ""
        assert self.log_in(token).status_code == 303

    def log_in(self, token: str, **fields: str) -> TestResponse:
        self._csrf = ""
        return self.client.post("/login", data={"token": token, **fields})

    def log_out(self) -> None:
        assert self.post("/logout").status_code == 303
        self._csrf = ""

    def get(self, path: str) -> TestResponse:
        return self.client.get(path, buffered=True)

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> TestResponse:
        """Send a form as the pages have it. All forms of a session have the same token."""
        if not self._csrf and (found := _CSRF.search(self.get("/audit").text)):
            self._csrf = found[1]
        return self.client.post(path, data={"csrf": self._csrf, **fields}, headers=headers or {})


class PageCheck(HTMLParser):
    """What a page is made of: its tags, and what they refer to. Fails for one that is not closed."""

    VOID = frozenset({"meta", "link", "input", "br", "img", "rect", "circle", "path"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.attributes: set[str] = set()
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)
        self.targets += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        assert self._open and self._open[-1] == tag, f"</{tag}> closes {self._open[-1:]}"
        self._open.pop()
