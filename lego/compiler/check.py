"""Everything that can be known to be wrong before a weight is loaded, all of it at once. Rules read declarations, not code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from lego import catalog
from lego.compiler.content import leaves
from lego.compiler.rules import (
    SUPPORTED_NEEDS,
    asks_too_early,
    fed_parts,
    item_form,
    parts_of,
    shares_tokens,
)
from lego.compiler.trial import trial
from lego.contract import Form, Need, Reads
from lego.errors import DataError, LegoError, Problem, did_you_mean
from lego.metric.parse import parse_metric
from lego.recommender import Recommender
from lego.spec import Behavior, Content, Predictor, Spec, choices, field_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lego.experiment import Experiment


NAMED = 6
"""Operators that an error names as ways out; `lego catalog` has the others."""


def check(experiment: Experiment, *, files: bool = True) -> list[Problem]:
    """All problems of an experiment that need no prepared data; with `files=False` its raw files need not be there."""
    open_choices = list(choices(experiment))
    if open_choices:
        return [_open(choice) for choice in open_choices]
    problems = [*(_files(experiment) if files else ()), *_evaluation(experiment)]
    model = experiment.model
    if experiment.training.pretrained_lr is not None and not _has_language_model(model):
        what = "the model has no language model whose weights could learn at this rate"
        problems.append(Problem("training.pretrained_lr", what, "leave it out"))
    if experiment.training.checkpointing and not _has_language_model(model):
        what = "the model has no language model whose layers could be run again"
        problems.append(Problem("training.checkpointing", what, "leave it out"))
    if isinstance(model, Recommender):
        problems += [
            *_forms(model),
            *_task(experiment, model),
            *_needs(model),
            *_tokens(model),
            *_operators(model),
            *_attributes(experiment, model),
        ]
    if not problems and isinstance(model, Recommender):
        problems += trial(model)
    return problems


def reads_of(experiment: Experiment, model: Recommender) -> Mapping[str, int]:
    """What the content operators read of what the model says, or else of what the source would read."""
    return model.content.reads_of(experiment.data.reads if model.reads is None else model.reads)


def _has_language_model(model: object) -> bool:
    """A content operator that brings its own tokenizer is one."""
    return isinstance(model, Recommender) and any(
        each.reads is Reads.TOKENS for each in fed_parts(model.content)
    )


def _open(choice: Any) -> Problem:
    return Problem(
        where=repr(choice),
        what="this describes several models, and one is wanted here",
        fix="run every combination with `lego sweep SCRIPT`, or choose one, for example with --set PATH=VALUE",
    )


def _files(experiment: Experiment) -> Iterator[Problem]:
    try:
        list(experiment.data.files())
    except DataError as error:
        yield from error.problems or (
            Problem(f"data={experiment.data!r}", str(error), "see `lego data list`"),
        )


def _evaluation(experiment: Experiment) -> Iterator[Problem]:
    for metric in experiment.evaluation.metrics:
        if isinstance(metric, str):
            yield from _metric(metric, "evaluation.metrics")
    yield from _metric(experiment.training.monitor, "training.monitor")


def _metric(text: str, where: str) -> Iterator[Problem]:
    try:
        parse_metric(text)
    except LegoError as error:
        yield Problem(f"{where}: {text!r}", str(error), "see `lego catalog metric`")


def _forms(model: Recommender) -> Iterator[Problem]:
    """The predictor must take users in the form the behavior operator gives; items must come as one vector each."""
    gives, takes = model.behavior.gives, model.predictor.takes
    if gives not in takes:
        wanted = " or ".join(sorted(form.label for form in takes))
        yield Problem(
            where=f"behavior={model.behavior!r}, predictor={model.predictor!r}",
            what=f"the user is given as {gives.label} but {wanted} is taken",
            fix=_nearest_way(model) + _way_out(model),
        )
    for content in fed_parts(model.content):
        form = item_form(content)
        if form is not Form.VECTOR:
            yield Problem(
                where=f"content={content!r}",
                what=f"an item is given as {form.label.replace('B', 'N')} but one vector (N, D) is wanted",
                fix="give the operator a pool, for example pool=Additive()",
            )


def _nearest_way(model: Recommender) -> str:
    """`write Attention(pool=None), or `, where the same operator could give the sequence that is taken."""
    if Form.SEQUENCE in model.predictor.takes and "pool" in field_names(type(model.behavior)):
        behavior: Any = model.behavior
        return f"write behavior={attrs.evolve(behavior, pool=None)!r}, or "
    return ""


def _task(experiment: Experiment, model: Recommender) -> Iterator[Problem]:
    """What the task asks of scores and batches."""
    task = experiment.task
    if task.cosines and not model.predictor.cosines:
        what = f"task={task!r} reads scores as cosines, which this predictor does not give"
        yield Problem(f"predictor={model.predictor!r}", what, "use predictor=Cosine(temperature=1)")
    if task.candidates.source == "batch" and experiment.training.batch_size < 2:
        what = f"task={task!r} takes negatives from the other rows of the batch, and there are none"
        yield Problem(f"training.batch_size={experiment.training.batch_size}", what, "use a larger one")


def _way_out(model: Recommender) -> str:
    """What would fit, by name: operators are asked for what they declare."""
    behaviors = _fitting(
        "behavior", lambda spec: isinstance(spec, Behavior) and spec.gives in model.predictor.takes
    )
    predictors = _fitting(
        "predictor", lambda spec: isinstance(spec, Predictor) and model.behavior.gives in spec.takes
    )
    ways = []
    if behaviors:
        ways.append(f"a behavior operator that fits ({_some(behaviors)})")
    if predictors:
        ways.append(f"a predictor that fits ({_some(predictors)})")
    return "use " + ", or ".join(ways or ["another behavior operator: see `lego catalog behavior --full`"])


def _some(names: list[str]) -> str:
    """The first few of many."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _fitting(slot: str, fits: Any) -> list[str]:
    """Names of the operators of a slot, one of whose examples fits: first what fits whatever its options, simple before rich."""
    examples = {entry.name: _examples(entry) for entry in catalog.entries(slot)}
    found = {name: [bool(fits(each)) for each in specs] for name, specs in examples.items()}

    def order(name: str) -> tuple[bool, int]:
        return not all(found[name]), len(field_names(type(examples[name][0])))

    return sorted((name for name, each in found.items() if any(each)), key=order)


