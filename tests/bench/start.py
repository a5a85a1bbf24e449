"""What it costs to begin: the commands that only look, opening a prepared folder, and the best of a million items.

A command is a process of its own, so that what it imports counts; beside it stand a bare interpreter and one that imports torch.
For one user and for a thousand all items are scored; the plain way makes the whole matrix of scores and sorts it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measure import Pool, Row
from step import made_up

from lego import MIND, Dot, Experiment, ItemID, Mean, Recommender, Training, load
from lego.data import prepare as data_prepare
from lego.data.store import Store
from lego.home import home

PAGE = "speed_of_starting.md"
ITEMS = 1_000_000
USERS = (1, 1_000)
IMPRESSIONS, DEV = 6_000, 2_000
"""They have two thousand users."""
WIDTH, BEST = 64, 10
SCRIPT = """from lego import MIND, Experiment, zoo

experiment = Experiment(data=MIND({folder!r}, history=50), model=zoo.nrms())
"""
PYTHON, TORCH = "a bare interpreter", "an interpreter that imports torch"
LEGO = "import sys; from lego.cli import main; sys.argv[0] = 'lego'; main()"
COMMANDS = {
    PYTHON: ("-c", "pass"),
    TORCH: ("-c", "import torch"),
    "lego --help": ("-c", LEGO, "--help"),
    "lego catalog": ("-c", LEGO, "catalog"),
    "lego check SCRIPT": ("-c", LEGO, "check", "SCRIPT"),
}
OPENED = "opening a prepared folder"
OURS, PLAIN = "lego", "all scores, sorted"


def _run(items: int) -> Any:
    """An untrained model of item ids on news that nobody wrote, made once."""
    data = MIND(str(made_up(items, IMPRESSIONS, DEV)), history=50)
    model = Recommender(content=ItemID(), behavior=Mean(), predictor=Dot(), width=WIDTH)
    experiment = Experiment(data=data, model=model, training=Training(epochs=0))
    return load(experiment.run(out=home() / "bench" / "runs", name=f"start-{items}", reuse=True).path)


def prepare(*, how: str, items: int = 0, users: int = 0) -> tuple[Callable[[int], int], dict[str, Any]]:
    """The step of a row: it does it once."""
    if how in COMMANDS:
        script = home() / "bench" / "start.py"
        folder = made_up(300, 400, 20)
        script.write_text(SCRIPT.format(folder=str(folder)), encoding="utf-8")
        command = [sys.executable, *(str(script) if each == "SCRIPT" else each for each in COMMANDS[how])]
        quiet = {**os.environ, "NO_COLOR": "1"}

        def called(_: int) -> int:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=quiet)
            return 1

        return called, {}
    if how == OPENED:
        made = data_prepare.prepare(MIND(str(made_up(items, IMPRESSIONS, DEV))), home() / "data")

        def opened(_: int) -> int:
            here = Store.open(made.path)
            assert len(here.item_ids)
            assert sum(len(here.part(part)) for part in here.parts)
            return 1

        size = sum(path.stat().st_size for path in Path(made.path).rglob("*") if path.is_file())
        return opened, {"bytes": size}
    if how == OURS:
        loaded = _run(items)
        known = list(dict.fromkeys(map(str, loaded.store.users.user_ids.to_pylist())))[:users]
        asked = {"user": known[0]} if users == 1 else {"users": known}

        def recommended(_: int) -> int:
            assert len(loaded.recommend(**asked, k=BEST)) == BEST * len(known)
            return 1

        return recommended, {"users": len(known), "items": loaded.store.item_count}
    generator = np.random.default_rng(0)
    table = generator.normal(size=(items, WIDTH)).astype(np.float32)
    vectors = generator.normal(size=(users, WIDTH)).astype(np.float32)

    def sorted_out(_: int) -> int:
        # A hundred users at a time: their scores, and the order of them, are 1.2 GB for a million items.
        for part in np.array_split(vectors, -(-users // 100)):
            np.argsort(-(part @ table.T), axis=1)[:, :BEST]
        return 1

    return sorted_out, {}


def measure(*, quick: bool, seconds: float, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Commands in turn, then what is asked of a million items."""
    items = 500 if quick else ITEMS
    counts = (1, 8) if quick else USERS
    run = {"rounds": rounds, "seconds": seconds, "say": say}
    found: dict[str, Any] = {"items": items}
    with Pool("start", together=True) as pool:
        jobs = {name: {"how": name} for name in COMMANDS}
        jobs[OPENED] = {"how": OPENED, "items": items}
        found["start"] = {name: _numbers(row) for name, row in pool.interleave(jobs, **run).items()}
    found["best"] = {}
    with Pool("start") as pool:
        for users in counts:
            rows = pool.interleave(
                {how: {"how": how, "items": items, "users": users} for how in (OURS, PLAIN)}, **run
            )
            found["best"][str(users)] = {
                how: {**_numbers(row), "ratio": rows[OURS].ratio(row)} for how, row in rows.items()
            }
    return found


def _numbers(row: Row) -> dict[str, Any]:
    return {**row.record(), "cost": row.cost, "wall": median(each.wall / each.work for each in row.turns)}


def page(numbers: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """As Markdown."""
    items = f"{numbers['items']:,}"
    lines = [
        HEAD.format(processor=machine["processor"], torch=machine["torch"], items=items),
        "| what | CPU seconds | seconds of the clock |",
        "|---|---:|---:|",
    ]
    lines += [
        f"| {'`' + name + '`' if name.startswith('lego') else name} | {row['cost']:.3f} | {row['wall']:.3f} |"
        for name, row in numbers["start"].items()
    ]
    lines += [
        BEST_HEAD.format(items=items),
        "| users | CPU seconds | the plain way | ratio | peak MB | the plain way, MB |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for rows in numbers["best"].values():
        users = rows[OURS]["about"]["users"]
        middle, least, most = rows[PLAIN]["ratio"]
        lines.append(
            f"| {users:,} | {rows[OURS]['cost']:.3f} | {rows[PLAIN]['cost']:.3f} | {middle:.1f} ({least:.1f} to {most:.1f}) "
            f"| {rows[OURS]['peak'] / 1e6:,.0f} | {rows[PLAIN]['peak'] / 1e6:,.0f} |"
        )
    return "\n".join(lines) + "\n"


HEAD = """# The speed of starting

`make bench ONLY=start` on one thread of {processor}, torch {torch}. CPU time and time of the clock, the medians of the rounds;
ways take turns, and the clock counts what else the machine did. A command is a process of its own. The prepared folder has
{items} items; opening it reads ids and impressions, and maps the rest.
"""
BEST_HEAD = """
## The best of {items} items

Ten items for each user out of all of them, without those that the user had, by vectors of items 64 wide: `Loaded.recommend`,
beside the whole matrix of scores, sorted a hundred users at a time, with vectors that are there already and nothing left out.
"""
