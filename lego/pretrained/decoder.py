"""A language model that goes on with texts: in batches, with a cache of keys and values, greedy or drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from lego.errors import CheckpointError
from lego.pretrained.checkpoint import read_config, resolve
from lego.pretrained.model import quiet
from lego.spec import Checkpoint

_CHAT_ML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
"""The markup of conversations that many models share, for those whose files do not say theirs but know its marks."""
_PLAIN = "{% for message in messages %}{{ message['content'] }}\n\n{% endfor %}"


@attrs.frozen(kw_only=True)
class Wanted:
    """One text to go on with."""

    text: str
    tokens: int
    """At most so many are added."""
    done: Callable[[str], bool]
    """Whether what was added is enough."""
    seed: int = 0


@attrs.frozen(kw_only=True)
class Added:
    """What came behind a text."""

    text: str
    read: int
    """Tokens of the text."""
    written: int
    """Tokens that were added."""


class Decoder:
    """A causal language model with its tokenizer, loaded."""

    def __init__(self, name: str, *, device: str = "cpu") -> None:
        self.checkpoint = resolve(name)
        self.device = device
        self.tokenizer = _tokenizer(self.checkpoint)
        self.model = _model(self.checkpoint).to(device).eval()
        config = read_config(self.checkpoint)
        ends = config.get("eos_token_id")
        self.ends = set(ends if isinstance(ends, list) else [ends]) - {None}
        mark = self.tokenizer.convert_tokens_to_ids("<|im_end|>")
        if mark is not None and mark != self.tokenizer.unk_token_id:
            self.ends.add(mark)
        self.limit = int(config.get("max_position_embeddings") or 2048)

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._ids(text))

    def conversation(self, messages: Sequence[tuple[str, str]]) -> str:
        """The text that stands before an answer, in the markup of the model."""
        told = [{"role": role, "content": content} for role, content in messages]
        return str(
            self.tokenizer.apply_chat_template(
                told, tokenize=False, add_generation_prompt=True, chat_template=self._template
            )
        )

    @property
    def _template(self) -> str:
        known = self.tokenizer.chat_template
        if isinstance(known, str):
            return known
        return _CHAT_ML if "<|im_start|>" in self.tokenizer.get_vocab() else _PLAIN

    def _ids(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return found

    def _begun(self, ids: list[int], count: int) -> Any:
        """Keys and values of the tokens that `count` texts begin with, read once."""
        told = self.model(input_ids=torch.tensor([ids], device=self.device), use_cache=True, logits_to_keep=1)
        told.past_key_values.batch_repeat_interleave(count)
        return told.past_key_values

    @torch.inference_mode()
    def go_on(self, wanted: Sequence[Wanted], *, temperature: float = 0.0) -> list[Added]:
        """What the model adds to each text; texts too long for it lose their beginning. A text's seed decides its draws alone."""
        if not wanted:
            return []
        prompts = [
            (self._ids(each.text) or [next(iter(self.ends), 0)])[-(self.limit - each.tokens) :]
            for each in wanted
        ]
        shared = _shared(prompts)
        past = self._begun(prompts[0][:shared], len(prompts)) if shared else None
        width = max(map(len, prompts)) - shared
        ids = torch.zeros((len(prompts), width), dtype=torch.long)
        mask = torch.zeros((len(prompts), width), dtype=torch.long)
        for row, prompt in enumerate(
            prompts
        ):  # on the left, so that the last token of each stands in one column
            rest = prompt[shared:]
            ids[row, width - len(rest) :] = torch.tensor(rest)
            mask[row, width - len(rest) :] = 1
        mask = torch.cat([torch.ones((len(prompts), shared), dtype=torch.long), mask], -1)
        ids, mask = ids.to(self.device), mask.to(self.device)
        chances = [torch.Generator().manual_seed(each.seed) for each in wanted]
        written: list[list[int]] = [[] for _ in wanted]
        texts = [""] * len(wanted)
        live = [each.tokens > 0 for each in wanted]
        places = (mask.cumsum(-1) - 1).clamp(min=0)[:, shared:]
        while any(live):
            told = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=places,
                past_key_values=past,
                use_cache=True,
                logits_to_keep=1,
            )
            past = told.past_key_values
            chosen = _chosen(told.logits[:, -1].float().cpu(), chances, temperature)
            for row, token in enumerate(chosen):
                if not live[row]:
                    continue
                if token in self.ends:
                    live[row] = False
                    continue
                written[row].append(token)
                texts[row] = self.tokenizer.decode(written[row], skip_special_tokens=True)
                live[row] = len(written[row]) < wanted[row].tokens and not wanted[row].done(texts[row])
            ids = torch.tensor(chosen, device=self.device)[:, None]
            mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], -1)
            places = places[:, -1:] + 1
        return [
            Added(text=text, read=len(prompt), written=len(tokens))
            for text, prompt, tokens in zip(texts, prompts, written, strict=True)
        ]


def _shared(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all texts begin with; at least one is left to each."""
    if len(prompts) < 2:
        return 0
    most = min(map(len, prompts)) - 1
    return next((at for at in range(most) if len({prompt[at] for prompt in prompts}) > 1), max(0, most))


def _chosen(logits: Tensor, chances: list[torch.Generator], temperature: float) -> list[int]:
    """logits (B, V) -> a token for each row: the likeliest, or one drawn."""
    if temperature == 0:
        return [int(each) for each in logits.argmax(-1)]
    odds = (logits / temperature).softmax(-1)
    return [
        int(torch.multinomial(row, 1, generator=chance)) for row, chance in zip(odds, chances, strict=True)
    ]


def _tokenizer(checkpoint: Checkpoint) -> Any:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    whole = checkpoint.folder / "tokenizer.json"
    settings = checkpoint.folder / "tokenizer_config.json"
    template = _text(checkpoint.folder / "chat_template.jinja")
    with quiet():
        if whole.exists() and not settings.exists():
            fast: Any = PreTrainedTokenizerFast
            made: Any = fast(tokenizer_file=str(whole))
        else:
            made = AutoTokenizer.from_pretrained(
                checkpoint.folder, local_files_only=True, trust_remote_code=False
            )
    if template is not None:
        made.chat_template = template
    made.backend_tokenizer.no_truncation()
    return made


def _text(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


def _model(checkpoint: Checkpoint) -> Any:
    from transformers import AutoModelForCausalLM

    fix = "take a model that writes text, as HuggingFaceTB/SmolLM2-135M-Instruct does"
    loader: Any = AutoModelForCausalLM
    try:
        with quiet():
            model, told = loader.from_pretrained(
                checkpoint.folder,
                dtype=torch.float32,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, KeyError) as problem:
        raise CheckpointError(checkpoint.name, f"it cannot write: {problem}", fix) from problem
    if absent := sorted(told["missing_keys"]):
        what = f"its weights lack what a model that writes has ({', '.join(absent[:3])})"
        raise CheckpointError(checkpoint.name, what, fix)
    return model
