"""A language model of which a lower part may be frozen, run apart, fed from a cache, and left out.

Each layer is put into a `_Step`, which may be passed by. The lower states are caught, and later fed, where the first learning
layer reads them, inside the family's own forward with the real ids and mask: masks, positions and final norm stay its business.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.utils import checkpoint as recomputing

from lego.errors import CheckpointError, RunError, did_you_mean
from lego.pretrained.checkpoint import BESIDE_TOKENIZERS, CONFIG, TOKENIZERS, weights_hash
from lego.pretrained.families import Family, Shape, shape_of
from lego.pretrained.layers import Layers, Lora
from lego.pretrained.quantized import hold, quantized_bytes, quantized_options
from lego.spec import Checkpoint

_UNMASKED = "lego_unmasked"


@attrs.define(eq=False)
class _Span:
    """Which layers a pass runs, and the states it is fed with or leaves behind."""

    begin: int
    end: int
    fed: Tensor | None = None
    caught: Tensor | None = None


class _Pass:
    """What the steps of one model share: the pass that goes on just now."""

    def __init__(self) -> None:
        self.span: _Span | None = None


class _Step(nn.Module):
    """A layer that may be passed by."""

    def __init__(self, layer: nn.Module, index: int, shared: _Pass, gives: str) -> None:
        super().__init__()
        self.layer: nn.Module | None = layer
        self.index = index
        self.shared = shared
        self.gives = gives
        if hasattr(layer, "attention_type"):
            self.attention_type = layer.attention_type  # some families ask the layer for it, to choose a mask

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        """hidden (N, L, H) and what the family gives its layers -> what its layers return."""
        span = self.shared.span
        if span is not None:
            if self.index == span.end:
                span.caught = hidden
            if not span.begin <= self.index < span.end:
                return (hidden, None) if self.gives == "tuple" else hidden
            if self.index == span.begin and span.fed is not None:
                hidden = span.fed
        assert self.layer is not None
        return self.layer(hidden, *args, **kwargs)


def _run_again(layer: Any, *args: Any, **kwargs: Any) -> Any:
    """A layer's forward; in training its insides are forgotten, and made again with the same dropout when they are needed."""
    if not (layer.training and torch.is_grad_enabled()):
        return layer.run_once(*args, **kwargs)
    return recomputing.checkpoint(layer.run_once, *args, use_reentrant=False, **kwargs)


