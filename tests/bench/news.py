"""News in the format of MIND that nobody wrote: of any size, with the statistics of the real ones, and text that tells."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
TOPICS = 12
_COMMON, _OWN = 400, 60
"""Words that all topics share, and words of each."""


def write_news(folder: Path, *, items: int = 600, impressions: int = 400, seed: int = 0) -> Path:
    """Writes train and dev folders below `folder`, unless they are there, and gives it.

    Popularity is Zipf's, histories have 32 items in the mean and a long tail, impressions 38 candidates with 1.5 clicks, titles
    11 words. A user likes few topics, and half of the words of a title are of its topic, so that clicks can be told from text.
    """
    if (folder / "dev" / "behaviors.tsv").exists():
        return folder
    generator = np.random.default_rng(seed)
    words = _words()
    topic = generator.integers(0, TOPICS, items)
    lines = []
    for row, place in enumerate(topic):
        length = max(3, int(generator.poisson(11)))
        own = generator.random(length) < 0.5
        ids = np.where(
            own,
            _COMMON + place * _OWN + generator.integers(0, _OWN, length),
            _zipf(generator, _COMMON, length),
        )
        title = " ".join(words[word] for word in ids)
        lines.append(f"N{row}\ttopic{place}\ttopic{place}\t{title}\t\t\t[]\t[]\n")
    popularity = 1 / np.arange(1, items + 1) ** 0.9
    for part, count in (("train", impressions), ("dev", max(1, impressions // 8))):
        (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / part / "news.tsv").write_text("".join(lines), encoding="utf-8")
        rows = [_behavior(generator, number, topic, popularity) for number in range(count)]
        (folder / part / "behaviors.tsv").write_text("".join(rows), encoding="utf-8")
    return folder


def _behavior(generator: np.random.Generator, number: int, topic: np.ndarray, popularity: np.ndarray) -> str:
    likes = np.isin(topic, generator.choice(TOPICS, 2, replace=False))
    taste = popularity * np.where(likes, 8.0, 1.0)
    length = int(min(len(topic) // 2, max(1, generator.lognormal(3.0, 0.9))))
    history = generator.choice(len(topic), length, replace=False, p=taste / taste.sum())
    shown = generator.choice(len(topic), min(len(topic), 38), replace=False, p=popularity / popularity.sum())
    clicks = generator.choice(
        len(shown), 1 + int(generator.random() < 0.5), replace=False, p=_share(taste[shown])
    )
    candidates = " ".join(f"N{item}-{int(place in clicks)}" for place, item in enumerate(shown))
    time = f"11/{1 + number % 9}/2019 {1 + number % 12}:{number % 60:02d}:00 AM"
    return f"{number}\tU{number}\t{time}\t{' '.join(f'N{item}' for item in history)}\t{candidates}\n"


def _share(values: np.ndarray) -> np.ndarray:
    return values / values.sum()


def _zipf(generator: np.random.Generator, count: int, size: int) -> np.ndarray:
    return generator.choice(count, size, p=_share(1 / np.arange(1, count + 1)))


def _words() -> list[str]:
    """Words that people use, so that a tokenizer knows them: those of the titles of the films that come with the examples."""
    lines = (
        (ROOT / "examples" / "data" / "ml-latest-small" / "movies.csv")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    counts = Counter(word for line in lines for word in re.findall(r"[a-z]{3,}", line.lower()))
    return [word for word, _ in counts.most_common(_COMMON + TOPICS * _OWN)]
