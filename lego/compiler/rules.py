"""The rules by which a content operator, a behavior operator and a predictor make a model: they read declarations, not code.

`lego.compiler.check` words what breaks one; `lego.compiler.matrix` counts the triples that keep all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from lego.compiler.content import leaves
from lego.contract import Form, Need, Reads
from lego.spec import Behavior, Content, Predictor, Spec

SUPPORTED_NEEDS = frozenset(
    {
        Need.USER,
        Need.PROFILE,
        Need.ATTRIBUTES,
        Need.TIMES,
        Need.TOKENS,
        Need.IMPRESSION,
        Need.SIGNALS,
        Need.CANDIDATE_SIGNALS,
        Need.CANDIDATES,
    }
)
"""What the pipeline can hand to a behavior operator or a predictor."""


def fed_parts(content: Content) -> list[Content]:
    """The content operators that are fed: itself, or the parts of a combination."""
    return [leaf.spec for leaf in leaves(content, {}) if isinstance(leaf.spec, Content)]


def parts_of(spec: Spec) -> Iterator[Spec]:
    """The operators that stand side by side in a combination, and those in these."""
    for part in getattr(spec, "inner", ()):
        yield part
        yield from parts_of(part)


def item_form(content: Content) -> Form:
    """The form that a fed content operator gives items in; a sequence encoder without a pool gives a sequence."""
    if isinstance(content, Behavior) and content.gives is not Form.VECTOR:
        return content.gives
    return content.item_form


def _user_form(content: Content, behavior: Behavior, predictor: Predictor) -> bool:
    return behavior.gives in predictor.takes


def _item_form(content: Content, behavior: Behavior, predictor: Predictor) -> bool:
    return all(item_form(part) is Form.VECTOR for part in fed_parts(content))


def _slots(content: Content, behavior: Behavior, predictor: Predictor) -> bool:
    return all(isinstance(part, Content) for part in parts_of(content)) and all(
        isinstance(part, Behavior) for part in parts_of(behavior)
    )


def _item_needs(content: Content, behavior: Behavior, predictor: Predictor) -> bool:
    return not any(part.needs for part in fed_parts(content) if isinstance(part, Behavior))


def _supported(content: Content, behavior: Behavior, predictor: Predictor) -> bool:
    return behavior.needs | predictor.needs <= SUPPORTED_NEEDS and not asks_too_early(behavior)


def asks_too_early(behavior: Behavior) -> bool:
    """Whether it asks for numbers beside candidates that it does not see."""
    return Need.CANDIDATE_SIGNALS in behavior.needs and Need.CANDIDATES not in behavior.needs


def shares_tokens(content: Content) -> bool:
    """Whether there is a table of token vectors that others may read too."""
    return any(part.reads is Reads.VECTORS for part in fed_parts(content))


def _tokens(content: Content, behavior: Behavior, predictor: Predictor) -> bool:
    return Need.TOKENS not in behavior.needs | predictor.needs or shares_tokens(content)


RULES: Mapping[str, Callable[[Content, Behavior, Predictor], bool]] = {
    "an operator fits the slot it stands in": _slots,
    "an item is one vector": _item_form,
    "an item has no user, times or candidates to ask for": _item_needs,
    "the predictor takes the form of user that the behavior operator gives": _user_form,
    "what operators ask for is there": _supported,
    "tokens of whole histories come from the table of the content operator": _tokens,
}
"""Each rule by the sentence that must hold."""


def broken(content: Content, behavior: Behavior, predictor: Predictor) -> str | None:
    """The first rule that a triple breaks; None where it is a model."""
    return next((rule for rule, holds in RULES.items() if not holds(content, behavior, predictor)), None)
