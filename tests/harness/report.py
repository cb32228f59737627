"""What a run says at its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from bridge.events import author
from tests.harness.history import History
from tests.harness.verdict import Verdict, text_of, type_of


@dataclass
class Report:
    seed: int
    seconds: float
    store: str
    servers: int
    history: History
    verdicts: Sequence[Verdict]
    faults: Mapping[str, int]
    complaints: Sequence[str] = field(default=())

    @property
    def good(self) -> bool:
        return not self.complaints and not any(verdict.broken for verdict in self.verdicts)

    def keep(self, folder: Path) -> None:
        """Beside the servers' logs: every conversation with which something is wrong, and what broke when."""
        wrong = "\n".join(line for verdict in self.verdicts for line in verdict.broken)
        for cid in (cid for cid in self.history.logs if cid in wrong):
            (folder / f"conversation-{cid}.txt").write_text(_written(self.history, cid), "utf-8")
        times = [f"{o.began} {o.ended} {o.what}: {o.kind}" for o in self.history.outages]
        (folder / "faults.txt").write_text("\n".join(sorted(times)), "utf-8")

    def _latency(self) -> str:
        """Of what was sent and acknowledged while nothing of ours was down or recovering."""
        history = self.history
        calm = sorted(
            latency.seconds * 1000
            for latency in history.latencies
            if not history.troubled(latency.sent, latency.until)
        )
        if not calm:
            return "no acknowledgement came outside faults"
        p50, p99 = calm[len(calm) // 2], calm[min(len(calm) - 1, len(calm) * 99 // 100)]
        return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms ({len(calm)} outside faults)"

    def __str__(self) -> str:
        history = self.history
        clients = {sitting.client for sitting in history.sittings}
        kills = {k: n for k, n in self.faults.items() if "kill" in k or "restart" in k}
        pauses = {k: n for k, n in self.faults.items() if k in ("pause", "redis stands still")}
        others = {k: n for k, n in self.faults.items() if k not in kills | pauses}
        starved = [o.ended - o.began for o in history.outages if o.what == "machine"]
        lines = [
            f"seed {self.seed}, {self.seconds:.0f} s, {self.servers} server(s) on {self.store}",
            f"  acknowledged  {len(history.acked)}, refused {len(history.declined)}",
            f"  latency       {self._latency()}",
            f"  kills         {_listed(kills)}",
            f"  pauses        {_listed(pauses)}",
            f"  other faults  {_listed(others)}",
            f"  machine       starved for {sum(starved, timedelta()).total_seconds():.0f} s",
            f"  clients       {len(clients)}, connected again {len(history.sittings) - len(clients)} times",
        ]
        for verdict in self.verdicts:
            state = f"BROKEN {len(verdict.broken)} times" if verdict.broken else "holds"
            counted = ", ".join(f"{number} {what}" for what, number in verdict.counted.items())
            lines.append(f"  law {verdict.law:>2} {verdict.name}: {state} ({counted})")
            lines += [f"      {broken}" for broken in verdict.broken[:10]]
        lines += [f"  {complaint}" for complaint in self.complaints]
        return "\n".join(lines)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {number}" for kind, number in sorted(counts.items())) or "none"


def _written(history: History, cid: str) -> str:
    lines = []
    for e in history.logs[cid]:
        came = history.seen.get((cid, e.seq))
        seen = " to ".join(f"{at:%M:%S.%f}"[:-3] for at in came) if came else "-"
        what = f"{type_of(e):12} {text_of(e)[:60]} {getattr(e.event, 'surface', '')} {getattr(e.event, 'reason', '')}"
        lines.append(f"{e.seq:4} {e.at:%H:%M:%S.%f} in the log {seen:24} {author(e.by):20} {e.key:28} {what}")
    lines += [f"slack {p.at:%H:%M:%S.%f} {p.seq} {p.text[:60]!r}" for p in history.slack if p.cid == cid]
    lines += [
        f"telegram {p.at:%H:%M:%S} {p.thread} {p.text[:60]!r}" for p in history.telegram if p.cid == cid
    ]
    return "\n".join(lines)
