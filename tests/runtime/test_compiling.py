"""Training through torch.compile: no graph break, the same numbers, and an error before work where it cannot be."""

from __future__ import annotations

import os

import attrs
import pytest
import torch

from lego import (
    CNN,
    Additive,
    Attention,
    Lookup,
    Matching,
    PolyAttention,
    Pretrained,
    Ranking,
    Views,
    compile,  # noqa: A004
    zoo,
)
from lego.contract import summed
from lego.errors import RunError
from lego.runtime import compiling
from lego.runtime.compiling import compiled_operators, require_compiler
from lego.runtime.fit import Batches, task_context
from lego.runtime.optimizer import make_optimizer
from lego.seed import lent
from lego.testing.checkpoint import tiny_checkpoint

# torch's own, of vectors that have no gradient of their own and are not asked for one.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]
ALL = os.environ.get("LEGO_TEST_ALL") == "1"
TITLE = {"title": 12}
CORE = {
    "NRMS": lambda: zoo.nrms(reads=TITLE),
    "NAML, one view": lambda: zoo.naml(setting="table2", reads=TITLE),
    "NAML, two views": lambda: attrs.evolve(
        zoo.naml(setting="table2", reads={"title": 12, "genres": 4}),
        content=Views(title=CNN(pool=Additive(hidden=8)), genres=Lookup(project=True)),
    ),
    "LSTUR": lambda: zoo.lstur(setting="table2", reads=TITLE),
    "DCN_text": lambda: zoo.dcn_text(setting="table2", reads=TITLE),
    "DIN_text": lambda: zoo.din_text(setting="table2", reads=TITLE),
    "DCN": lambda: zoo.dcn(setting="table2"),
}
ALWAYS = ("NRMS", "DIN_text")


def core_model(name, folder):
    """A model of the zoo, narrow. MINER reads with a language model, here one of random weights."""
    if name == "MINER":
        content = Pretrained(str(tiny_checkpoint(folder / "tiny")))
        behavior = PolyAttention(interests=4, hidden=8)
        return attrs.evolve(zoo.miner(), content=content, behavior=behavior, reads=TITLE, width=8)
    return attrs.evolve(CORE[name](), width=16)


def steps(made, count, **options):
    """The weights after some steps, and the losses."""
    with torch.random.fork_rng(), compiled_operators(made.pipeline, **options):
        return _stepped(made, count)


def _stepped(made, count):
    pipeline, epoch = made.pipeline, Batches.of_epoch(made, 0)
    loss_of = made.experiment.task.build(task_context(made))
    optimizer = make_optimizer(pipeline, made.experiment.training)
    pipeline.train()
    losses = []
    for number in range(count):
        batch = epoch.make(number)
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=made.experiment.training.precision == "bf16")
        with lent(number, "test"):
            with autocast:
                out = pipeline(batch)
            parts = summed({"loss": loss_of(out.tensor, batch.labels, batch.candidate_mask)}, out.losses)
            loss = torch.stack(list(parts.values())).sum()
            loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
    return {name: value.clone() for name, value in pipeline.state_dict().items()}, losses


@pytest.mark.parametrize("name", [*CORE, "MINER"])
def test_core_models_have_no_graph_break(name, small, tmp_path):
    """Each operator of a training step is one graph, for shapes that vary, and gives what it gives as it is."""
    if name not in ALWAYS and not ALL:
        pytest.skip("make test-all")
    task = Ranking(negatives=2) if name.startswith("D") else Matching(negatives=2)
    experiment = attrs.evolve(small(task=task, batch_size=4), model=core_model(name, tmp_path))
    made = compile(experiment)
    pipeline = made.pipeline.train()
    seen = []
    handles = [
        module.register_forward_hook(
            lambda module, given, out, slot=slot: seen.append((slot, module, given, out))
        )
        for slot, module in pipeline.operators()
    ]
    with lent(0, "test"):
        pipeline(Batches.of_epoch(made, 0).make(0))
    for handle in handles:
        handle.remove()
    assert {slot for slot, *_ in seen} == {"content", "behavior", "predictor"}
    for module in {id(each): each for _, each, *_ in seen}.values():
        given = next(inputs for _, its, inputs, _ in seen if its is module)
        torch._dynamo.reset()
        # torch's own recurrent layers are looked into only where that is asked for.
        with torch._dynamo.config.patch(allow_rnn=True), lent(1, "test"):
            found = torch.compile(module.forward, backend="eager", fullgraph=True, dynamic=True)(*given)
        with lent(1, "test"):
            wanted = module(*given)
        torch.testing.assert_close(tensor_of(found), tensor_of(wanted), rtol=1e-6, atol=1e-7)


def tensor_of(out):
    """Of an operator's result, the tensor."""
    return getattr(out, "tensor", out)


def test_compiled_steps_are_the_steps(small):
    """Losses and weights after three steps agree to 1e-5 where the graphs and their backward passes are torch's own."""
    wanted, found = (compile(small(content=zoo.nrms().content, width=16, batch_size=8)) for _ in range(2))
    expected, losses = _stepped(wanted, 3)
    weights, theirs = steps(found, 3, backend="aot_eager")
    assert theirs == pytest.approx(losses, rel=1e-5)
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-5)


