"""`lego evaluate`: score a checkpoint again, or read scores in the protocols of the field."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from lego.runtime.reading import Readings, Scored
    from lego.spec import Rerank


class Part(StrEnum):
    """The parts of the data."""

    train = "train"
    dev = "dev"
    test = "test"


@attrs.frozen
class _Again:
    """What `--rerank` asked for, if anything."""

    rerank: Rerank | None
    category: str | None
    vectors: str

    @property
    def told(self) -> dict[str, str]:
        """For JSON."""
        return {} if self.rerank is None else {"rerank": repr(self.rerank)}

    @property
    def title(self) -> str:
        """For a table's title."""
        return "" if self.rerank is None else f", re-ranked by {self.rerank!r}"

    @property
    def row(self) -> str:
        """What the numbers of the run are called beside others."""
        return "this model" if self.rerank is None else f"re-ranked by {self.rerank!r}"

    def of(self, scored: Scored, device: str, screen: Any) -> Scored:
        """The scores, re-ranked where that was asked for."""
        if self.rerank is None:
            return scored
        from lego.runtime.beyond import vectors_of
        from lego.runtime.rerank import reranked

        compared = None
        if self.rerank.reads_vectors:
            compared = vectors_of(scored, self.vectors, device=device, screen=screen)
        return reranked(scored, self.rerank, category=self.category, vectors=compared)


