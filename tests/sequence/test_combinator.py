"""What `Sum`, `Concat` and `Gate` share."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lego.behavior.history import History
from lego.behavior.poly_attention import PolyAttention
from lego.behavior.user_id import UserID
from lego.content.item_id import ItemID
from lego.contract import Form, Need, Needs, Out, Reads
from lego.errors import SpecError
from lego.expression import parse
from lego.nn.masked import masked_mean
from lego.sequence.attention import Attention
from lego.sequence.cnn import CNN
from lego.sequence.concat import Concat
from lego.sequence.gate import Gate
from lego.sequence.gru import GRU
from lego.sequence.mean import Mean
from lego.sequence.sum import Sum
from lego.spec import Behavior, Context, any_of, operator, signature
from lego.testing import BehaviorTests

CONTEXT = Context(width=8, input_width=8, length=5, users=5)
COMBINATORS = (Sum, Concat, Gate)


@operator
class Aware(Behavior):
    """A user for each candidate: their product."""

    @property
    def needs(self):
        return frozenset({Need.CANDIDATES})

    @property
    def gives(self):
        return Form.PER_CANDIDATE

    def build(self, context):
        return _Aware(context.input_width, context.width)


class _Aware(nn.Module):
    def __init__(self, input_width, width):
        super().__init__()
        self.linear = nn.Linear(input_width, width)

    def forward(self, history, mask, candidates, candidate_mask, needs):
        return Out(self.linear(masked_mean(history, mask)).unsqueeze(1) * candidates)


@operator
class Asking(Behavior):
    """Asks for attributes by name, or for all there are; is never built."""

    items: tuple[str, ...] | None = None
    users: tuple[str, ...] | None = None

    @property
    def needs(self):
        asked = {Need.ATTRIBUTES: self.items, Need.PROFILE: self.users}
        return frozenset(need for need, names in asked.items() if names is not None)

    @property
    def item_attributes(self):
        return self.items or ()

    @property
    def user_attributes(self):
        return self.users or ()


class TestInTheBehaviorSlot(BehaviorTests):
    specs = (
        Concat(Attention(heads=2), UserID(dropout=0)),
        Sum(History(), Attention(heads=2, pool=None)),
        Gate(PolyAttention(interests=2, hidden=5), PolyAttention(interests=2, hidden=4)),
    )


class TestBesideCandidateAware(BehaviorTests):
    specs = (
        Sum(Aware(), Mean()),
        Concat(UserID(dropout=0), Aware()),
        Gate(Aware(), Aware(), Attention(heads=2)),
        CNN(pool=None) >> Sum(Mean(), Aware()),
    )

    def test_text_round_trip(self, spec):
        """A double is not in the catalog, so no text names it."""

    def test_json_round_trip(self, spec):
        """Nor does a record."""


@pytest.mark.parametrize("made", COMBINATORS)
def test_written_like_a_call(made):
    """Parts without a name in code and text, options with theirs; one choice of parts is written by name."""
    name = made.__name__
    spec = made(CNN(), Attention(), Mean())
    assert repr(spec) == f"{name}(CNN(), Attention(), Mean())"
    assert parse(repr(spec)) == spec == made(parts=(CNN(), Attention(), Mean()))
    several = made(parts=any_of((CNN(), Mean()), (Mean(), GRU())))
    assert repr(several) == f"{name}(parts=any_of((CNN(), Mean()), (Mean(), GRU())))"
    assert parse(repr(several)) == several
    assert signature(made).startswith(f"{name}(first, second, …")


@pytest.mark.parametrize("made", COMBINATORS)
@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), "is missing.*first, second"),
        ((CNN(),), "two or more operators"),
        ((CNN(), 1), "a Content .* or a Behavior"),
        ((CNN(), Attention(pool=None)), r"CNN\(\) gives vector .* gives sequence .*pool="),
        ((PolyAttention(), any_of(Mean(), GRU()), UserID()), "gives interests"),
    ],
)
def test_wrong_parts_are_refused(made, parts, message):
    """None, one, no operator, several forms, beside a choice too: at construction, with the way out."""
    with pytest.raises(SpecError, match=message):
        made(*parts)


def test_wrong_parts_in_a_choice_are_refused():
    """Each of the alternatives is checked."""
    with pytest.raises(SpecError, match="two or more"):
        Gate(parts=any_of((CNN(), Mean()), (CNN(),)), kind="sigmoid")


def test_asks_for_what_its_parts_ask_for():
    """Needs and attributes are the union; a part that reads all there are wins; one that asks for none counts for nothing."""
    first, second = Asking(items=("category", "tags")), Asking(items=("city", "tags"), users=("age",))
    spec = Sum(first, second, Mean())
    assert spec.needs == {Need.ATTRIBUTES, Need.PROFILE}
    assert spec.item_attributes == ("category", "tags", "city")
    assert spec.user_attributes == ("age",)
    assert Sum(first, Asking(items=())).item_attributes == ()
    assert (Attention(pool=None) >> spec).item_attributes == spec.item_attributes
    assert (Attention(pool=None) >> spec).user_attributes == spec.user_attributes
    assert Sum(Mean(), any_of(first, second)).needs == set()


def test_the_form_is_that_of_the_parts():
    """Per candidate where one of them is; unknown while a choice is open."""
    assert Sum(Mean(), Aware()).gives is Form.PER_CANDIDATE
    assert Sum(History(), GRU(pool=None)).gives is Form.SEQUENCE
    assert Sum(PolyAttention(), PolyAttention(interests=3)).gives is Form.INTERESTS
    with pytest.raises(SpecError, match="several models"):
        _ = Sum(Mean(), any_of(Mean(), GRU())).gives


@pytest.mark.parametrize("made", COMBINATORS)
def test_parts_with_other_feeds_are_fed_apart(made):
    """What reads item rows beside what reads words makes a combination of parts; all words stay one operator."""
    mixed, words = made(ItemID(), Mean()), made(CNN(), Mean())
    assert (mixed.reads, words.reads) == (Reads.PARTS, Reads.VECTORS)
    assert dict(mixed.content_parts) == {"1": ItemID(), "2": Mean()}
    views, mask = torch.randn(2, 2, 8), torch.tensor([[True, True], [True, False]])
    combiner = mixed.build_combiner(CONTEXT)
    wanted = combiner.combined.combine([views[:, 0], views[:, 1] * mask[:, 1:]])
    torch.testing.assert_close(combiner(views, mask, Needs()).tensor, wanted)


@pytest.mark.parametrize("made", COMBINATORS)
def test_problems_of_parts_are_told(made):
    """With the part they are in."""
    (problem,) = made(Attention(heads=3), Mean()).problems(8, "content=…")
    assert problem.where == "content=…, parts=Attention(heads=3)"


@pytest.mark.parametrize("made", COMBINATORS)
def test_losses_of_the_parts_are_added(made):
    """One name, one loss: the sum of those of the parts; beside candidates too."""
    module = made(PolyAttention(interests=2, hidden=5), PolyAttention(interests=2, hidden=5)).build(CONTEXT)
    history, mask = torch.randn(3, 5, 8), torch.ones(3, 5, dtype=torch.bool)
    found = module.train()(history, mask, Needs()).losses
    parts = [part(history, mask, Needs()).losses["disagreement"] for part in module.parts]
    assert set(found) == {"disagreement"}
    torch.testing.assert_close(found["disagreement"], parts[0] + parts[1])


def test_beside_candidates_the_others_are_repeated():
    """Every candidate sees the same vector of a part that does not look at candidates."""
    module = Sum(Mean(), Aware()).build(CONTEXT).eval()
    history, mask, candidates = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool), torch.randn(2, 3, 8)
    rest = (candidates, torch.ones(2, 3, dtype=torch.bool), Needs())
    alone = module.parts[1](history, mask, *rest).tensor
    wanted = alone + history.mean(1, keepdim=True)
    torch.testing.assert_close(module(history, mask, *rest).tensor, wanted)