COMBINED = {
    "touched": ({"tables": "touched"}, 1e-5),
    # What is kept in 8 bits of a product rounds otherwise where several operations are one.
    "bf16": ({"precision": "bf16"}, 1e-2),
    "checkpointing": ({"checkpointing": True}, 1e-5),
}


def combined(name, small, folder):
    """A small model with the options, twice: `checkpointing` is of language models."""
    options, _ = COMBINED[name]
    content = (
        Pretrained(str(tiny_checkpoint(folder / "tiny")))
        if name == "checkpointing"
        else CNN(pool=Additive(hidden=8))
    )
    made = []
    for _ in range(2):
        made.append(compile(small(content=content, width=16, batch_size=8, **options)))
        if made[-1].experiment.training.checkpointing:
            for module in made[-1].pipeline.modules():
                getattr(module, "checkpoint_gradients", lambda: None)()
    return made


@pytest.mark.parametrize("name", COMBINED)
def test_compiled_steps_with_other_options_are_the_steps(name, small, tmp_path):
    """Rows of tables alone, bf16 and layers that are run again: three steps give the losses that they give uncompiled."""
    if name == "checkpointing" and not ALL:
        pytest.skip("make test-all")
    wanted, found = combined(name, small, tmp_path)
    _, losses = _stepped(wanted, 3)
    _, theirs = steps(found, 3, backend="aot_eager")
    assert theirs == pytest.approx(losses, rel=COMBINED[name][1])
    assert losses[0] != losses[1]


@pytest.mark.parametrize("name", COMBINED)
def test_kernels_of_this_machine_with_other_options(name, small, tmp_path):
    """The same with the compiler of the machine."""
    if not ALL:
        pytest.skip("make test-all")
    try:
        require_compiler("cpu")
    except RunError as error:
        pytest.skip(str(error))
    wanted, found = combined(name, small, tmp_path)
    _, losses = _stepped(wanted, 3)
    _, theirs = steps(found, 3)
    assert theirs == pytest.approx(losses, rel=max(1e-4, COMBINED[name][1]))


def test_operators_are_as_before_behind_the_block(small, monkeypatch):
    """Within it only training is compiled; behind it nothing is, and weights have their names."""
    calls = []

    def counted(function, **options):
        def called(*given, **named):
            calls.append(options)
            return function(*given, **named)

        return called

    monkeypatch.setattr(torch, "compile", counted)
    made = compile(small(content=Attention(heads=2), width=8))
    pipeline, batch = made.pipeline, Batches.of_epoch(made, 0).make(0)
    names = list(pipeline.state_dict())
    with compiled_operators(pipeline):
        assert list(pipeline.state_dict()) == names
        pipeline.eval()
        pipeline(batch)
        assert not calls
        pipeline.train()
        pipeline(batch)
        assert len(calls) >= 3
        assert calls[0] == {"dynamic": True, "backend": "inductor", "options": {"fallback_random": True}}
    calls.clear()
    pipeline(batch)
    assert not calls
    assert all("forward" not in vars(module) for _, module in pipeline.operators())


def test_a_run_that_compiles_gives_the_same_metrics(small, tmp_path, monkeypatch):
    """`Training(compile=True)` reaches the fit, and where graphs run as they are, nothing differs; a profile sees the stages."""
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    monkeypatch.setattr("lego.runtime.run.require_compiler", lambda device: None)  # these graphs need none
    made = []
    plain_of = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda *given, **options: made.append(1) or plain_of(*given, **options)
    )
    plain, compiled = (
        small(epochs=1, batch_size=16, **options).run(out=tmp_path / "runs", name=name, profile=True)
        for name, options in (("plain", {}), ("compiled", {"compile": True}))
    )
    assert len(made) == 3
    assert compiled.metrics == plain.metrics
    assert compiled.profile["seconds"]["training"]["content"] > 0


@pytest.mark.parametrize(
    ("device", "environment", "message"),
    [("cpu", {}, "C\\+\\+ compiler.*CXX"), ("cpu", {"CXX": "no-such-c++"}, "'no-such-c\\+\\+' is not there")],
)
def test_without_a_compiler_it_is_an_error(device, environment, message, monkeypatch, tmp_path):
    """The error says what is missing and what to do."""
    monkeypatch.delenv("CXX", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match=message):
        require_compiler(device)


def test_a_device_needs_triton(monkeypatch):
    """Kernels of an accelerator are made by Triton."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(RunError, match="Triton"):
        require_compiler("cuda:0")


def test_it_is_asked_before_any_work(small, tmp_path, monkeypatch):
    """Neither data nor a run folder is made where nothing could be compiled."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("lego.runtime.run.prepare", lambda *_, **__: pytest.fail("prepared"))
    with pytest.raises(RunError, match="compiler"):
        small(compile=True).run(out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_kernels_round_and_no_more(small):
    """With the compiler of the machine: dropout draws what it draws without, and losses agree to 1e-4 over three steps."""
    if not ALL:
        pytest.skip("make test-all")
    try:
        require_compiler("cpu")
    except RunError as error:
        pytest.skip(str(error))
    model = zoo.nrms(reads=TITLE)
    wanted, found = (
        compile(attrs.evolve(small(batch_size=8), model=attrs.evolve(model, width=16))) for _ in range(2)
    )
    _, losses = _stepped(wanted, 3)
    _, theirs = steps(found, 3)
    assert theirs == pytest.approx(losses, rel=1e-4)
