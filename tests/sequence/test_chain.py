from __future__ import annotations

import pytest
import torch

from lego.contract import Form, Need, Needs
from lego.errors import SpecError
from lego.expression import parse
from lego.sequence.attention import Attention
from lego.sequence.chain import Chain
from lego.sequence.cnn import CNN
from lego.sequence.gru import GRU
from lego.sequence.mean import Mean
from lego.spec import Context, any_of
from lego.testing import SequenceTests


class TestChain(SequenceTests):
    operator = Chain

    def test_is_its_parts_one_after_the_other(self):
        """The second reads what the first gives, with the weights of both."""
        chain = Attention(pool=None) >> GRU(hidden=8)
        module = chain.build(Context(width=8, input_width=6, length=5)).eval()
        first, second = module.parts
        sequence, mask = torch.randn(2, 5, 6), torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
        between = first(sequence, mask, Needs())
        wanted = second(between.tensor, between.mask, Needs()).tensor
        assert torch.equal(module(sequence, mask, Needs()).tensor, wanted)

    def test_the_first_part_alone_reads_the_input_width(self):
        """Behind the first part all vectors are as wide as the model."""
        chain = CNN(pool=None) >> CNN(pool=None) >> Mean()
        first, second, _ = chain.build(Context(width=8, input_width=6, length=5)).parts
        assert first.convolution.in_channels == 6
        assert second.convolution.in_channels == 8

    def test_brackets_do_not_count(self):
        """Chains inside chains are taken apart, so that equal models are equal specs."""
        a, b, c = CNN(pool=None), GRU(pool=None), Attention()
        assert (a >> b) >> c == a >> (b >> c) == Chain((a, b, c))

    def test_the_last_part_decides_the_form(self):
        """A chain gives what its last part gives."""
        assert (CNN(pool=None) >> GRU()).gives is Form.VECTOR
        assert (CNN(pool=None) >> GRU(pool=None)).gives is Form.SEQUENCE

    def test_a_pool_in_the_middle_is_refused(self):
        """What stands before >> must give a sequence; the error names it and the way out."""
        with pytest.raises(SpecError, match=r"Attention\(\) gives vector \(B, D\).*pool=None"):
            Attention() >> GRU()

    @pytest.mark.parametrize("parts", [(), (GRU(),)])
    def test_fewer_than_two_parts_are_refused(self, parts):
        """A chain of one would print as that one."""
        with pytest.raises(SpecError, match="two or more"):
            Chain(parts)

    def test_a_choice_may_stand_for_a_part(self):
        """On either side, in code and in text; it is checked when the choice is made."""
        chain = any_of(CNN(pool=None), Attention(pool=None)) >> GRU()
        assert parse(repr(chain)) == chain
        assert isinstance(CNN(pool=any_of(None, Mean())) >> any_of(GRU(), Mean()), Chain)
        with pytest.raises(SpecError, match="several models"):
            _ = (GRU(pool=None) >> any_of(GRU(), Mean())).gives
        with pytest.raises(SpecError, match="a Behavior"):
            any_of(1, 2) >> GRU()


def test_the_last_part_may_be_of_the_behavior_slot_alone(movies, tmp_path):
    """Such a chain is a behavior operator, with the needs and losses of its parts, and no content operator."""
    from lego import BST, DCN, Experiment, InterestAttention, MovieLens, PolyAttention, Recommender, Training
    from lego.compiler.rules import broken

    interests = Attention(heads=2, pool=None) >> PolyAttention(interests=2, hidden=4)
    aware = CNN(pool=None) >> BST(heads=2)
    assert parse(repr(interests)) == interests
    assert (interests.gives, aware.gives) == (Form.INTERESTS, Form.PER_CANDIDATE)
    assert Need.CANDIDATES in aware.needs
    assert broken(interests, Mean(), DCN()) == "an operator fits the slot it stands in"
    for behavior, predictor in ((interests, InterestAttention()), (aware, DCN(hidden=(4,)))):
        model = Recommender(Mean(), behavior, predictor, width=8)
        data = MovieLens(movies, negatives=3, history=5)
        run = Experiment(data=data, model=model, training=Training(epochs=1)).run(out=tmp_path)
        assert 0 <= run.metrics["gauc"] <= 1
