"""How fast and in how much memory MIND of a given size is prepared: `python benchmarks/prepare_mind.py --share 0.1`.

Share 1 is the size of MIND-large (2,232,748 train impressions, 160,000 news). The yardstick is a plain loop over the lines of the
same train file, measured in the same run: split each, look ids up in dicts, append numbers to lists. What is compared is the time
of the processor, so that others on the machine do not count.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from mind_format import write

ROWS, NEWS = 2_232_748, 160_000
LOOP = 20_000
"""Lines that the plain loop reads; what a line costs does not depend on how many there are."""


def loop(path: Path, limit: int) -> float:
    """Seconds of processor a line of a plain loop."""
    begun, count = time.process_time(), 0
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    table = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            if count == limit:
                break
            count += 1
            number, user, moment, history, shown = line.rstrip("\n").split("\t")
            past = [items.setdefault(each, len(items)) for each in history.split()]
            candidates, labels = [], []
            for each in shown.split():
                name, _, label = each.partition("-")
                candidates.append(items.setdefault(name, len(items)))
                labels.append(int(label))
            seconds = datetime.strptime(moment, "%m/%d/%Y %I:%M:%S %p").timestamp()  # noqa: DTZ007 - a yardstick
            table.append((int(number), users.setdefault(user, len(users)), seconds, past, candidates, labels))
    return (time.process_time() - begun) / count


def prepared(raw: Path, out: Path) -> dict[str, float]:
    """Seconds and the peak of memory of preparing, in a process of its own; seconds of opening."""
    code = (
        "import resource, sys, time, json\n"
        "from lego import MIND\n"
        "from lego.data.store import prepare, Store\n"
        "begun, cpu = time.perf_counter(), time.process_time()\n"
        "store = prepare(MIND(sys.argv[1]), sys.argv[2], progress=lambda step: print(step, file=sys.stderr))\n"
        "made, cpu = time.perf_counter() - begun, time.process_time() - cpu\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20\n"
        "print(json.dumps([made, cpu, peak, str(store.path)]))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(raw), str(out)], check=True, stdout=subprocess.PIPE, text=True
    )
    seconds, processor, peak, folder = json.loads(answer.stdout)
    code = (
        "import sys, time\n"
        "from lego.data.store import Store\n"
        "begun = time.perf_counter()\n"
        "store = Store.open(sys.argv[1]); store.users; [store.part(part) for part in store.parts]; store.item_ids\n"
        "print(time.perf_counter() - begun)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, folder], check=True, stdout=subprocess.PIPE, text=True
    )
    return {
        "seconds": seconds,
        "seconds of processor": processor,
        "peak GiB": peak,
        "seconds to open": float(answer.stdout),
    }


def main() -> None:
    """The command; one JSON document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--share", type=float, default=0.1)
    asked = parser.parse_args()
    rows = int(ROWS * asked.share)
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        write(raw, rows, int(NEWS * asked.share))
        size = sum(path.stat().st_size for path in raw.rglob("*.tsv"))
        plain = loop(raw / "train" / "behaviors.tsv", LOOP)
        found = prepared(raw, Path(folder) / "out")
    whole = rows + max(10, rows // 6)
    record = {
        "rows": whole,
        "raw GiB": size / 2**30,
        **found,
        "rows a second of processor": whole / found["seconds of processor"],
        "rows a second of processor, plain loop": 1 / plain,
        "times as fast": plain * whole / found["seconds of processor"],
    }
    print(json.dumps({name: round(value, 3) for name, value in record.items()}, indent=1))
    print(
        f"peak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
