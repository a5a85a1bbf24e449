from __future__ import annotations

import pytest

from lego.predictor.wide_deep import WideDeep
from lego.testing import PredictorTests


class TestWideDeep(PredictorTests):
    operator = WideDeep

    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    @pytest.mark.parametrize("hidden", [(), (5, 3)])
    def test_equals_the_formula(self, case, fields, hidden):
        """A linear model and a perceptron over the fields, added, in numpy."""
        made = case(WideDeep(hidden=hidden, fields=fields))
        for pair in made.pairs():
            wanted = made.first_order("wide", *pair)
            wanted += made.deep("deep", made.fields(*pair).ravel()) if hidden else 0
            assert made.scores[pair] == pytest.approx(wanted, abs=1e-4)
