"""Each operator tried alone on a few made-up rows, so that one that gives the wrong thing is named before any work starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch

from lego.compiler.content import leaves
from lego.contract import Form, Need, Needs, Out
from lego.errors import LegoError, Problem
from lego.seed import lent
from lego.spec import Context, Sequence

if TYPE_CHECKING:
    from torch import Tensor

    from lego.recommender import Recommender
    from lego.spec import Spec

USERS, SLOTS, CANDIDATES, CODES = 2, 3, 4, 5


def trial(model: Recommender) -> Iterator[Problem]:
    """A problem for each operator that cannot be built or run at this width, or whose result is not what it declares.

    Content operators that need prepared data or weights (item ids, vectors, language models) are not tried.
    """
    width = model.width
    operators = (model.behavior, model.predictor)
    context = Context(
        width=width,
        input_width=width,
        length=SLOTS,
        items=8,
        users=USERS + 1,
        token_width=width,
        token_length=SLOTS,
        item_vocabularies={
            name: CODES for each in operators for name in each.item_attributes or ("category",)
        },
        user_vocabularies={name: CODES for each in operators for name in each.user_attributes or ("group",)},
        impression_vocabularies={"device": CODES},
    )
    rows = torch.ones(USERS, SLOTS, width)
    mask = torch.tensor(
        [[True] * SLOTS, [False] * SLOTS]
    )  # the second user has no history, which is legal everywhere
    candidates = torch.ones(USERS, CANDIDATES, width)
    shown = torch.ones(USERS, CANDIDATES, dtype=torch.bool)
    gives = model.behavior.gives
    signals = tuple(name for each in operators for name in each.signals or ("number",))
    beside = tuple(name for each in operators for name in each.candidate_signals or ("number",))
    needs = _needs(model.behavior.needs | model.predictor.needs, context, signals, beside)

    for leaf in leaves(model.content, {}):
        if isinstance(leaf.spec, Sequence):
            yield from _tried(
                "content", leaf.spec, context, lambda module: module(rows, mask, Needs()), Form.VECTOR, width
            )
    made: list[Out] = []

    def behave(module: Any) -> Out:
        aware = Need.CANDIDATES in model.behavior.needs
        out: Out = module(rows, mask, candidates, shown, needs) if aware else module(rows, mask, needs)
        made.append(out)
        return out

    problems = list(_tried("behavior", model.behavior, context, behave, gives, width))
    yield from problems
    if problems:
        return
    yield from _tried(
        "predictor",
        model.predictor,
        context,
        lambda module: module(made[0], candidates, shown, needs),
        None,
        width,
    )


def _needs(
    asked: frozenset[Need], context: Context, signals: tuple[str, ...], beside: tuple[str, ...]
) -> Needs:
    """Made-up answers to what is asked for; the second user has no history."""
    slots = torch.tensor([[True] * SLOTS, [False] * SLOTS])
    history, profile, times = Need.ATTRIBUTES in asked, Need.PROFILE in asked, Need.TIMES in asked
    items, users = context.item_vocabularies, context.user_vocabularies
    tokens = Need.TOKENS in asked
    return Needs(
        user=torch.arange(USERS) if Need.USER in asked else None,
        profile={name: torch.ones(USERS, 2, dtype=torch.int64) for name in users} if profile else {},
        times=torch.where(slots, 60, 0) if times else None,
        history={name: slots.long().unsqueeze(-1) for name in items} if history else {},
        candidates={name: torch.ones(USERS, CANDIDATES, 1, dtype=torch.int64) for name in items}
        if history
        else {},
        tokens=torch.ones(USERS, SLOTS, context.width) if tokens else None,
        token_slots=torch.where(slots, torch.arange(1, SLOTS + 1), 0) if tokens else None,
        impression={name: torch.ones(USERS, 1, dtype=torch.int64) for name in context.impression_vocabularies}
        if Need.IMPRESSION in asked
        else {},
        signals={name: torch.where(slots, float("nan"), 0.0) for name in signals}
        if Need.SIGNALS in asked
        else {},
        candidate_signals={name: torch.full((USERS, CANDIDATES), float("nan")) for name in beside}
        if Need.CANDIDATE_SIGNALS in asked
        else {},
    )


def _tried(
    slot: str, spec: Spec, context: Context, run: Callable[[Any], Any], form: Form | None, width: int
) -> Iterator[Problem]:
    where = f"{slot}={spec!r}"
    try:
        with lent(0, "trial"), torch.no_grad():
            built: Any = spec
            module = built.build(context).eval()
            result = run(module)
    except LegoError as error:
        yield Problem(where, str(error), "give it the option it asks for, or use another operator")
        return
    except NotImplementedError:
        fix = "write build(self, context) -> nn.Module in it: see the page on writing an operator"
        yield Problem(where, f"{type(spec).__name__} has no build, or its module no forward", fix)
        return
    except Exception as error:  # noqa: BLE001 - an operator of a stranger may raise anything; it is told with its name
        what = f"it cannot be run on {USERS} users: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        yield Problem(where, what, "correct its module; lego.contract says what it gets and must give")
        return
    yield from _judged(where, result, form, width)


def _judged(where: str, result: Any, form: Form | None, width: int) -> Iterator[Problem]:
    """Whether a result is what its slot wants: an Out in the declared form, or scores."""
    wanted = (USERS, CANDIDATES) if form is None else _shape(form, width)
    if form is None and isinstance(result, torch.Tensor):
        result = Out(result)
    if not isinstance(result, Out):
        what = f"its module gives a {type(result).__name__}, where lego.contract.Out is wanted"
        yield Problem(where, what, "return Out(tensor), or Out(tensor, mask) for a sequence")
        return
    found: Tensor = result.tensor
    fits = found.dim() == len(wanted) and all(
        want in (None, size) for size, want in zip(found.shape, wanted, strict=True)
    )
    if not fits:
        shape = ", ".join("M" if each is None else str(each) for each in wanted)
        what = f"its module gives a tensor of shape {tuple(found.shape)}, where ({shape}) is wanted"
        yield Problem(
            where, what, f"give vectors of context.width, which is {width}, in the form it declares"
        )
    elif not torch.isfinite(found).all():
        yield Problem(
            where,
            "a user without history, or an item without text, gives NaN or infinity",
            "let an empty row give zeros",
        )
    elif form is not None and form & Form.SEQUENCE and result.mask is None:
        yield Problem(where, "it declares a sequence and gives no mask", "return Out(tensor, mask)")


def _shape(form: Form, width: int) -> tuple[int | None, ...]:
    """The sizes of a form; None where any will do."""
    axes: list[int | None] = [USERS]
    axes += [CANDIDATES] if form & Form.PER_CANDIDATE else []
    axes += [None] if form & Form.INTERESTS else []
    axes += [SLOTS] if form & Form.SEQUENCE else []
    return (*axes, width)
