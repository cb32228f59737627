"""The command line: serve, demo, check, migrate, version."""

import asyncio
from collections.abc import Callable, Coroutine
from importlib.metadata import version as installed
import logging
from pathlib import Path
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import click
import uvloop

from bridge import listening, telemetry
from bridge.config import Config, load
from bridge.errors import ConfigError, JoinlineError

__all__ = ["main"]

log = logging.getLogger("joinline")

_CONFIG = click.option(
    "--config", "path", type=click.Path(path_type=Path), default=Path("config.yaml"), show_default=True,
    help="The configuration file.",
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Live chat where an AI answers, your team watches, and anyone invited can take over."""


@main.command()
@_CONFIG
def serve(path: Path) -> None:
    """Run the server until SIGTERM or Ctrl-C."""
    config = _loaded(path)
    telemetry.install(config.log)
    for note in config.notes():
        log.warning("%s: %s", path, note)
    try:
        _run(lambda ready: _serve(config, ready))
    except JoinlineError as error:
        _refuse(str(error))


async def _serve(config: Config, ready: Callable[[], None]) -> None:
    from bridge import app  # noqa: PLC0415 - `check` and `version` answer without loading a server

    mend = "choose another with server.host and server.port"
    bound = listening.listen(config.server.host, config.server.port, mend=mend)
    try:
        port = listening.port_of(bound)

        def told() -> None:
            log.info(
                "ready: listening on %s:%d, public address %s", config.server.host, port, config.base_url
            )
            ready()

        await app.serve(config, ready=told, sockets=[bound])
    finally:
        bound.close()
    log.info("stopped")


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, help="The bridge's port.")
@click.option("--shop-port", default=8001, show_default=True, help="The shop website's port.")
@click.option("--mailbox-port", default=8002, show_default=True, help="The mailbox page's port.")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=None,
    help="Keep the conversations there; without it they end with the demo.",
)  # fmt: skip
def demo(host: str, port: int, shop_port: int, mailbox_port: int, folder: Path | None) -> None:
    """Try it: a shop website with the chat, its staff's mailbox, and the server, on this machine."""
    from bridge import demo as demonstration  # noqa: PLC0415 - servers have no need of it

    try:
        _run(
            lambda ready: demonstration.run(
                host=host, port=port, shop_port=shop_port, mailbox_port=mailbox_port,
                folder=folder, ready=ready, tell=click.echo,
            )
        )  # fmt: skip
    except JoinlineError as error:
        _refuse(str(error))


@main.command()
@_CONFIG
@click.option("--live", is_flag=True, help="Ask the mail server and the chat platforms, too. Sends nothing.")
def check(path: Path, live: bool) -> None:  # noqa: FBT001 - an option of the command line
    """Read the configuration and say every fault, with its place and its mend. Contacts nothing."""
    config = _loaded(path)
    for note in config.notes():
        click.echo(f"{path}: note: {note}")
    click.echo(f"{path}: good: {_count(len(config.sites), 'site')}, {len(config.staff)} on the staff list")
    if live and not asyncio.run(_examine(config)):
        sys.exit(1)


async def _examine(config: Config) -> bool:
    """Say what is found as it is found; whether all of it is good."""
    from bridge import registry  # noqa: PLC0415 - the other commands do without

    good = True
    async for finding in registry.examine(config):
        good = good and finding.good
        word = click.style("good", fg="green") if finding.good else click.style("wrong", fg="red")
        click.echo(f"{finding.place}: {word}: {_on_a_line(finding.text)}")
        if finding.mend:
            click.echo(f"  {_on_a_line(finding.mend)}")
    return good


def _on_a_line(text: str) -> str:
    """Names that strangers chose are in it, and begin no line."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


@main.command()
@click.option("--from", "source", required=True, metavar="URL", help="The store that holds everything now.")
@click.option("--to", "target", required=True, metavar="URL", help="An empty one that is to hold it.")
def migrate(source: str, target: str) -> None:
    """Copy all conversations into another store, and compare both.

    A URL is written as `store` in the configuration: sqlite:///joinline.db, redis://127.0.0.1:6379/0. No
    server may run on either. The old store stays as it is. Whoever is interrupted runs the same again.
    """
    try:
        asyncio.run(_move(source, target))
    except JoinlineError as error:
        _refuse(str(error))
    except asyncio.CancelledError:
        _refuse("interrupted: run the same again, and it goes on from here")


async def _move(source: str, target: str) -> None:
    from bridge.store import move  # noqa: PLC0415 - the other commands do without

    moving = asyncio.create_task(move.run(source, target, say=click.echo))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, moving.cancel)
    await moving


@main.command()
def version() -> None:
    """Say which version this is."""
    click.echo(f"joinline {installed('joinline')} (Python {sys.version.split()[0]})")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _loaded(path: Path) -> Config:
    try:
        return load(path)
    except ConfigError as error:
        _refuse(str(error))


def _refuse(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)


def _run(job: Callable[[Callable[[], None]], Coroutine[Any, Any, None]]) -> None:
    """Run `job`, which drains on SIGTERM and SIGINT once it has called what it is given.

    The web server raises the signal once more when it has drained; by then it asks for nothing new.
    """
    running = False

    def ready() -> None:
        nonlocal running
        running = True

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if not running:
            raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(job(ready))
    except KeyboardInterrupt:
        sys.exit(0)
