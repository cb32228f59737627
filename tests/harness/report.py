"""What a run says at its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tests.harness.checker import Verdict
from tests.harness.history import History


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

    def _latency(self) -> str:
        """Of what was sent and acknowledged while nothing of ours was down or recovering."""
        history = self.history
        calm = sorted(
            latency.seconds * 1000
            for latency in history.latencies
            if not history.during(latency.sent, latency.until)
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
