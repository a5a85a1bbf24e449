"""The predictor of a model file. Where one computes something else than its counterpart in lego, that is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lego.errors import did_you_mean
from lego.migrate.notes import Options, Told
from lego.predictor.auto_int import AutoInt
from lego.predictor.dcn import DCN
from lego.predictor.dcn_v2 import DCNv2
from lego.predictor.deep_fm import DeepFM
from lego.predictor.din import DIN
from lego.predictor.dnn import DNN
from lego.predictor.dot import Dot
from lego.predictor.final_mlp import FinalMLP
from lego.predictor.gdcn import GDCN
from lego.predictor.interest_attention import InterestAttention
from lego.predictor.masknet import MaskNet
from lego.predictor.pnn import PNN
from lego.predictor.poly import Poly
from lego.spec import Predictor

STRUCTURES = ("crossnet_only", "stacked", "parallel", "stacked_parallel")


def predictor_of(name: str, options: Options, width: int, told: Told) -> Predictor | None:
    """The predictor of a name; None and a problem where lego has none."""
    makers: Mapping[str, Callable[[_Made], Predictor | None]] = {
        "Dot": lambda made: Dot(),
        "MINER": _Made.miner,
        "DIN": _Made.din,
        "DNN": _Made.dnn,
        "PNN": _Made.pnn,
        "DeepFM": _Made.deep_fm,
        "DCN": _Made.dcn,
        "DCNv2": _Made.dcn_v2,
        "GDCN": _Made.gdcn,
        "AutoInt": _Made.auto_int,
        "FinalMLP": _Made.final_mlp,
        "MaskNet": _Made.masknet,
        "Poly": _Made.poly,
    }
    found = next((maker for each, maker in makers.items() if each.lower() == name.lower()), None)
    where = "model.meta.predictor"
    if name.lower() == "semanticmix":
        what = f"{name} (a predictor on all pairs of codes) has no counterpart in lego"
        told.problem(where, what, "choose another predictor")
        return None
    if found is None:
        fix = f"{did_you_mean(name, makers)}Known: {', '.join(makers)}"
        told.problem(where, f"{name!r} is not known" if name else "no predictor is named", fix)
        return None
    made = found(_Made(options, width, told))
    options.close()
    return made


class _Made:
    """One predictor, from its options."""

    def __init__(self, options: Options, width: int, told: Told) -> None:
        self.options, self.width, self.told = options, width, told

    def note(self, what: str) -> None:
        """Where it computes something else."""
        self.told.note("model.meta.predictor", what)

    def hidden(self, name: str = "dnn_hidden_units", count: int = 3) -> tuple[int, ...]:
        """The widths of a perceptron: as wide as the model where nothing is said."""
        return self.options.widths(name, (self.width,) * count)

    def perceptron(self, prefix: str = "dnn") -> float:
        """The dropout of a perceptron, after what lego's perceptrons do not have."""
        options = self.options
        activation = options.take(f"{prefix}_activations", "ReLU")
        if str(activation).lower() != "relu":
            self.told.note(
                f"{options.where}.{prefix}_activations", f"{activation} left out: it is ReLU in lego"
            )
        if options.flag(f"{prefix}_batch_norm", default=False):
            self.told.note(f"{options.where}.{prefix}_batch_norm", "left out: lego's perceptrons have none")
        dropout: float = options.number(f"{prefix}_dropout", 0.0, float)
        return dropout

    def miner(self) -> Predictor:
        """The scores of all interests made one."""
        score = self.options.one_of("score_type", "weighted", ("weighted", "max", "mean"))
        return InterestAttention(score=score)  # type: ignore[arg-type]  # one of the three

    def din(self) -> Predictor:
        """Without the candidate in the last perceptron, as it was."""
        options = self.options
        attention = options.widths("attention_hidden_units", (self.width,))
        hidden = (
            self.hidden()
            if "dnn_hidden_units" in options.rest
            else (8 * self.width, 2 * self.width, self.width)
        )
        options.take("dnn_hidden_units")
        activation = options.take("dnn_activations", "Dice")
        if str(activation).lower() != "dice":
            what = f"{activation} left out: it is Dice in lego, as in the paper"
            self.told.note(f"{options.where}.dnn_activations", what)
        dropout = options.number("net_dropout", 0.1, float)
        inner = options.number("attention_dropout", dropout, float)
        if inner != dropout:
            what = f"{inner} left out: both perceptrons have the dropout {dropout}"
            self.told.note(f"{options.where}.attention_dropout", what)
        if options.flag("batch_norm", default=False):
            self.told.note(f"{options.where}.batch_norm", "left out: lego's perceptrons have none")
        if options.flag("din_use_softmax", default=False):
            self.told.note(
                f"{options.where}.din_use_softmax", "left out: weights of the history are not normalized"
            )
        return DIN(attention=attention, hidden=hidden, dropout=dropout, candidate=False)

    def dnn(self) -> Predictor:
        """A perceptron."""
        return DNN(hidden=self.hidden(), dropout=self.perceptron())

    def pnn(self) -> Predictor:
        """With the inner product."""
        return PNN(hidden=self.hidden(), dropout=self.perceptron())

    def deep_fm(self) -> Predictor:
        """With its first order."""
        self.note("DeepFM as published: with a term of first order, and a sum where there was a mean")
        return DeepFM(hidden=self.hidden(), dropout=self.perceptron())

    def dcn(self) -> Predictor:
        """Cross layers beside a perceptron."""
        return DCN(cross=self.options.number("cross_num", 3), hidden=self.hidden(), dropout=self.perceptron())

    def dcn_v2(self) -> Predictor:
        """The four structures, of which lego has three."""
        options = self.options
        structure = options.one_of("model_structure", "parallel", STRUCTURES)
        mixed = options.flag("use_low_rank_mixture", default=False)
        rank, experts = options.number("low_rank", 32), options.number("num_experts", 4)
        stacked = self.hidden("stacked_dnn_hidden_units")
        parallel = self.hidden("parallel_dnn_hidden_units")
        hidden = {"crossnet_only": (), "parallel": parallel}.get(structure, stacked)
        if structure == "stacked_parallel":
            self.note("DCNv2: of its two perceptrons, both above the cross layers, one is left")
        if structure == "parallel":
            self.note(
                "DCNv2: the perceptron stands beside the cross layers, as published; it stood above them"
            )
        sizes = {"rank": rank, "experts": experts} if mixed else {"rank": None}
        return DCNv2(
            cross=options.number("cross_num", 3),
            structure="parallel" if structure == "parallel" else "stacked",
            hidden=hidden,
            dropout=self.perceptron(),
            **sizes,
        )

    def gdcn(self) -> Predictor:
        """Gated cross layers."""
        stacked = self.options.flag("sequential_mode", default=False)
        return GDCN(
            cross=self.options.number("cross_num", 3),
            hidden=self.hidden(),
            structure="stacked" if stacked else "parallel",
            dropout=self.perceptron(),
        )

    def auto_int(self) -> Predictor:
        """Attention over the two vectors."""
        options = self.options
        heads, width = options.number("num_attention_heads", 8), options.number("attention_dim", 64)
        if width % heads:
            what = f"{width} is no multiple of {heads} heads"
            self.told.problem(
                f"{options.where}.attention_dim", what, "write a multiple of num_attention_heads"
            )
            width = heads
        options.unneeded("it was read and never used", "use_wide")
        if not options.flag("use_residual", default=True):
            self.told.note(f"{options.where}.use_residual", "false left out: layers have a residual in lego")
        options.unneeded("lego has one dropout for all layers", "attention_dropout", "layer_norm")
        self.note("AutoInt as published: attention is scaled; it was not")
        return AutoInt(
            layers=options.number("num_attention_layers", 3),
            heads=heads,
            head_width=width // heads,
            hidden=self.hidden(),
            dropout=self.perceptron(),
        )

    def final_mlp(self) -> Predictor:
        """Two streams, with the gates of the paper."""
        options = self.options
        options.unneeded("the gates were options without effect", "use_fs", "fs_hidden_units")
        first = options.widths("mlp1_hidden_units", (self.width,) * 3)
        second = options.widths("mlp2_hidden_units", (self.width,) * 3)
        dropouts = self.perceptron("mlp1"), self.perceptron("mlp2")
        dropout = max(dropouts)
        if min(dropouts) != dropout:
            what = f"{min(dropouts)} left out: both perceptrons have the dropout {dropout}"
            self.told.note(f"{options.where}.mlp1_dropout, mlp2_dropout", what)
        self.note("FinalMLP as published: with gates that choose features; there were none")
        return FinalMLP(first=first, second=second, heads=options.number("num_heads", 1), dropout=dropout)

    def masknet(self) -> Predictor:
        """Blocks beside or behind one another."""
        options = self.options
        kind = options.one_of("model_type", "ParallelMaskNet", ("ParallelMaskNet", "SerialMaskNet"))
        hidden = options.widths("hidden_units", (self.width,) * 3)
        activation = options.take("hidden_activations", "ReLU")
        if str(activation).lower() != "relu":
            self.told.note(
                f"{options.where}.hidden_activations", f"{activation} left out: it is ReLU in lego"
            )
        if not options.flag("emb_layernorm", default=True):
            self.told.note(f"{options.where}.emb_layernorm", "false left out: fields are normalized in lego")
        reduction = float(options.number("reduction_ratio", 1.0, float))
        dropout = options.number("net_dropout", 0.0, float)
        if kind == "ParallelMaskNet":
            blocks, units = options.number("parallel_num_blocks", 1), options.number("parallel_block_dim", 64)
            return MaskNet(blocks=blocks, units=units, reduction=reduction, hidden=hidden, dropout=dropout)
        if not hidden:
            fix = "write the widths of the blocks, as [64, 64]"
            self.told.problem(
                f"{options.where}.hidden_units", "a serial net without blocks scores nothing", fix
            )
            hidden = (self.width,)
        if len(set(hidden)) > 1:
            what = f"{list(hidden)}: the blocks of a serial net are equally wide in lego, here {hidden[0]}"
            self.told.note(f"{options.where}.hidden_units", what)
        return MaskNet(
            structure="serial",
            blocks=len(hidden),
            units=hidden[0],
            reduction=reduction,
            hidden=(),
            dropout=dropout,
        )

    def poly(self) -> Predictor | None:
        """The mean over several vectors of a user of what another predictor says."""
        options = self.options
        name = str(options.take("predictor", options.take("base_predictor", "Dot")))
        below = options.part(
            "predictor_config" if "predictor_config" in options.rest else "base_predictor_config"
        )
        options.unneeded("a user has as many vectors as the user operator gives", "num_layers")
        base = predictor_of(name, below, self.width, self.told)
        return None if base is None else Poly(base)
