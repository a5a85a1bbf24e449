"""Data in the format of MIND, of any size, that a model can learn from.

News have topics, and words of a title are mostly those of its topic; a user has a taste of topics, reads by it, and clicks by it
and by how popular an item is (Zipf). Histories have a mean of 32 with a long tail, impressions 38 candidates and 1.5 clicks. All
chance comes from the seed. What is written is made in blocks, so that memory does not grow with the rows.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import IO

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lego.ragged import Ragged, flat_positions, offsets_of

TOPICS = 18
TOPIC_WORDS = 600
COMMON_WORDS = 400
BLOCK = 20_000
TRAIN_BEGINS = 1_573_257_600  # 2019-11-09, as MIND's train part
DAY = 86_400


@attrs.frozen(eq=False, kw_only=True)
class World:
    """The news, and who reads them."""

    topic: NDArray[np.int64]
    """Of each item."""
    by_topic: Ragged
    """Items of each topic, the most popular first."""
    ids: pa.Array
    taste: NDArray[np.float32]
    """Share of each topic, user by user."""
    taste_to: NDArray[np.float32]
    """Share of the topics up to each, user by user."""
    weight_to: NDArray[np.float64]
    """Popularity of the items up to each."""


def make_world(news: int, users: int, rng: np.random.Generator) -> World:
    """Topics, Zipf weights and tastes."""
    topic = rng.integers(TOPICS, size=news)
    weight = (1.0 + rng.permutation(news)) ** -0.9
    order = np.lexsort((-weight, topic))
    taste = rng.gamma(0.3, size=(users, TOPICS)).astype(np.float32) + np.float32(1e-3)
    taste /= taste.sum(1, keepdims=True)
    weight /= weight.sum()
    return World(
        topic=topic,
        by_topic=Ragged.from_lengths(order, np.bincount(topic, minlength=TOPICS)),
        ids=pa.array([f"N{row + 1}" for row in range(news)]),
        taste=taste,
        taste_to=np.cumsum(taste, 1),
        weight_to=np.cumsum(weight),
    )


def write_news(path: Path, world: World, rng: np.random.Generator) -> None:
    """news.tsv: titles of 11 words on average, abstracts of 30."""
    words = np.array([f"w{number}" for number in range(TOPICS * TOPIC_WORDS + COMMON_WORDS)], object)
    topics = world.topic

    def texts(mean: float) -> list[str]:
        lengths = np.clip(rng.poisson(mean, len(topics)), 3, 40)
        owner = np.repeat(topics, lengths)
        rank = np.minimum(rng.zipf(1.3, len(owner)), 10**6)
        own = rng.random(len(owner)) < 0.7
        place = np.where(
            own, owner * TOPIC_WORDS + rank % TOPIC_WORDS, TOPICS * TOPIC_WORDS + rank % COMMON_WORDS
        )
        flat = pa.array(words[place], pa.string())
        column = pa.ListArray.from_arrays(pa.array(offsets_of(lengths), pa.int32()), flat)
        joined: list[str] = pc.binary_join(column, " ").to_pylist()
        return joined

    titles, abstracts = texts(11), texts(30)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for name, topic, title, abstract in zip(
            world.ids.to_pylist(), topics, titles, abstracts, strict=True
        ):
            part = f"topic{topic}\ttopic{topic}sub{len(title) % 9}"
            file.write(f"{name}\t{part}\t{title}\t{abstract}\thttps://example.org/{name}\t[]\t[]\n")


def write_behaviors(
    path: Path, world: World, rows: int, begins: int, days: int, rng: np.random.Generator
) -> None:
    """behaviors.tsv, block by block. A user has one history, which stands in each of its rows."""
    users = len(world.taste)
    shape = np.clip(rng.lognormal(np.log(17), 1.12, users), 0, 800).astype(np.int64)
    seeds = rng.integers(2**62, size=users)
    with path.open("wb") as file:
        for first in range(0, rows, BLOCK):
            count = min(BLOCK, rows - first)
            user = np.minimum(rng.zipf(1.6, count) - 1 + rng.integers(users, size=count), users * 2) % users
            _write_block(file, world, first, user, shape[user], seeds[user], begins, days, rng)


def _write_block(
    file: IO[bytes],
    world: World,
    first: int,
    user: NDArray[np.int64],
    lengths: NDArray[np.int64],
    seeds: NDArray[np.int64],
    begins: int,
    days: int,
    rng: np.random.Generator,
) -> None:
    # A history is a function of its user alone: its clicks are drawn with a counter, not with a stream.
    counter = flat_positions(np.zeros(len(lengths)), lengths)
    noise = _uniform(np.repeat(seeds, lengths) + counter)
    again = _uniform(np.repeat(seeds, lengths) + counter + 2**40)
    owner = np.repeat(np.arange(len(user)), lengths)
    topic = (world.taste_to[user][owner] < noise[:, None]).sum(1).clip(max=TOPICS - 1)
    history = _within(world, topic, again)
    shown = np.clip(rng.lognormal(np.log(26), 0.87, len(user)), 2, 300).astype(np.int64)
    row = np.repeat(np.arange(len(user)), shown)
    candidate = _any(world, rng.random(len(row)))
    score = np.log(world.taste[user[row], world.topic[candidate]]) + rng.gumbel(size=len(row))
    order = np.lexsort((-score, row))
    rank = np.empty(len(row), np.int64)
    rank[order] = np.arange(len(row)) - offsets_of(shown)[:-1][row[order]]
    clicks = np.minimum(1 + rng.poisson(0.5, len(user)), shown - 1)
    suffix = pa.array(["-0", "-1"]).take(pa.array((rank < clicks[row]).astype(np.int64)))
    marked = pc.binary_join_element_wise(world.ids.take(pa.array(candidate)), suffix, "")
    moment = pa.array(begins + rng.integers(days * DAY, size=len(user)), pa.timestamp("s"))
    columns = [
        pa.array(np.arange(first + 1, first + 1 + len(user))).cast(pa.string()),
        pc.binary_join_element_wise("U", pa.array(user + 1).cast(pa.string()), ""),
        pc.strftime(moment, format="%m/%d/%Y %I:%M:%S %p"),
        _joined(world.ids.take(pa.array(history)), lengths),
        _joined(marked, shown),
    ]
    lines = pc.binary_join_element_wise(*columns, "\t")
    file.write(("\n".join(lines.to_pylist()) + "\n").encode())


def _joined(values: pa.Array, lengths: NDArray[np.int64]) -> pa.Array:
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets_of(lengths), pa.int32()), values), " ")


def _within(world: World, topic: NDArray[np.int64], chance: NDArray[np.float64]) -> NDArray[np.int64]:
    """An item of each topic, the popular ones more often: ranks have a density that falls with the rank."""
    size = world.by_topic.lengths[topic]
    rank = np.minimum((size**chance - 1).astype(np.int64), size - 1)
    return world.by_topic.values[world.by_topic.offsets[topic] + rank]


def _any(world: World, chance: NDArray[np.float64]) -> NDArray[np.int64]:
    """An item in proportion to its popularity."""
    return np.searchsorted(world.weight_to, chance).clip(max=len(world.weight_to) - 1)


def _uniform(keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number from 0 to 1 for each key, the same for the same (splitmix64)."""
    mixed = keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))).astype(np.float64) / 2.0**64


def write(
    folder: Path,
    rows: int,
    news: int | None = None,
    users: int | None = None,
    dev: int | None = None,
    seed: int = 0,
) -> None:
    """`train` and `dev` below the folder. Unless given: a news per 14 rows, a user per 3, a sixth of the rows in dev."""
    rng = np.random.default_rng(seed)
    news, users = news or max(200, rows // 14), users or max(20, rows // 3)
    world = make_world(news, users, rng)
    for part, count, begins, days in (
        ("train", rows, TRAIN_BEGINS, 6),
        ("dev", dev or max(10, rows // 6), TRAIN_BEGINS + 6 * DAY, 1),
    ):
        place = folder / part
        place.mkdir(parents=True, exist_ok=True)
        write_behaviors(place / "behaviors.tsv", world, count, begins, days, rng)
    # Both parts have the same news. Those of dev are written last, so that a folder without them is one that was left half-way.
    write_news(folder / "train" / "news.tsv", world, np.random.default_rng([seed, 1]))
    shutil.copyfile(folder / "train" / "news.tsv", folder / "dev" / "news.tsv")
