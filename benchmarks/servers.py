"""Servers that some peers need: found where they are installed, started for one run, in its directory, and ended."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import Running, until

Words = list[str | Path]


def missing(server: str) -> str | None:
    """What has to be installed for "redis" or "postgres" to start; None: nothing."""
    if server == "redis":
        return None if shutil.which("redis-server") else "redis-server"
    return None if _postgres_bin() else "PostgreSQL"


@contextmanager
def redis(directory: Path) -> Iterator[str]:
    """A Redis that keeps nothing on disk; its URL."""
    port = _free_port()
    command: Words = ["redis-server", "--bind", "127.0.0.1", "--port", str(port)]
    command += ["--save", "", "--appendonly", "no", "--dir", directory]
    with Running(command, directory) as running:
        until(lambda: _answers(port), "Redis answered", running)
        yield f"redis://127.0.0.1:{port}"


@contextmanager
def postgres(directory: Path) -> Iterator[str]:
    """A PostgreSQL as it comes; its connection string. It refuses to run as root, who lends it the user `postgres`."""
    programs, home, port = _postgres_bin() or Path(), directory / "postgres", str(_free_port())
    user = "postgres" if os.getuid() == 0 else None
    home.mkdir()
    if user:
        directory.chmod(0o711)
        shutil.chown(home, user)
    make: Words = [programs / "initdb", "-D", home / "data", "-A", "trust", "-U", "postgres", "-N"]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL, cwd=home, user=user)
    command: Words = [programs / "postgres", "-D", home / "data", "-p", port, "-k", home, "-c", "listen_addresses="]
    with Running(command, directory, user=user) as running:
        ask: Words = [programs / "pg_isready", "-q", "-h", home, "-p", port]
        until(lambda: subprocess.run(ask, check=False).returncode == 0, "PostgreSQL answered", running)
        yield f"host={home} port={port} user=postgres dbname=postgres"


def _postgres_bin() -> Path | None:
    """The programs of the newest PostgreSQL: Debian keeps initdb off PATH."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as peer:
            peer.sendall(b"PING\r\n")
            return peer.recv(16).startswith(b"+PONG")
    except OSError:
        return False
