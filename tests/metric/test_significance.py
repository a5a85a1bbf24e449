from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lego.errors import LegoError
from lego.metric.significance import holm, paired, student

FIRST = np.array([0.9, 0.8, 0.7, 0.6, 0.9, 0.5, 0.75, np.nan])
SECOND = np.array([0.5, 0.6, 0.65, 0.7, 0.4, 0.3, 0.5, 0.1])


def test_a_permutation_test_counts_all_signs():
    """With few groups every one of the 2^n ways to flip signs is counted: the share at least as far from 0."""
    found = paired(FIRST, SECOND, np.random.default_rng(0), resamples=999)
    differences = (FIRST - SECOND)[:7]
    means = [np.mean(differences * np.array(signs)) for signs in itertools.product([1, -1], repeat=7)]
    exact = np.mean(np.abs(means) >= abs(differences.mean()) - 1e-12)
    assert found.p == pytest.approx(exact)
    assert found.groups == 7
    assert found.difference == pytest.approx(differences.mean())
    assert found.effect == pytest.approx(differences.mean() / differences.std(ddof=1))


def test_the_interval_is_that_of_a_normal_mean_where_groups_are_many():
    """Of 2,000 differences the bootstrap gives mean ± 1.96 standard errors; turned round it is turned round."""
    rng = np.random.default_rng(1)
    differences = rng.normal(0.02, 0.3, 2000)
    zero = np.zeros(2000)
    found = paired(differences, zero, np.random.default_rng(0), test="bootstrap", resamples=2000)
    error = differences.std(ddof=1) / np.sqrt(2000)
    wanted = differences.mean() + np.array([-1.96, 1.96]) * error
    np.testing.assert_allclose(found.interval, wanted, atol=error / 5)
    back = paired(zero, differences, np.random.default_rng(0), test="bootstrap", resamples=2000)
    np.testing.assert_allclose(back.interval, (-found.interval[1], -found.interval[0]), atol=1e-12)
    assert back.p == found.p


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_quantiles_of_student(confidence):
    """Those of scipy."""
    from scipy import stats

    for freedom in (1, 2, 3, 4, 9, 30):
        expected = stats.t.ppf((1 + confidence) / 2, freedom)
        assert student(confidence, freedom) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("test", ["permutation", "bootstrap"])
def test_equal_models_do_not_differ(test):
    """p is 1, the interval is empty, and there is no effect size, as nothing varies."""
    found = paired(SECOND, SECOND, np.random.default_rng(0), test=test, resamples=99)
    assert (found.difference, found.interval, found.effect) == (0.0, (0.0, 0.0), None)
    assert found.p == 1.0


@pytest.mark.parametrize("test", ["permutation", "bootstrap"])
def test_p_values_of_equal_distributions_are_uniform(test):
    """Where nothing is to be found, a p-value below 0.2 is found in about a fifth of the cases."""
    rng = np.random.default_rng(2)
    small = [
        paired(rng.normal(size=60), rng.normal(size=60), rng, test=test, resamples=199).p < 0.2
        for _ in range(120)
    ]
    assert 0.1 < np.mean(small) < 0.32


def test_the_same_generator_gives_the_same_numbers():
    """Nothing is drawn from anywhere else."""
    found = [paired(FIRST, SECOND, np.random.default_rng(3), resamples=99) for _ in range(2)]
    assert found[0] == found[1]


def test_one_group_is_not_tested():
    """There is no spread of one number."""
    with pytest.raises(LegoError, match="wants two groups"):
        paired(np.array([0.5, np.nan]), np.array([0.1, 0.2]), np.random.default_rng(0))


def test_without_scipy_the_extra_is_named(monkeypatch):
    """The way out is in the sentence."""
    import lego.metric.significance as module

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(module.importlib, "import_module", missing)
    assert not module.available()
    with pytest.raises(LegoError, match=r"pip install 'legorec\[compare\]'"):
        paired(FIRST, SECOND, np.random.default_rng(0))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_the_step_down_rule(values):
    """A hypothesis is rejected at a level where it and all smaller ones are, each against the level over those left."""
    corrected = holm(values)
    for level in (0.01, 0.05, 0.2, 0.5):
        rejected, left = set(), len(values)
        for at in sorted(range(len(values)), key=values.__getitem__):
            if values[at] * left > level:
                break
            rejected.add(at)
            left -= 1
        assert {at for at, p in enumerate(corrected) if p <= level} == rejected
    assert all(p >= raw for p, raw in zip(corrected, values, strict=True))
