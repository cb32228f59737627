"""The scripts that run inside Redis: each one is atomic, and works on declared keys of one bucket."""

from hashlib import sha1
from importlib.resources import files

from msgspec import Struct

_FOLDER = files("bridge.store.redis").joinpath("lua")
_BUCKET = _FOLDER.joinpath("bucket.lua").read_text("utf-8")


class Script(Struct, frozen=True):
    """`sha` is the name by which Redis remembers a script that it has seen; it forgets them at a restart.

    One that `counts` answers the bucket's count of appends, and beside it what it was asked for.
    """

    text: str
    sha: str
    counts: bool


def _script(name: str, *, counts: bool = False, before: str = _BUCKET) -> Script:
    text = before + _FOLDER.joinpath(f"{name}.lua").read_text("utf-8")
    return Script(text, sha1(text.encode()).hexdigest(), counts)  # noqa: S324 - that is how Redis names them


ADD = _script("add")
ADVANCE = _script("advance")
APPEND = _script("append", counts=True)
ARM = _script("arm")
BEHIND = _script("behind")
CONFIRM = _script("confirm")
DELETE = _script("delete")
DUE = _script("due")
HEADS = _script("heads", counts=True)
LEASE = _script("lease")
PURGE = _script("purge")
PUT = _script("put")
READ = _script("read", counts=True)
RELEASE = _script("release")
SCAN = _script("scan")

IDENTITY = _script("identity", before="")
TOLD = _script("told", before="")
