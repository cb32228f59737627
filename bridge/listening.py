"""Taking hold of addresses before anything starts, so that one that is taken is told plainly."""

from contextlib import suppress
import errno
import socket

from bridge.errors import JoinlineError

# So that a client that vanished without a word, or reads nothing any more, is noticed.
IDLE, PROBE, GIVE_UP = 30, 15, 60  # seconds of silence until a probe, between probes, until it is given up


class CannotListenError(JoinlineError):
    """The address is taken, or may not be used; the message says how to go on."""


def listen(host: str, port: int, *, mend: str) -> socket.socket:
    """A socket bound to the address; `mend` says how another one is chosen."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _watch(bound)
        try:
            bound.bind(address)
            bound.listen(2048)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise CannotListenError(f"{host}:{port} {_why(error)}; {mend}") from None
    bound.setblocking(False)
    return bound


def _watch(bound: socket.socket) -> None:
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    with suppress(AttributeError, OSError):  # the rest is not known to every system
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GIVE_UP * 1000)


def port_of(bound: socket.socket) -> int:
    port = bound.getsockname()[1]
    assert isinstance(port, int)
    return port


def _why(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "is taken by another program"
        case errno.EACCES:
            return "may only be used by root"
        case errno.EADDRNOTAVAIL:
            return "is no address of this machine"
        case _:
            return f"cannot be used: {error.strerror or error}"
