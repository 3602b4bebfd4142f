"""``/livez``, ``/readyz`` and ``/metrics``: what an orchestrator and a scraper ask of the daemon."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from incidents.errors import UsageError
from monitor.metrics import REGISTRY

if TYPE_CHECKING:
    from starlette.requests import Request

STARTUP_SECONDS = 10.0
HIGHEST_PORT = 65_535


class Probes(Protocol):
    """What the daemon can say about itself. Both answers list the problems; an empty list is good news."""

    def alive(self) -> list[str]:
        """Problems that only a restart cures: a loop that no longer moves."""
        ...

    def ready(self) -> list[str]:
        """Problems that keep records from being taken in now: database, migrations, assignment."""
        ...

    def refresh(self) -> None:
        """Bring gauges up to date before a scrape."""
        ...


class HealthServer:
    """Serves the probes on its own thread; requests never touch the loops, they read what these left behind."""

    def __init__(self, listen: str, probes: Probes) -> None:
        host, port = split_listen(listen)
        self._probes = probes
        application = Starlette(
            routes=[
                Route("/livez", self._livez),
                Route("/readyz", self._readyz),
                Route("/metrics", self._metrics),
            ]
        )
        config = uvicorn.Config(
            application, host=host, port=port, log_config=None, access_log=False, lifespan="off", ws="none"
        )
        self._server = uvicorn.Server(config)
        self._listen = listen
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._failed = ""
        self._up = threading.Event()

    def start(self) -> None:
        """Begin to serve.

        Raises:
            UsageError: the address cannot be listened on.
        """
        self._thread.start()
        if not self._up.wait(STARTUP_SECONDS) or self._failed:
            raise UsageError(
                f"cannot serve health on {self._listen}: {self._failed or 'the server did not start'}",
                remedy="Set `health.listen` to a free address, such as 127.0.0.1:9465",
            )

    def stop(self) -> None:
        """Stop serving; waits for requests under way, two seconds at most."""
        self._server.should_exit = True
        self._thread.join(2.0)

    @property
    def port(self) -> int:
        """The port listened on, of interest when the settings said 0."""
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    def _run(self) -> None:
        # uvicorn ends the process on a taken port with SystemExit; here that is an answer to start().
        server = self._server
        original = server.startup

        async def startup(sockets: list[object] | None = None) -> None:
            await original(sockets=sockets)  # type: ignore[arg-type]
            self._up.set()

        server.startup = startup  # type: ignore[method-assign, assignment]
        try:
            server.run()
        except (SystemExit, OSError) as error:
            self._failed = str(error) or "the address is in use"
        finally:
            self._up.set()

    def _livez(self, _request: Request) -> Response:
        return _answer(self._probes.alive())

    def _readyz(self, _request: Request) -> Response:
        return _answer(self._probes.ready())

    def _metrics(self, _request: Request) -> Response:
        self._probes.refresh()
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


def _answer(problems: list[str]) -> Response:
    return JSONResponse({"ok": not problems, "problems": problems}, status_code=503 if problems else 200)


def split_listen(listen: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:9464`` or ``[::1]:9464``.

    Raises:
        UsageError: it is neither.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or not host or int(port) > HIGHEST_PORT:
        raise UsageError(f"{listen!r} is not an address to listen on", remedy="Write host:port, such as 127.0.0.1:9464")
    return host.strip("[]"), int(port)
