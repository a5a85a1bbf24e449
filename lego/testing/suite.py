"""What holds for every spec, and for every spec that is built into a torch module."""

from __future__ import annotations

import json
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import attrs
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from lego import expression
from lego.contract import Needs, Out
from lego.errors import SpecError
from lego.nn.random import seeded
from lego.spec import Context, Spec, field_names

TOLERANCE = 1e-5
"""A matrix product of another size rounds differently; beyond this it is not rounding."""

GARBAGE = 1e4
"""What tests write into padded places."""


class SpecTests:
    """Text, JSON, equality and refusals: what holds for every spec."""

    operator: ClassVar[type[Spec] | None] = None
    """The spec class; its `examples()` are tested."""
    specs: ClassVar[Iterable[Spec]] = ()
    """The specs to test instead."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each spec, unless a subclass has a fixture `spec` of its own."""
        if "spec" in metafunc.fixturenames and (self.specs or self.operator):
            # Exporting takes longer than all other tests together, so one example has to do.
            once = metafunc.function.__name__ == "test_it_exports"
            specs = self.all_specs()[: 1 if once else None]
            metafunc.parametrize("spec", specs, ids=[repr(spec) for spec in specs])

    def all_specs(self) -> list[Any]:
        """`specs`, or the examples of `operator`."""
        specs = list(self.specs or (self.operator.examples() if self.operator else ()))
        if not specs:
            raise pytest.UsageError(f"{type(self).__name__} has nothing to test: set `operator` or `specs`")
        return specs

    def test_text_round_trip(self, spec: Any) -> None:
        """A spec prints as the expression that makes it, in short and in full."""
        names = _names_with(type(spec))
        assert expression.parse(repr(spec), names) == spec
        assert expression.parse(expression.write(spec, full=True), names) == spec

    def test_json_round_trip(self, spec: Any) -> None:
        """A spec survives JSON, and what comes back is equal and hashes alike."""
        again = expression.from_json(
            json.loads(json.dumps(expression.to_json(spec))), _names_with(type(spec))
        )
        assert again == spec
        assert hash(again) == hash(spec)

    def test_unknown_option_is_refused(self, spec: Any) -> None:
        """An option that the spec does not have is an error, not ignored."""
        given = {name: getattr(spec, name) for name in field_names(type(spec))}
        with pytest.raises(SpecError, match="no_such_option"):
            type(spec)(**given, no_such_option=1)

    def test_a_slip_of_the_pen_is_answered_with_the_nearest(self, spec: Any) -> None:
        """A misspelt option is told what was probably meant."""
        if type(spec).named:
            return  # there any name is a part
        for name in field_names(type(spec)):
            with pytest.raises(SpecError, match=r"Did you mean '\w+'\?"):
                type(spec)(**{f"{name}x": 1})

    def test_values_of_another_kind_are_refused(self, spec: Any) -> None:
        """A value that the annotation of its option does not admit is an error that names the option."""
        given = {name: getattr(spec, name) for name in field_names(type(spec))}
        for name in given:
            if typing.get_type_hints(type(spec))[name] is not Any:
                with pytest.raises(SpecError, match=name):
                    type(spec)(**{**given, name: _NOTHING_WANTED})

    def test_too_many_arguments_are_refused(self, spec: Any) -> None:
        """Options beyond the obvious first one need their name."""
        values = [getattr(spec, name) for name in field_names(type(spec))]
        with pytest.raises(SpecError, match=None if type(spec).variadic else "without a name"):
            type(spec)(*values, *[1] * 9)

    def test_spec_is_frozen(self, spec: Any) -> None:
        """An option cannot be changed once the spec is made."""
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            spec.some_option = 1


_NOTHING_WANTED = object()
"""What no option admits."""


def _names_with(cls: type[Spec]) -> expression.Resolve:
    """The names of the catalogue and of one class that need not be listed in it."""
    own = {cls.__name__, f"{cls.__module__}:{cls.__qualname__}"}
    return lambda name: cls if name in own else expression.resolve(name)


