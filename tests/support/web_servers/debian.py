"""Web servers and caches of Debian, each on a free port of this computer, with a configuration as short as can be."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from support.mqtt.brokers import free_port

PREFIX = "/updates"
"""Every server has the site at / and under this path."""


def find_program(name: str, package: str) -> str:
    """Where a program is. Without it the test is skipped, or fails where nothing may be skipped."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        reason = f"needs the Debian package {package} (.ci/run installs it)"
        if os.environ.get("TWOSLOT_REQUIRE_TOOLS"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def running(command: Sequence[str | Path], port: int, folder: Path) -> Iterator[str]:
    """A server's process, from the moment when it accepts connections at `port`; its URL."""
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    log = folder / "output"
    with log.open("wb") as output:
        run = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, env=environment)
    try:
        while True:
            with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 5):
                break
            with suppress(subprocess.TimeoutExpired):
                run.wait(0.05)
                pytest.fail(log.read_text())
        yield f"http://127.0.0.1:{port}"
    finally:
        run.terminate()
        run.communicate()


@contextmanager
def nginx(site: Path, folder: Path) -> Iterator[str]:
    program, port = find_program("nginx", "nginx-light"), free_port()
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error; events {{}}\n"
        f"http {{ access_log off; {nginx_folders(folder)}\n"
        f"server {{ listen 127.0.0.1:{port}; root {site}; location {PREFIX}/ {{ alias {site}/; }} }} }}\n")
    with running([program, "-p", folder, "-e", folder / "error", "-c", folder / "nginx.conf"], port, folder) as url:
        yield url


@contextmanager
def nginx_before(origin: str, folder: Path) -> Iterator[str]:
    """nginx as a reverse proxy for what it has under `PREFIX`: the origin sees its own host, and no prefix."""
    program, port = find_program("nginx", "nginx-light"), free_port()
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error; events {{}}\n"
        f"http {{ access_log off; {nginx_folders(folder)}\n"
        f"server {{ listen 127.0.0.1:{port}; location {PREFIX}/ {{ proxy_pass {origin}/; }} }} }}\n")
    with running([program, "-p", folder, "-e", folder / "error", "-c", folder / "nginx.conf"], port, folder) as url:
        yield url


def nginx_folders(folder: Path) -> str:
    """Where it may write, as nobody in particular."""
    return "".join(
        f"{name}_temp_path {folder}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))


@contextmanager
def apache(site: Path, folder: Path) -> Iterator[str]:
    program, port = find_program("apache2", "apache2-bin"), free_port()
    modules = "".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
        for name in ("mpm_event", "authz_core", "alias"))
    # As root it would serve as another user, who has no rights to the folders of a test.
    user = "User nobody\nGroup nogroup\n" if os.getuid() == 0 else ""
    (folder / "apache.conf").write_text(
        f"{modules}{user}ServerName 127.0.0.1\nListen 127.0.0.1:{port}\nPidFile {folder}/pid\n"
        f"ErrorLog {folder}/error\nDocumentRoot {site}\nAlias {PREFIX} {site}\n"
        f"<Directory {site}>\nRequire all granted\n</Directory>\n")
    with running([program, "-X", "-d", folder, "-f", folder / "apache.conf"], port, folder) as url:
        yield url


@contextmanager
def lighttpd(site: Path, folder: Path) -> Iterator[str]:
    program, port = find_program("lighttpd", "lighttpd"), free_port()
    (folder / "lighttpd.conf").write_text(
        f'server.modules = ("mod_alias")\nserver.bind = "127.0.0.1"\nserver.port = {port}\n'
        f'server.document-root = "{site}"\nalias.url = ("{PREFIX}/" => "{site}/")\n')
    with running([program, "-D", "-f", folder / "lighttpd.conf"], port, folder) as url:
        yield url


@contextmanager
def caddy(site: Path, folder: Path) -> Iterator[str]:
    program, port = find_program("caddy", "caddy"), free_port()
    (folder / "Caddyfile").write_text(
        "{\n admin off\n auto_https off\n}\n"
        f"http://127.0.0.1:{port} {{\n handle_path {PREFIX}/* {{\n root * {site}\n file_server\n }}\n"
        f" root * {site}\n file_server\n encode gzip\n}}\n")
    with running([program, "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"], port, folder) as url:
        yield url


@contextmanager
def haproxy(site: Path, folder: Path) -> Iterator[str]:
    """HAProxy before nginx."""
    program, port = find_program("haproxy", "haproxy"), free_port()
    with nginx(site, folder) as origin:
        (folder / "haproxy.conf").write_text(
            "defaults\n mode http\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n"
            f"frontend all\n bind 127.0.0.1:{port}\n default_backend origin\n"
            f"backend origin\n server one {origin.removeprefix('http://')}\n")
        with running([program, "-db", "-f", folder / "haproxy.conf"], port, folder) as url:
            yield url


@contextmanager
def varnish(site: Path, folder: Path) -> Iterator[str]:
    """Varnish before nginx: a cache, which answers ranges itself."""
    program, port = find_program("varnishd", "varnish"), free_port()
    find_program("cc", "gcc")
    (folder / "varnish").mkdir()
    with nginx(site, folder) as origin:
        command = [
            program, "-F", "-j", "none", "-a", f"127.0.0.1:{port}", "-b", origin.removeprefix("http://"),
            "-n", folder / "varnish", "-s", "malloc,16m"]
        with running(command, port, folder) as url:
            yield url


SERVERS: dict[str, Callable[[Path, Path], "contextmanager[str]"]] = {  # type: ignore[valid-type]
    "nginx": nginx, "Apache": apache, "lighttpd": lighttpd, "Caddy": caddy, "HAProxy": haproxy, "Varnish": varnish}


@contextmanager
def serving(name: str, site: Path) -> Iterator[str]:
    """The URL of a server of `SERVERS` that has `site`, whose files everybody may read."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="server")))
        folder.chmod(0o755)
        public = shutil.copytree(site, folder / "site")
        for path in (public, *public.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        work = folder / "work"
        work.mkdir()
        yield stack.enter_context(SERVERS[name](public, work))