def _examples(entry: catalog.Entry) -> list[Any]:
    try:
        return list(catalog.load_entry(entry).examples())
    except Exception:  # noqa: BLE001 - a plugin's examples may raise anything; it is then not suggested, no more
        return []


def _needs(model: Recommender) -> Iterator[Problem]:
    for where, spec in (("behavior", model.behavior), ("predictor", model.predictor)):
        for need in sorted(spec.needs - SUPPORTED_NEEDS, key=lambda each: each.name):
            what = f"it needs {need.value}, which no data brings"
            yield Problem(f"{where}={spec!r}", what, "use another operator")
        if isinstance(spec, Behavior) and asks_too_early(spec):
            what = f"it needs {Need.CANDIDATE_SIGNALS.value}, and makes the user before they are known"
            yield Problem(
                f"{where}={spec!r}", what, "declare Need.CANDIDATES too, or read them in a predictor"
            )
        if Need.TOKENS in spec.needs and not shares_tokens(model.content):
            what = f"it needs {Need.TOKENS.value}, and content={model.content!r} shares no table of token vectors"
            fix = (
                "use a content operator that reads the Recommender's tokens, for example Attention() or CNN()"
            )
            yield Problem(f"{where}={spec!r}", what, fix)
    for slot, wanted, whole in (("behavior", Behavior, model.behavior), ("content", Content, model.content)):
        for part in parts_of(whole):
            if not isinstance(part, wanted):
                what = f"{part!r} stands in it, which does not fit the {slot} slot"
                yield Problem(f"{slot}={whole!r}", what, f"use an operator of `lego catalog {slot}`")
    for content in fed_parts(model.content):
        if isinstance(content, Behavior):
            for need in sorted(content.needs, key=lambda each: each.name):
                what = f"it needs {need.value}, and an item has no such thing"
                yield Problem(f"content={content!r}", what, "use another operator, or use it as behavior=")


def _tokens(model: Recommender) -> Iterator[Problem]:
    reads = {each.reads for each in fed_parts(model.content)}
    by_rows = reads == {Reads.ROWS}
    if model.tokens is not None and Reads.VECTORS not in reads:
        why = "brings its own tokenizer" if Reads.TOKENS in reads else "reads no text"
        yield Problem(f"tokens={model.tokens!r}", f"content={model.content!r} {why}", "leave tokens= out")
    if model.reads is not None and by_rows:
        yield Problem(
            f"reads={dict(model.reads)!r}",
            f"content={model.content!r} reads no attribute",
            "leave reads= out",
        )
    if model.reads is not None and not by_rows and not model.reads:
        yield Problem(
            "reads={}", "no attribute is read", "name at least one, for example reads={'title': 30}"
        )
    used = {name for leaf in leaves(model.content, model.reads or {}) for name in leaf.reads}
    for name in [] if by_rows else (model.reads or {}):
        if name not in used:
            what = f"content={model.content!r} reads {', '.join(used)} alone"
            yield Problem(f"reads: {name!r}", what, "leave it out of reads, or give it an operator")
    for name, budget in (model.reads or {}).items():
        if budget < 1:
            yield Problem(
                f"reads={{{name!r}: {budget}}}",
                "a token budget is at least 1",
                "leave the attribute out, or raise it",
            )


def _operators(model: Recommender) -> Iterator[Problem]:
    """What operators know of their own options, at this width; parts of parts included."""
    for name in field_names(Recommender):
        value = getattr(model, name)
        if isinstance(value, Spec):
            yield from _of_spec(value, model.width, f"{name}={value!r}")


def _of_spec(spec: Spec, width: int, where: str) -> Iterator[Problem]:
    yield from spec.problems(width, where)


def _attributes(experiment: Experiment, model: Recommender) -> Iterator[Problem]:
    known = experiment.data.attributes
    if not known:
        return
    reads_some = any(each.reads is not Reads.ROWS for each in fed_parts(model.content))
    used = reads_of(experiment, model) if reads_some and (model.reads or model.content.content_parts) else {}
    yield from unknown_attributes(used, known)


def unknown_attributes(reads: Iterable[str], known: Iterable[str]) -> Iterator[Problem]:
    """Attributes that are read but not there."""
    names = list(known)
    for name in reads:
        if name not in names:
            yield Problem(
                where=f"reads: {name!r}",
                what="the items have no such attribute",
                fix=f"{did_you_mean(name, names)}They have: {', '.join(names)}",
            )