def evaluate(
    run: Path | None = typer.Argument(None, metavar="[RUN]", help="A run folder, as printed by `lego run`."),
    scores: Path | None = typer.Option(
        None,
        metavar="FILE",
        help="Scores of any system instead: Parquet or CSV with impression, item, label, score, and user where known; "
        "or a folder of such files, as several processes write them.",
    ),
    part: Part = typer.Option(Part.test, help="Which part of the data."),
    protocol: str = typer.Option(
        "",
        help="Read the scores by this protocol, or by `all`; by the run's own unless given, a file by all.",
    ),
    metric: list[str] = typer.Option(
        [],
        metavar="NAME",
        help="Measure this too, as in ndcg@20: of a file, or of the kept scores of a run. May be given several times.",
    ),
    logits: bool = typer.Option(False, "--logits", help="The scores of the file are logits of a click."),
    submission: Path | None = typer.Option(
        None,
        metavar="FILE",
        help="Write ranks in the form of the MIND challenge: prediction.txt, or prediction.zip with it. "
        "EB-NeRD wants predictions.zip.",
    ),
    export: Path | None = typer.Option(
        None,
        metavar="FILE",
        help="Write the scores with ids, labels, history lengths and times: Parquet or CSV.",
    ),
    slices: bool = typer.Option(
        False, "--slices", help="Accuracy by length of history, by cold and warm items, and by category."
    ),
    beyond: bool = typer.Option(
        False,
        "--beyond",
        help="Diversity, categories, novelty, popularity, serendipity and calibration of the best items.",
    ),
    per_user: Path | None = typer.Option(
        None, metavar="FILE", help="With --beyond: write its numbers for each user, as Parquet or CSV."
    ),
    retrieval: bool = typer.Option(
        False, "--retrieval", help="Rank all items of the data for each impression, and look for its clicks."
    ),
    rerank: str = typer.Option(
        "",
        metavar="RERANKER",
        help="Rank the candidates again by more than the score first, as in 'MMR(0.7)' (see `lego catalog rerank`).",
    ),
    k: list[int] = typer.Option(
        [],
        "-k",
        min=1,
        help="How many items are best: 10 for --beyond; for --retrieval 10, 50 and 100. May be given several times.",
    ),
    category: str = typer.Option(
        "", metavar="NAME", help="The attribute that --slices, --beyond and --rerank call a category."
    ),
    vectors: str = typer.Option(
        "",
        metavar="FILE",
        help="Item vectors for --beyond and --rerank: a file, a checkpoint that makes them, or `words` for those of the items' "
        "words. The model's own unless given, or, where it makes none, words.",
    ),
    device: str = typer.Option("auto", help="cpu, cuda, mps, or auto."),
    no_cache: bool = typer.Option(
        False, "--no-cache", help="Score without caches: slower, the same numbers."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Score the kept checkpoint of a run again: the same numbers, to the last digit. Or read scores in other protocols."""
    from lego.errors import SpecError

    if (run is None) == (scores is None):
        raise SpecError("lego evaluate: name a run folder, or a file with --scores FILE; one of the two.")
    if scores is not None:
        _refuse_with_scores(
            submission=submission,
            export=export,
            slices=slices,
            beyond=beyond,
            per_user=per_user,
            retrieval=retrieval,
            rerank=rerank,
            k=k,
        )
        _of_file(scores, protocol, metric, logits=logits, as_json=as_json)
        return
    assert run is not None
    if logits:
        raise SpecError("lego evaluate: --logits goes with --scores; a run knows what its scores are.")
    from lego.cli.rerank import read
    from lego.metric.protocol import PROTOCOLS
    from lego.metric.protocol import protocol as named
    from lego.runtime.reading import ALL

    if protocol not in ("", ALL, *PROTOCOLS):
        named(protocol)  # the error that lists them
    if per_user is not None and not beyond:
        raise SpecError("lego evaluate: --per-user goes with --beyond.")
    again = _Again(read(rerank), category or None, vectors)
    if rerank and retrieval:
        raise SpecError("lego evaluate: --retrieval goes without --rerank.")
    if slices or beyond or retrieval:
        if protocol or metric or submission or export:
            raise SpecError(
                "lego evaluate: --slices, --beyond and --retrieval go without --protocol, --metric and files."
            )
        _more(
            run,
            part.value,
            slices=slices,
            beyond=beyond,
            per_user=per_user,
            retrieval=retrieval,
            cuts=k,
            category=category or None,
            vectors=vectors,
            again=again,
            device=device,
            as_json=as_json,
        )
    elif protocol == ALL or metric or submission or export or rerank:
        _of_run(
            run,
            part,
            protocol,
            metric,
            submission,
            export,
            again,
            device=device,
            cache=not no_cache,
            as_json=as_json,
        )
    else:
        _again(run, part, protocol, device=device, cache=not no_cache, as_json=as_json)


def _again(run: Path, part: Part, protocol: str, *, device: str, cache: bool, as_json: bool) -> None:
    """The checkpoint once more, beside the baselines."""
    import attrs

    from lego.cli.output import errors, print_json
    from lego.cli.run import SHAPE, show
    from lego.runtime.load import load
    from lego.runtime.progress import Screen

    loaded = load(run, device=device, screen=Screen(errors()))
    if protocol:
        experiment = loaded.experiment.set(f"evaluation.protocol={protocol!r}")
        loaded = attrs.evolve(loaded, experiment=experiment)
    record = loaded.evaluate(part.value, cache=cache)
    if as_json:
        print_json({**{key: record[key] for key in SHAPE}, "part": record["part"]})
    else:
        show(record)


def _of_run(
    run: Path,
    part: Part,
    protocol: str,
    metrics: list[str],
    submission: Path | None,
    export: Path | None,
    again: _Again,
    *,
    device: str,
    cache: bool,
    as_json: bool,
) -> None:
    """The kept scores of a run, or new ones where it kept none: read, and written elsewhere."""
    from lego.cli.output import console, errors, print_json
    from lego.runtime.progress import Screen
    from lego.runtime.reading import scored
    from lego.runtime.scored import scores_table, write_submission, write_table

    screen = Screen(errors())
    found = again.of(scored(run, part.value, device=device, cache=cache, screen=screen), device, screen)
    read = found.read(protocol, metrics)
    told: dict[str, Any] = {"run": str(run), "part": part.value, **again.told}
    if submission is not None:
        member = found.store.manifest["rules"].get("submission", "prediction.txt")
        write_submission(submission, found.impressions, found.scores, member)
        told["submission"] = str(submission)
    if export is not None:
        write_table(export, scores_table(found.store, found.impressions, found.scores, full=True))
        told["export"] = str(export)
    if as_json:
        print_json({**read.record, **told})
        return
    _show(read, f"{part.value} ({len(found.impressions):,} impressions){again.title}")
    for name in ("submission", "export"):
        if name in told:
            console(as_json=False).print(f"{name}: {told[name]}", markup=False, soft_wrap=True)


def _of_file(path: Path, protocol: str, metrics: list[str], *, logits: bool, as_json: bool) -> None:
    from lego.cli.output import print_json
    from lego.runtime.reading import ALL, read_file

    read = read_file(path, protocol or ALL, metrics, logits=logits)
    if as_json:
        print_json({**read.record, "scores": str(path)})
    else:
        _show(read, str(path))


def _more(
    run: Path,
    part: str,
    *,
    slices: bool,
    beyond: bool,
    per_user: Path | None,
    retrieval: bool,
    cuts: list[int],
    category: str | None,
    vectors: str,
    again: _Again,
    device: str,
    as_json: bool,
) -> None:
    """What one number does not say, beside what it is for the baselines."""
    from lego.cli.output import console, errors, print_json
    from lego.report.table import print_metrics
    from lego.runtime.beyond import vectors_of, vectors_told
    from lego.runtime.load import load
    from lego.runtime.progress import Screen
    from lego.runtime.reading import beside, scored
    from lego.runtime.retrieval import CUTS
    from lego.runtime.retrieval import retrieval as retrieved

    screen = Screen(errors())
    told: dict[str, Any] = {"run": str(run), "part": part, **again.told}
    shown: list[_Shown] = []
    if slices or beyond:
        plain = scored(run, part, device=device, screen=screen)
        found = again.of(plain, device, screen)
        others = ({} if found is plain else {"this model": plain}) | beside(plain)
        if slices:
            shown += _slices(found, others, category, again, told)
        if beyond:
            compared = vectors_of(found, vectors, device=device, screen=screen)
            if compared is not None:
                told["vectors"] = vectors_told(found, vectors)
            shown.append(_lists(found, others, cuts or [10], category, compared, again, told))
            if per_user is not None:
                _users(found, cuts or [10], category, compared, per_user)
                told["per_user"] = str(per_user)
    if retrieval:
        loaded = load(run, device=device, screen=screen)
        made = retrieved(loaded, part, cuts=cuts or CUTS, screen=screen)
        told["retrieval"] = made
        title = f"all {made['items']:,} items for each of {made['impressions']:,} impressions"
        left = f"left out: {made['left_out']:,} impressions without a click to find"
        if made["exclude_seen"]:
            left += f"; {made['clicks_on_seen']:,} clicks on items of the history, which are not ranked"
        rows = {"this model": made["metrics"], **made["baselines"]}
        shown.append(_Shown(title, rows, (left, "random: the mean over all orders")))
    if as_json:
        print_json(told)
        return
    terminal = console(as_json=False)
    for place, each in enumerate(shown):
        if place:
            terminal.print()
        print_metrics(each.rows, terminal, title=each.title)
        for line in each.notes:
            terminal.print(line, markup=False, soft_wrap=True)
    if "per_user" in told:
        terminal.print(f"per user: {told['per_user']}", markup=False, soft_wrap=True)


@attrs.frozen
class _Shown:
    """A table, and what is needed to read it."""

    title: str
    rows: Mapping[str, Mapping[str, float | None]]
    notes: tuple[str, ...] = ()


def _slices(
    found: Scored, others: Mapping[str, Scored], category: str | None, again: _Again, told: dict[str, Any]
) -> list[_Shown]:
    """All metrics of the model by slice, and the monitored one beside the baselines."""
    from lego.metric.parse import parse_metric
    from lego.runtime import beyond as more

    every = {again.row: more.slices(found, category=category)}
    every |= {name: more.slices(each, category=category) for name, each in others.items()}
    told["slices"] = every[again.row]
    for name in others:
        told.setdefault("baselines", {}).setdefault(name, {})["slices"] = every[name]
    monitor = parse_metric(found.experiment.training.monitor).name
    named: dict[str, dict[str, float | None]] = {}
    for name, made in every.items():
        for row, values in more.told(made):
            named.setdefault(row, {})[name] = values[monitor]
    return [
        _Shown(f"{again.row}, by slice", dict(more.told(every[again.row]))),
        _Shown(f"{monitor} by slice", named),
    ]


def _lists(
    found: Scored,
    others: Mapping[str, Scored],
    cuts: list[int],
    category: str | None,
    vectors: NDArray[np.float32] | None,
    again: _Again,
    told: dict[str, Any],
) -> _Shown:
    """Numbers of the best items, all scorers compared by the same vectors."""
    from lego.runtime import beyond as more

    rows = {
        name: {
            metric: value
            for best in cuts
            for metric, value in more.beyond_accuracy(each, best, category=category, vectors=vectors).items()
        }
        for name, each in {again.row: found, **others}.items()
    }
    told["beyond"] = rows[again.row]
    for name in others:
        told.setdefault("baselines", {}).setdefault(name, {})["beyond"] = rows[name]
    notes = []
    if "vectors" in told:
        notes.append(f"diversity and serendipity compare items by {told['vectors']}")
    named = more.category_named(found.store, category)
    if named is not None:
        told["category"] = named
        notes.append(f"category: {named}")
    return _Shown("beyond accuracy, the mean over users", rows, tuple(notes))


def _users(
    found: Scored,
    cuts: list[int],
    category: str | None,
    vectors: NDArray[np.float32] | None,
    file: Path,
) -> None:
    """The numbers of each user, written."""
    from lego.runtime import beyond as more
    from lego.runtime.scored import write_table

    table = None
    for best in cuts:
        made = more.beyond_per_user(found, best, category=category, vectors=vectors)
        table = made if table is None else _beside(table, made)
    assert table is not None
    write_table(file, table)


def _beside(table: Any, other: Any) -> Any:
    """The columns of another table of the same users that the first lacks."""
    for name in other.column_names:
        if name not in table.column_names:
            table = table.append_column(name, other[name])
    return table


def _refuse_with_scores(**given: object) -> None:
    from lego.errors import SpecError

    asked = [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
    if asked:
        raise SpecError(f"lego evaluate --scores: {', '.join(asked)} is for a run, whose data is known.")


def _show(read: Readings, title: str) -> None:
    """By our names, then by those of the sources, then what each protocol did."""
    from lego.cli.output import console
    from lego.metric.protocol import HEADINGS, told
    from lego.report.table import print_metrics

    screen = console(as_json=False)
    screen.print(title, markup=False, soft_wrap=True)
    print_metrics({name: each.values for name, each in read.found.items()}, screen, heading="protocol")
    if len(read.found) > 1:
        said = {
            name: {heading: each.called.get(heading) for heading in HEADINGS}
            for name, each in read.found.items()
        }
        screen.print()
        print_metrics(said, screen, title="the same, as each source calls it", heading="protocol")
        screen.print()
    for name, each in read.found.items():
        out = [f"{count:,} impressions left out: {why}" for why, count in each.left_out.items()]
        one = int(each.counts["left_out"])
        parts = [
            f"per {each.protocol.group}",
            f"{int(each.counts['groups']):,} groups ({one:,} of one class)",
            f"ties {each.rule} ({each.counts['tie_rate']:.1%} have one)",
            *out,
            *(f"not applied: {rule}" for rule in each.not_applied),
            *told(each.why_undefined),
        ]
        screen.print(f"{name}: {'; '.join(parts)}", markup=False, soft_wrap=True)
    for name, why in read.refused.items():
        screen.print(f"{name}: cannot read these scores: {why}", markup=False, soft_wrap=True)