class ModuleTests(SpecTests):
    """What holds for every module: chance, weights, gradients, half precision, shapes without numbers."""

    width: ClassVar[int] = 8
    """D; heads of the examples must divide it."""
    input_widths: ClassVar[tuple[int, ...]] = (8,)
    """The widths of what it reads."""
    length: ClassVar[int] = 8
    """The longest sequence that it is told of; the inputs are shorter."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each spec and input width."""
        super().pytest_generate_tests(metafunc)
        if "input_width" in metafunc.fixturenames:
            once = metafunc.function.__name__ == "test_it_exports"
            metafunc.parametrize("input_width", self.input_widths[-1:] if once else self.input_widths)

    @pytest.fixture
    def context(self, spec: Any, input_width: int) -> Context:
        """What the spec is built with."""
        return Context(
            width=self.width,
            input_width=input_width,
            length=self.length,
            token_width=input_width,
            token_length=2 * self.length,
            items=12,
            users=5,
            item_vocabularies=vocabularies(spec, "item_attributes"),
            user_vocabularies=vocabularies(spec, "user_attributes"),
            impression_vocabularies=vocabularies(spec, "impression_attributes"),
        )

    @pytest.fixture
    def module(self, spec: Any, context: Context) -> nn.Module:
        """The module, in evaluation."""
        return build(spec, context).eval()

    @pytest.fixture
    def inputs(self, spec: Any, context: Context) -> tuple[Any, ...]:
        """The arguments of a call; each slot's suite says which."""
        raise NotImplementedError

    def test_one_seed_one_module(self, spec: Any, context: Context) -> None:
        """Built twice with one seed, the weights are equal to the last digit."""
        first, second = build(spec, context).state_dict(), build(spec, context).state_dict()
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_building_leaves_the_global_generator_alone(self, spec: Any, context: Context) -> None:
        """All chance comes from the stream of the build, so a model does not depend on what was drawn before."""
        before = torch.get_rng_state()
        build(spec, context)
        assert torch.equal(torch.get_rng_state(), before)

    def test_calls_agree(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """In evaluation the same inputs give the same output, and a call changes no weight."""
        before = {name: value.clone() for name, value in module.state_dict().items()}
        assert torch.equal(tensor(module(*inputs)), tensor(module(*inputs)))
        assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())

    def test_weights_survive_safetensors(self, spec: Any, context: Context, inputs: tuple[Any, ...]) -> None:
        """What is saved is all there is: loaded into a module of another seed, it gives the same output."""
        module = build(spec, context)
        module(*inputs)  # in training, so that statistics move
        stored = save({name: value.clone().contiguous() for name, value in module.state_dict().items()})
        other = build(spec, context, seed=1)
        other.load_state_dict(load(stored))
        assert torch.equal(tensor(module.eval()(*inputs)), tensor(other.eval()(*inputs)))

    def test_gradients_reach_every_trainable_weight(
        self, spec: Any, context: Context, inputs: tuple[Any, ...]
    ) -> None:
        """Every weight that may learn gets a finite gradient, and not zeros alone."""
        module = build(spec, context).train()
        backward(module, inputs)
        for name, weight in module.named_parameters():
            if weight.requires_grad:
                assert weight.grad is not None, f"no gradient reaches {name}"
                assert torch.isfinite(weight.grad).all(), f"the gradient of {name} is not finite"
                assert weight.grad.any(), f"the gradient of {name} is zero"

    def test_losses_are_those_declared(self, spec: Any, context: Context, inputs: tuple[Any, ...]) -> None:
        """In training the module gives finite losses of just the names in `losses`, in evaluation none."""
        module = build(spec, context)
        for training, wanted in ((True, set(spec.losses)), (False, set())):
            with seeded(0):
                out = module.train(training)(*inputs)
            losses = out.losses if isinstance(out, Out) else {}
            assert set(losses) == wanted
            for name, loss in losses.items():
                assert loss.shape == (), f"{name} is not one number"
                assert torch.isfinite(loss), f"{name} is not finite"

    def test_half_precision_is_finite(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Under bfloat16 autocast the output is finite and of the same shape."""
        with torch.autocast("cpu", torch.bfloat16):
            half = tensor(module(*inputs))
        assert torch.isfinite(half).all()
        assert half.shape == tensor(module(*inputs)).shape

    def test_it_exports(self, spec: Any, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """`torch.export` turns it into a program that gives the same; an operator that cannot says why in `unexportable`."""
        if spec.unexportable:
            pytest.skip(f"{type(spec).__name__} cannot be exported: {spec.unexportable}")
        wanted = tensor(module(*inputs))
        tensors: list[Tensor] = []

        def collect(each: Tensor) -> Tensor:
            tensors.append(each)
            return each

        for each in inputs:
            mapped(each, collect)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about modules of its own
            program = torch.export.export(_Flat(module, inputs), tuple(tensors), strict=False)
            found = program.module()(*tensors)
        assert_near(found, wanted)

    def test_shapes_without_numbers(
        self, spec: Any, context: Context, module: nn.Module, inputs: tuple[Any, ...]
    ) -> None:
        """On the meta device, where `lego explain` looks, it builds without weights and gives the same shape."""
        with torch.device("meta"):
            shaped = build(spec, attrs.evolve(context, weights=False)).eval()
        found = tensor(shaped(*(moved(each, "meta") for each in inputs)))
        assert found.is_meta
        assert found.shape == tensor(module(*inputs)).shape


class _Flat(nn.Module):
    """A module that is called with tensors and gives a tensor, as `torch.export` wants it."""

    def __init__(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        super().__init__()
        self.module = module
        self.inputs = inputs

    def forward(self, *tensors: Tensor) -> Tensor:
        """The tensors of the inputs, in order -> what the module gives, zeros at padded places."""
        rest = iter(tensors)
        return tensor(self.module(*(mapped(each, lambda _: next(rest)) for each in self.inputs)))


def vocabularies(spec: Any, kind: str) -> dict[str, int]:
    """The attributes that a spec names, or two: their numbers of values. `kind` is `item_attributes` or `user_attributes`."""
    names = getattr(spec, kind, ()) or ("first", "second")
    return {name: 5 + 2 * place for place, name in enumerate(names)}


def build(spec: Any, context: Context, seed: int = 0) -> nn.Module:
    """The module of a spec, all chance from the seed."""
    generator = torch.Generator().manual_seed(seed)
    with seeded(seed):
        return spec.build(attrs.evolve(context, generator=generator))


def tensor(out: Tensor | Out) -> Tensor:
    """The tensor of what a module gave, zeros where its mask says padding."""
    if isinstance(out, Tensor):
        return out
    if out.mask is None:
        return out.tensor
    return out.tensor.masked_fill(~out.mask[(...,) + (None,) * (out.tensor.ndim - out.mask.ndim)], 0)


def backward(module: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Gradients of an uneven sum over the output and its losses; dropout is seeded."""
    with seeded(0):
        out = module(*inputs)
    found = tensor(out)
    loss = (found * draw(*found.shape, seed=9)).sum()
    for each in out.losses.values() if isinstance(out, Out) else ():
        loss = loss + each
    if loss.requires_grad:
        torch.autograd.backward(loss)


def draw(*shape: int, seed: int) -> Tensor:
    """Normal numbers, the same for the same seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def prefix(*lengths: int, width: int | None = None) -> Tensor:
    """A mask (rows, width) whose rows are True for the given lengths."""
    return torch.arange(max(lengths) if width is None else width) < torch.tensor(lengths)[:, None]


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A tensor changed, or an `Out`, `Needs` or mapping whose tensors are, in one order; anything else as it is."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Out):
        return Out(change(value.tensor), None if value.mask is None else change(value.mask))
    if isinstance(value, Needs):
        return Needs(
            **{name: mapped(each, change) for name, each in attrs.asdict(value, recurse=False).items()}
        )
    if isinstance(value, Mapping):
        return {name: mapped(each, change) for name, each in value.items()}
    return value


def moved(value: Any, device: str) -> Any:
    """A tensor, or an `Out` or `Needs` of tensors, on another device."""
    return mapped(value, lambda each: each.to(device))


def taken(value: Any, rows: Any) -> Any:
    """Some rows of a tensor, or of an `Out` or `Needs` of tensors."""
    return mapped(value, lambda each: each[rows])


def assert_near(found: Tensor, wanted: Tensor, tolerance: float = TOLERANCE) -> None:
    """Equal within the tolerance, absolute and relative."""
    torch.testing.assert_close(found, wanted, atol=tolerance, rtol=tolerance)
