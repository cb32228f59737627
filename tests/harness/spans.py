"""Stretches of time: what they have in common, and how much of them lies in another."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

Span = tuple[datetime, datetime]  # from, until


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time without overlaps, in order."""
    found: list[Span] = []
    for began, ended in sorted(spans):
        if found and began <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ended))
        else:
            found.append((began, ended))
    return found


def common(groups: Collection[Iterable[Span]]) -> list[Span]:
    """When every one of `groups` has a span; never where there are none."""
    changes = [change for group in groups for b, e in merged(group) for change in ((b, 1), (e, -1))]
    found: list[Span] = []
    depth, since = 0, None
    for at, change in sorted(changes):
        depth += change
        if depth == len(groups) and since is None:
            since = at
        elif depth < len(groups) and since is not None:
            found.append((since, at))
            since = None
    return found


def longer(spans: Iterable[Span], by: float) -> list[Span]:
    return merged((began, ended + timedelta(seconds=by)) for began, ended in spans)


def within(spans: Iterable[Span], began: datetime, ended: datetime) -> float:
    """Seconds of `began` to `ended` that lie in `spans`, which do not overlap."""
    parts = ((min(e, ended) - max(b, began)).total_seconds() for b, e in spans)
    return sum(part for part in parts if part > 0)
