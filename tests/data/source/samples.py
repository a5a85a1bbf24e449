"""Small samples of real rows, in the official layout: whole lines of the files, so that models train in seconds."""

from __future__ import annotations

from pathlib import Path


def cut_mind(shared: Path, folder: Path, rows: int) -> tuple[Path, Path]:
    """The first impressions of each part of MIND, the news they name, and the Mandarin of these: folders of MIND and xMIND."""
    named: set[str] = set()
    for part in ("train", "dev"):
        lines = _lines(shared / "mind" / f"MINDsmall_{part}" / "behaviors.tsv")[:rows]
        _write(folder / "mind" / f"MINDsmall_{part}" / "behaviors.tsv", lines)
        for line in lines:
            *_, history, shown = line.split("\t")
            named |= {*history.split(), *(each.split("-")[0] for each in shown.split())}
    for part in ("train", "dev"):
        news = _lines(shared / "mind" / f"MINDsmall_{part}" / "news.tsv")
        kept = [line for line in news if line.split("\t")[0] in named]
        _write(folder / "mind" / f"MINDsmall_{part}" / "news.tsv", kept)
    header, *news = _lines(shared / "xmind" / "cmn" / "xMINDsmall_dev" / "news.tsv")
    kept = [header, *(line for line in news if line.split("\t")[0] in named)]
    _write(folder / "xmind" / "cmn" / "xMINDsmall_dev" / "news.tsv", kept)
    return folder / "mind", folder / "xmind"


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
