from __future__ import annotations

import pytest

from lego.errors import SpecError
from lego.predictor.dnn import DNN
from lego.testing import PredictorTests


class TestDNN(PredictorTests):
    specs = (*DNN.examples(), DNN(hidden=()))

    @pytest.mark.parametrize("fields", ["vectors", "attributes"])
    @pytest.mark.parametrize("per_candidate", [False, True])
    def test_equals_the_formula(self, case, fields, per_candidate):
        """Layers over the fields side by side, in numpy."""
        made = case(DNN(hidden=(5, 3), fields=fields), per_candidate=per_candidate)
        for pair in made.pairs():
            assert made.scores[pair] == pytest.approx(made.deep("deep", made.fields(*pair).ravel()), abs=1e-4)

    def test_a_width_of_nothing_is_refused(self):
        """Every hidden width is at least 1."""
        with pytest.raises(SpecError, match="at least 1 each"):
            DNN(hidden=(4, 0))

    def test_another_kind_of_fields_is_refused(self):
        """The error lists the two there are."""
        with pytest.raises(SpecError, match="'vectors', 'attributes'"):
            DNN(fields="all")
