"""Real Redis servers on loopback: started, killed and asked by tests, each with a folder of its own."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError

from tests.eventually import PATIENCE
from tests.running import free_port

COMMON = (
    "--bind", "127.0.0.1", "--save", "", "--daemonize", "no", "--loglevel", "notice", "--protected-mode", "no",
    "--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes",
)  # fmt: skip
DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction")


class RedisServer:
    """One `redis-server`. Its data stays over `kill` and `start`, until `close`."""

    def __init__(self, *options: str, sentinel: str | None = None, port: int = 0) -> None:
        self.port = port or free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self.options = options
        self._sentinel = sentinel
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *, wait: bool = True) -> Self:
        assert self.process is None
        command = ["redis-server"]
        if self._sentinel is not None:
            file = self.folder / "sentinel.conf"
            if not file.exists():
                file.write_text(self._sentinel)
            command += [str(file), "--sentinel", "--bind", "127.0.0.1"]
        else:
            command += COMMON
        command += ["--port", str(self.port), "--dir", str(self.folder), *self.options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        if wait:
            self.wait()
        return self

    def wait(self) -> None:
        """Return when it answers and has read its data."""
        until = time.monotonic() + PATIENCE
        while True:
            with suppress(RedisError), self.client() as client:
                if client.ping():
                    return
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.01)

    def client(self) -> Redis:
        return Redis(host="127.0.0.1", port=self.port, socket_timeout=PATIENCE)

    def ask(self, *command: Any) -> Any:
        with self.client() as client:
            return client.execute_command(*command)

    def dump(self) -> dict[bytes, bytes]:
        """All that it holds now, for `go_back`."""
        return {key: self.ask("DUMP", key) for key in self.ask("KEYS", "*")}

    def go_back(self, dump: dict[bytes, bytes]) -> None:
        """Hold what it held then, as a replica that takes over with less than there was."""
        self.ask("FLUSHALL")
        for key, value in dump.items():
            self.ask("RESTORE", key, 0, value)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


def linked(replica: RedisServer) -> None:
    """Return when `replica` has all that its primary has."""
    _until(lambda: replica.ask("INFO", "replication")["master_link_status"] == "up")


class Watched:
    """A primary, a replica with options of its own, and three Sentinels that know them as `main`."""

    def __init__(self, *replica: str) -> None:
        self.primary = RedisServer(*DURABLE)
        self.replica = RedisServer(*(replica or DURABLE), "--replicaof", "127.0.0.1", str(self.primary.port))
        self.sentinels = [RedisServer(sentinel=_sentinel(self.primary.port)) for _ in range(3)]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/main/0"

    def ready(self) -> bool:
        """Whether every Sentinel knows the two others and the replica."""
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                state = client.sentinel_master("main")
            if state["num-other-sentinels"] != 2 or state["num-slaves"] != 1:
                return False
        return True

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            for server in (self.primary, self.replica):
                undo.callback(server.close)
                server.start()
            linked(self.replica)  # a Sentinel looks for replicas when it starts, and then every 10 s
            for sentinel in self.sentinels:
                undo.callback(sentinel.close)
                sentinel.start()
            _until(self.ready)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()


def _sentinel(primary: int) -> str:
    return (
        f"sentinel monitor main 127.0.0.1 {primary} 2\n"
        "sentinel down-after-milliseconds main 500\n"
        "sentinel failover-timeout main 3000\n"
    )


class Cluster:
    """Three primaries that share the slots."""

    def __init__(self) -> None:
        options = (*DURABLE, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
        self.nodes = [RedisServer(*options, port=free_port()) for _ in range(3)]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            for node in self.nodes:
                undo.callback(node.close)
                node.start()
            for number, node in enumerate(self.nodes):
                first, last = number * 16384 // 3, (number + 1) * 16384 // 3 - 1
                node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
                node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            for node in self.nodes[1:]:
                node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
            _until(lambda: all(self._whole(node) for node in self.nodes))
            self._undo = undo.pop_all()
        return self

    def begin_move(self, slot: int, source: RedisServer, target: RedisServer) -> list[bytes]:
        """Announce that a slot moves; answers what is in it now."""
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.ask("CLUSTER", "MYID"))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.ask("CLUSTER", "MYID"))
        return list(source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1000))

    def end_move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Carry over what is left in it, until nothing is."""
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1000):
            carry(keys, source, target)
        for node in (target, source, *self.nodes):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.ask("CLUSTER", "MYID"))

    def move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Move a slot with all that is in it, as an operator does."""
        self.begin_move(slot, source, target)
        self.end_move(slot, source, target)

    def home(self, cid: str) -> tuple[int, RedisServer, RedisServer]:
        """The slot of a conversation, the server that has it, and one that has not."""
        source = next(node for node in self.nodes if node.ask("KEYS", f"*log:{cid}"))
        (key,) = source.ask("KEYS", f"*log:{cid}")
        return source.ask("CLUSTER", "KEYSLOT", key), source, next(n for n in self.nodes if n is not source)

    def _whole(self, node: RedisServer) -> bool:
        info = node.ask("CLUSTER", "INFO")
        return b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info

    def __exit__(self, *_: object) -> None:
        self._undo.close()


def carry(keys: Sequence[bytes], source: RedisServer, target: RedisServer) -> None:
    source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)


def _until(check: Any) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        with suppress(RedisError, KeyError):
            if check():
                return
        if time.monotonic() > until:
            raise AssertionError("the servers did not come together")
        time.sleep(0.02)


async def flush(*servers: RedisServer) -> None:
    for server in servers:
        await asyncio.to_thread(server.ask, "FLUSHALL")


def ports(servers: Sequence[RedisServer]) -> list[int]:
    return [server.port for server in servers]