class _NoTable(nn.Module):
    """Stands where the token embeddings were, once nothing reads what they give."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("zeros", torch.zeros(width), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """ids (N, L) -> zeros (N, L, W)."""
        return self.get_buffer("zeros").expand(*ids.shape, -1)


class LanguageModel(nn.Module):
    """Token ids to hidden states, with the layers below `first` frozen.

    `first` is None where everything learns, and the number of layers where nothing does; with `adapters`, they alone learn, in
    the layers from `first` on. Its `state_dict` holds what learns, and the hash of the weights that it began with; loading it
    over other frozen weights is refused.
    """

    base: Tensor

    def __init__(
        self,
        model: nn.Module,
        family: Family,
        *,
        first: int | None,
        adapters: Lora | None = None,
        base: str = "",
        name: str = "",
        held: str = "fp32",
        quantize: str | None = None,
    ) -> None:
        super().__init__()
        self.model: nn.Module | None = model
        self.first = first
        self.family = family
        self.name = name
        self.pad = int(getattr(model.config, "pad_token_id", None) or 0)
        self.count = len(_layers(model, family))
        self.dropped = False
        self.quantize = quantize
        self.shared = _Pass()
        self.register_buffer("base", torch.tensor(list(bytes.fromhex(base or "0" * 64)), dtype=torch.uint8))
        self._top: list[nn.Module] = []
        if first is not None:
            model.requires_grad_(False)
            if first < self.count:
                self._top = self._split(model, family, first)
                if adapters is None:
                    for module in self._top:
                        module.requires_grad_(True)
                else:
                    adapt(model, family, first, adapters, name)
            if held == "bf16":
                inner: Any = model
                hold(_bare(_layers(model, family)), inner.get_input_embeddings())
        self._learned = frozenset(name for name, value in self.named_parameters() if value.requires_grad)
        hooked: Any = self  # torch gives these two no types
        hooked.register_state_dict_post_hook(_leave_out_frozen)
        hooked.register_load_state_dict_pre_hook(_keep_frozen)
        self.train(self.training)

    def _split(self, model: nn.Module, family: Family, first: int) -> list[nn.Module]:
        layers = _layers(model, family)
        for index, layer in enumerate(list(layers)):
            layers[index] = _Step(layer, index, self.shared, family.gives)
        top = [_found(model, path) for path in family.top]
        return [*list(layers)[first:], *(module for module in top if module is not None)]

    def train(self, mode: bool = True) -> LanguageModel:  # noqa: FBT001, FBT002 - torch's own signature
        """As everywhere, but what is frozen stays as it is in evaluation: its dropout would change the states."""
        super().train(mode)
        if self.first is not None and self.model is not None:
            self.model.eval()
            for module in self._top:
                module.train(mode)
        return self

    def forward(self, tokens: Tensor, mask: Tensor, states: Tensor | None = None) -> Tensor:
        """tokens (N, L), mask (N, L), states (N, L, H) of the frozen part or None -> final hidden states (N, L, H)."""
        if states is None and self.dropped:
            what = "its frozen layers were left out of memory, and no cached states are given"
            raise RunError(f"{self.name}: {what}. Give needs.states, or build the model again.")
        if self.first == self.count:
            return states if states is not None else self.lower(tokens, mask)
        if states is None or self.first is None:
            return self._run(tokens, mask, None)
        weight = next(self.learning())
        return self._run(
            tokens, mask, _Span(self.first, self.count, fed=states.to(weight.device, weight.dtype))
        )

    @torch.no_grad()
    def lower(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """tokens (N, L), mask (N, L) -> states (N, L, H): what the first learning layer reads, or the final ones."""
        if self.first is None or self.dropped:
            why = "was left out of memory" if self.dropped else "does not exist: everything learns"
            raise RunError(f"{self.name}: the frozen part {why}, so it cannot be run.")
        if self.first == self.count:
            return self._run(tokens, mask, None)
        span = _Span(0, self.first)
        self._run(tokens, mask, span)
        assert span.caught is not None
        return span.caught

    @torch.no_grad()
    def pooled_layers(self, tokens: Tensor, mask: Tensor, pool: Callable[[Tensor], Tensor]) -> Tensor:
        """tokens (N, L), mask (N, L), pool of states (N, L, H) -> (N, H) -> what it gives for every layer, (N, layers + 1, H).

        First what the lowest layer reads, then what each layer gives; the last is the final state, behind the final norm, where
        that is as wide as the layers. All of the model must be frozen. A layer's states are pooled as soon as they are made.
        """
        if self.model is None or self.first != self.count:
            why = "was left out of memory" if self.model is None else "is not all frozen"
            raise RunError(f"{self.name}: the states of all layers were asked for, and the model {why}.")
        pooled: list[Tensor] = []

        def keep(_layer: nn.Module, given: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            pooled.append(pool(given[0] if given else kwargs["hidden_states"]))

        def keep_last(_layer: nn.Module, _given: Any, gave: Any) -> None:
            pooled.append(pool(gave[0] if isinstance(gave, tuple) else gave))

        layers = _layers(self.model, self.family)
        with contextlib.ExitStack() as hooks:
            for layer in layers:
                hook = layer.register_forward_pre_hook(keep, with_kwargs=True, prepend=True)  # before a cast
                hooks.callback(hook.remove)
            hooks.callback(layers[-1].register_forward_hook(keep_last).remove)
            final = pool(self._run(tokens, mask, None))
        if final.shape == pooled[-1].shape:
            pooled[-1] = final
        return torch.stack(pooled, 1)

    def _run(self, tokens: Tensor, mask: Tensor, span: _Span | None) -> Tensor:
        assert self.model is not None
        tokens, mask = tokens.to(self.base.device), mask.to(self.base.device)
        ids = tokens.long().masked_fill(~mask, self.pad)
        # A softmax over nothing is NaN, so an empty row sees one place; what comes of it is masked behind.
        attended = mask.clone()
        attended[:, :1] |= ~mask.any(1, keepdim=True)
        self.shared.span = span
        try:
            return self.model(input_ids=ids, attention_mask=attended.long()).last_hidden_state
        finally:
            self.shared.span = None

    def checkpoint_gradients(self) -> None:
        """From now on layers that learn are run again in the backward pass, instead of keeping what they gave: less memory,
        the same gradients (Chen et al. 2016, https://arxiv.org/abs/1604.06174). Nothing where no layer learns.
        """
        if self.model is None or self.first == self.count:
            return
        inner: Any
        for inner in _bare(list(_layers(self.model, self.family))[self.first or 0 :]):
            if not hasattr(inner, "run_once"):
                inner.run_once = inner.forward
                inner.forward = functools.partial(_run_again, inner)

    def changed(self) -> dict[str, Tensor]:
        """The weights that are no longer those of the checkpoint, by their names in the family's own model.

        Adapters are added to the weights that they stand beside. Empty where nothing learns.
        """
        found: dict[str, Tensor] = {}
        if self.model is None:
            return found
        for name, part in self.model.named_modules():
            if hasattr(part, "get_delta_weight"):  # a linear map with adapters
                adapted: Any = part
                if not adapted.base_layer.weight.is_floating_point():
                    raise RunError(
                        f"{self.name}: adapters beside quantised weights cannot be merged into them."
                    )
                with torch.no_grad():
                    merged = adapted.base_layer.weight + adapted.get_delta_weight("default")
                found[f"{self._own_name(name)}.weight"] = merged
        for name, value in self.model.named_parameters():
            if f"model.{name}" in self._learned and ".lora_" not in name:
                found[self._own_name(name)] = value.detach()
        return found

    def _own_name(self, name: str) -> str:
        """The name in a model whose layers are not wrapped."""
        start = f"{self.family.layers}."
        if self.first is None or not name.startswith(start):
            return name
        index, _, inside = name.removeprefix(start).partition(".")
        return f"{start}{index}.{inside.removeprefix('layer.')}"

    def learning(self) -> Iterator[nn.Parameter]:
        """The parameters that learn."""
        return (value for name, value in self.named_parameters() if name in self._learned)

    def sizes(self) -> Iterator[tuple[Tensor, int]]:
        """Parameters whose bytes in memory are not those of their shape: quantised ones, where shapes are all there is."""
        if self.quantize is None or self.model is None or not self.base.is_meta:
            return
        yield from quantized_bytes(self.model, self.quantize)

    def drop_lower(self) -> None:
        """Takes the frozen layers out of memory, for good: from now on states must be given. Nothing where there are none."""
        if not self.first or self.dropped:
            return
        self.dropped = True
        if self.first == self.count:
            self.model = None
            return
        assert self.model is not None
        for step in self.model.modules():
            if isinstance(step, _Step) and step.index < self.first:
                step.layer = None
        model: Any = self.model
        table = model.get_input_embeddings()
        model.set_input_embeddings(_NoTable(table.embedding_dim).to(table.weight.device))


def _layers(model: nn.Module, family: Family) -> nn.ModuleList:
    layers = model.get_submodule(family.layers)
    assert isinstance(layers, nn.ModuleList)
    return layers


def _bare(layers: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """The layers as the family made them."""
    for layer in layers:
        inner = layer.layer if isinstance(layer, _Step) else layer
        if inner is not None:
            yield inner


# --- adapters -----------------------------------------------------------------------------------------------------------------


def linear_maps(model: nn.Module, family: Family, first: int = 0) -> dict[str, list[str]]:
    """The linear maps of the layers from `first` on: name in a layer -> names in the model."""
    from transformers.pytorch_utils import Conv1D

    found: dict[str, list[str]] = {}
    for index, layer in enumerate(_layers(model, family)):
        if index < first:
            continue
        inside, prefix = layer, f"{family.layers}.{index}"
        if isinstance(layer, _Step) and layer.layer is not None:
            inside, prefix = layer.layer, f"{prefix}.layer"
        for name, part in inside.named_modules():
            if isinstance(part, nn.Linear | Conv1D):
                found.setdefault(name, []).append(f"{prefix}.{name}")
    return found


def target_names(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The linear maps of a checkpoint's layers, by their names in a layer; reads config.json alone."""
    shape = shape_of(checkpoint)
    with quiet(), torch.device("meta"):
        return tuple(linear_maps(_without_weights(checkpoint, shape), shape.family))


def check_targets(targets: tuple[str, ...], there: Iterable[str], name: str) -> None:
    """CheckpointError with the linear maps that there are, where a target is the end of none of their names."""
    there = tuple(there)
    lost = [each for each in targets if not any(_ends(known, each) for known in there)]
    if lost or not targets:
        what = (
            f"its layers have no linear map called {' or '.join(map(repr, lost))}"
            if lost
            else "no target is named"
        )
        hint = did_you_mean(lost[0], [known.rpartition(".")[2] for known in there]) if lost else ""
        raise CheckpointError(
            name, f"lora(targets={targets!r}): {what}", f"{hint}there are {', '.join(there)}"
        )


def adapt(model: nn.Module, family: Family, first: int, adapters: Lora, name: str) -> None:
    """Puts adapters beside linear maps of the layers from `first` on, in place; all else is frozen."""
    from peft import LoraConfig, inject_adapter_in_model
    from transformers.pytorch_utils import Conv1D

    there = linear_maps(model, family, first)
    targets = adapters.targets if adapters.targets is not None else family.adapted
    check_targets(targets, there, name)
    chosen = [
        full
        for known, names in there.items()
        for full in names
        if any(_ends(known, each) for each in targets)
    ]
    config = LoraConfig(
        r=adapters.rank,
        lora_alpha=adapters.scale,  # type: ignore[arg-type]  # it only divides it by the rank
        lora_dropout=adapters.dropout,
        target_modules=chosen,
        fan_in_fan_out=isinstance(model.get_submodule(chosen[0]), Conv1D),
    )
    inject_adapter_in_model(config, model)


def _ends(known: str, target: str) -> bool:
    return known == target or known.endswith(f".{target}")


def _found(model: nn.Module, path: str) -> nn.Module | None:
    """The module at a path; some models of a family do without their final norm."""
    parent, _, last = path.rpartition(".")
    return getattr(model.get_submodule(parent), last, None)


def _leave_out_frozen(module: nn.Module, state: dict[str, Any], prefix: str, _metadata: Any) -> None:
    assert isinstance(module, LanguageModel)
    kept = {f"{prefix}{name}" for name in (*module._learned, "base")}  # noqa: SLF001 - a hook of the class itself
    for name in [name for name in state if name.startswith(prefix) and name not in kept]:
        del state[name]


def _keep_frozen(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Before loading: the base must be the same, and what is frozen stays as it is."""
    assert isinstance(module, LanguageModel)
    recorded, own = state.get(f"{prefix}base"), module.base
    if (
        module.first is not None
        and recorded is not None
        and not own.is_meta
        and not torch.equal(recorded.cpu(), own.cpu())
    ):
        theirs, ours = (bytes(each.tolist()).hex()[:12] for each in (recorded, own))
        raise CheckpointError(
            module.name or "language model",
            f"these tuned weights belong on frozen weights {theirs}…, and the checkpoint that is here has {ours}…",
            "give the checkpoint that the model was trained on",
        )
    for name, value in (*module.named_parameters(), *_persistent_buffers(module)):
        if name not in module._learned and name != "base":  # noqa: SLF001 - a hook of the class itself
            state.setdefault(f"{prefix}{name}", value.detach())


def _persistent_buffers(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for path, part in module.named_modules():
        for name, value in part.named_buffers(recurse=False):
            if name not in part._non_persistent_buffers_set:  # noqa: SLF001 - torch offers no public way to ask
                yield f"{path}.{name}".lstrip("."), value


# --- making one ---------------------------------------------------------------------------------------------------------------


def load(
    checkpoint: Checkpoint,
    layers: Layers,
    *,
    base: str = "",
    weights: bool = True,
    held: str = "fp32",
    quantize: str | None = None,
) -> LanguageModel:
    """The language model of a checkpoint, in float32, or with what is frozen in bfloat16 (`held="bf16"`) or quantised.

    `base` is the hash of its weights.

    `weights=False` draws weights instead of reading them, for those who want shapes only. CheckpointError where the files do not
    hold all weights of the family.
    """
    shape = shape_of(checkpoint)
    with quiet():
        if weights:
            options = quantized_options(quantize, layers, checkpoint.name)
            model = _with_weights(checkpoint, shape, **options)
        else:
            model = _without_weights(checkpoint, shape)
    return LanguageModel(
        model,
        shape.family,
        first=layers.first(shape.layers),
        adapters=layers.adapters,
        base=base,
        name=checkpoint.name,
        held=held,
        quantize=quantize,
    )


def write_tuned(tuned: LanguageModel, checkpoint: Checkpoint, folder: Path) -> None:
    """Writes the bare model with its tuned weights (float32), its config and its tokenizer: a checkpoint like any other.

    `checkpoint` is what `tuned` began with. `folder` must be empty.
    """
    shape = shape_of(checkpoint)
    with quiet():
        model = _with_weights(checkpoint, shape)
        state = model.state_dict()
        with torch.no_grad():
            for name, value in tuned.changed().items():
                state[name].copy_(value)
        saved: Any = model
        saved.save_pretrained(folder)
    own = json.loads((checkpoint.folder / CONFIG).read_text("utf-8"))
    made = json.loads((folder / CONFIG).read_text("utf-8"))
    # The config as it was, without what was only set for the training; the numbers are float32 now, whatever they were.
    own |= {"architectures": made["architectures"], "dtype": "float32"}
    own.pop("torch_dtype", None)
    (folder / CONFIG).write_text(json.dumps(own, indent=2), "utf-8")
    for file in (*TOKENIZERS, *BESIDE_TOKENIZERS):
        if (checkpoint.folder / file).exists():
            shutil.copyfile(checkpoint.folder / file, folder / file)


def base_hash(checkpoint: Checkpoint) -> str:
    """The hash of a checkpoint's weights, remembered among the caches."""
    from lego.home import home

    return weights_hash(checkpoint, home() / "checkpoints")


def frozen_key(checkpoint: Checkpoint, states: Any, base: str, computed: str = "float32") -> str:
    """A hash of all that frozen states of a checkpoint depend on, but for the tokens.

    `states` says which they are, in values of JSON; `base` is the hash of the weights.
    """
    import transformers

    config = (checkpoint.folder / "config.json").read_bytes()
    record = {
        "weights": base,
        "config": hashlib.sha256(config).hexdigest(),
        "layer": states,
        "dtype": computed,
        "transformers": transformers.__version__.partition(".")[0],
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _config(checkpoint: Checkpoint, shape: Shape) -> Any:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
    config.use_cache = False
    for name, value in shape.family.overrides.items():
        setattr(config, name, value)
    return config


def _with_weights(checkpoint: Checkpoint, shape: Shape, **options: Any) -> nn.Module:
    from transformers import AutoModel

    try:
        model, told = AutoModel.from_pretrained(
            checkpoint.folder,
            config=_config(checkpoint, shape),
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **shape.family.options,
            **options,
        )
    except (OSError, ValueError, RuntimeError, KeyError) as problem:
        fix = "fetch the checkpoint again: its weights and its config.json must belong together"
        raise CheckpointError(checkpoint.name, f"its weights cannot be loaded: {problem}", fix) from problem
    absent = sorted(told["missing_keys"])
    if absent:
        what = f"its weights lack {len(absent)} of what a {shape.kind} model has ({', '.join(absent[:3])}, …)"
        raise CheckpointError(
            checkpoint.name,
            what,
            "fetch the checkpoint again: its weights and its config.json must belong together",
        )
    return model


def _without_weights(checkpoint: Checkpoint, shape: Shape) -> nn.Module:
    from transformers import AttentionInterface, AutoModel

    options = dict(shape.family.options)
    if torch.empty(0).is_meta:
        # An attention for which no mask is made: making one asks for its values, and on the meta device there are none.
        AttentionInterface.register(_UNMASKED, _unmasked)
        options["attn_implementation"] = _UNMASKED
    maker: Any = AutoModel
    model: nn.Module = maker.from_config(
        _config(checkpoint, shape), dtype=torch.float32, trust_remote_code=False, **options
    )
    return model


def _unmasked(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *_: Any, **options: Any
) -> tuple[Tensor, None]:
    """query (N, heads, L, d), key and value (N, groups, L, d) -> (N, L, heads, d): the work of attention, without its masks."""
    repeats = query.shape[1] // key.shape[1]
    key, value = (each.repeat_interleave(repeats, 1) for each in (key, value))
    weights = (query @ key.transpose(-1, -2)).softmax(-1)
    return (weights @ value).transpose(1, 2).contiguous(), None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No bars and no reports: what matters of them is an error here."""
    from transformers.utils import logging as transformers_logging

    talk: Any = transformers_logging
    level, bars = talk.get_verbosity(), talk.is_progress_bar_enabled()
    talk.set_verbosity(logging.CRITICAL)
    talk.disable_progress_bar()
    try:
        yield
    finally:
        talk.set_verbosity(level)
        if bars:
            talk.enable_progress_bar()
