from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lego import any_of
from lego.contract import Form, Needs, Out
from lego.errors import SpecError
from lego.nn.gaps import BUCKETS
from lego.predictor.din import DIN
from lego.predictor.dnn import DNN
from lego.predictor.dot import Dot
from lego.predictor.late_interaction import LateInteraction
from lego.predictor.poly import Poly
from lego.predictor.popularity_aware import PopularityAware
from lego.spec import Context
from lego.testing import PredictorTests

CONTEXT = Context(width=4, input_width=4, length=5)
MASK = torch.ones(2, 3, dtype=torch.bool)


def perceptron(weights, name, vector):
    """Tanh layers and a linear one, in numpy."""
    layer = 0
    while f"{name}.deep.layers.{layer}.weight" in weights:
        vector = np.tanh(
            weights[f"{name}.deep.layers.{layer}.weight"] @ vector
            + weights[f"{name}.deep.layers.{layer}.bias"]
        )
        layer += 3
    return (weights[f"{name}.score.linear.weight"] @ vector + weights[f"{name}.score.linear.bias"])[0]


def sigmoid(number):
    return 1 / (1 + math.exp(-number))


def signals(rate, age):
    nan = float("nan")
    numbers = [[nan if each is None else each for each in row] for row in rate]
    ages = [[nan if each is None else each for each in row] for row in age]
    return Needs(candidate_signals={"past_rate": torch.tensor(numbers), "past_age": torch.tensor(ages)})


class TestPopularityAware(PredictorTests):
    operator = PopularityAware
    specs = (
        *PopularityAware.examples(),
        PopularityAware(DNN(hidden=(5,)), hidden=(3,)),
        PopularityAware(DIN(attention=(3,), hidden=(4,)), hidden=(3,)),
        PopularityAware(LateInteraction(), hidden=(3,)),
        Poly(PopularityAware(hidden=(3,))),
    )

    def test_equals_the_formula(self):
        """(1 − η) base + η (w_c c + w_p (θ p_content + (1 − θ) p_recency)), candidate by candidate, in numpy."""
        module = PopularityAware(hidden=(5, 3)).build(CONTEXT).eval()
        with torch.no_grad():
            module.weights.copy_(torch.tensor([3.0, -0.5]))
            module.unknown.fill_(0.7)
        weights = {name: value.double().detach().numpy() for name, value in module.state_dict().items()}
        user, candidates = torch.randn(2, 4), torch.randn(2, 3, 4)
        rate, age = [[0.1, None, 0.0], [0.5, 0.2, None]], [[0.0, 3600.0, None], [1.0, 86400.0, 7.0]]
        found = module(Out(user), candidates, MASK, signals(rate, age)).tensor
        for row in range(2):
            share = sigmoid(perceptron(weights, "share", user[row].numpy()))
            for place in range(3):
                item, old, number = candidates[row, place].numpy(), age[row][place], rate[row][place]
                recency = weights["ages.weight"][BUCKETS if old is None else int(math.log2(old + 1))]
                gate = sigmoid(perceptron(weights, "gate", np.concatenate([item, recency])))
                predicted = gate * perceptron(weights, "by_content", item)
                predicted += (1 - gate) * perceptron(weights, "by_recency", recency)
                popular = 3.0 * (0.7 if number is None else number) - 0.5 * predicted
                wanted = (1 - share) * float(user[row].numpy() @ item) + share * popular
                assert found[row, place].item() == pytest.approx(wanted, rel=1e-4, abs=1e-5)

    def test_the_share_of_popularity_is_the_users(self):
        """Of a sequence it is that of the mean of what is real, of a user per candidate that of each candidate."""
        module = PopularityAware(DIN(attention=(), hidden=(4,)), hidden=(3,)).build(CONTEXT).eval()
        mask = torch.tensor([[True, True, False], [False, False, False]])
        sequence = torch.randn(2, 3, 4)
        wanted = torch.stack([sequence[0, :2].mean(0), torch.zeros(4)])
        torch.testing.assert_close(module._one(Out(sequence, mask)), wanted)
        beside = PopularityAware(Dot()).build(CONTEXT)
        torch.testing.assert_close(beside._one(Out(sequence)), sequence)
        several = PopularityAware(Poly(Dot())).build(CONTEXT)
        torch.testing.assert_close(several._one(Out(sequence)), sequence.mean(1))
        both = torch.randn(2, 3, 5, 4)
        torch.testing.assert_close(several._one(Out(both)), both.mean(2))

    def test_counts_are_read_as_logarithms(self):
        """A count of clicks is not a rate: log(1 + clicks)."""
        module = PopularityAware(popularity="past_clicks", hidden=()).build(CONTEXT).eval()
        user, candidates = Out(torch.randn(2, 4)), torch.randn(2, 3, 4)

        def scores(clicks):
            given = {"past_clicks": torch.full((2, 3), clicks), "past_age": torch.full((2, 3), 60.0)}
            return module(user, candidates, MASK, Needs(candidate_signals=given)).tensor

        share = torch.sigmoid(module.share(user.tensor)).unsqueeze(1)
        torch.testing.assert_close(scores(99.0) - scores(0.0), share * math.log(100) * torch.ones(2, 3))

    def test_it_takes_and_needs_what_its_base_does(self):
        """And its own numbers; a choice has to be made first."""
        assert PopularityAware(DIN()).takes == {Form.SEQUENCE}
        assert PopularityAware(popularity="past_clicks@2").candidate_signals == ("past_clicks@2", "past_age")
        assert PopularityAware(PopularityAware(popularity="a")).candidate_signals == (
            "past_rate",
            "past_age",
            "a",
        )
        with pytest.raises(SpecError):
            _ = PopularityAware(any_of(Dot(), DNN())).takes
