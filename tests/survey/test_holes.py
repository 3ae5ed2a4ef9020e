"""Finding the module that nothing explains, and what can be said of a size of a tensor in it."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from levgen.reference.find import find_folder
from levgen.reference.randomize import token_ids
from levgen.reference.record import record
from levgen.reference.sizing.values import VOCAB
from levgen.reference.tiny import Tiny, tiny
from levgen.survey.evidence import UnresolvedError
from levgen.survey.observe.chain import Chain
from levgen.survey.unknown.holes import _in_some_layers, find_holes
from levgen.survey.unknown.inside_axes import AxisNames, Sample, size_of
from levgen.survey.unknown.plugs import Hole, Plugs, unplugged

NETTLE = Path(__file__).parent / "invented" / "nettle"
NUMBERS = {name: name for name in ("hidden_dim", "heads", "kv_heads")}


@pytest.fixture(scope="module")
def reference() -> Tiny:
    return tiny(find_folder(NETTLE, trust_remote_code=True))


def test_the_smallest_module_that_explains_the_rest(reference: Tiny) -> None:
    plugs = find_holes(reference)
    assert plugs is not None
    (hole,) = plugs.holes
    assert (plugs.stack, hole.part, hole.below) == ("stem", "mlp", "sting")
    assert hole.unknown.observed.startswith("2 places where positions mix")
    assert hole.unknown.where == "nettle.py:39"


def test_what_stands_in_some_layers_may_be_none_in_others() -> None:
    class Layer(torch.nn.Module):
        def __init__(self, *, turning: bool) -> None:
            super().__init__()
            self.turn, self.stay = (
                torch.nn.Sequential(torch.nn.Linear(4, 4)) if held else None for held in (turning, not turning)
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.stay(x) if self.turn is None else self.turn(x)

    layers, x = torch.nn.ModuleList(Layer(turning=turning) for turning in (False, True, False)), torch.ones(1, 3, 4)
    calls = record(lambda: [layer(x) for layer in layers], dict(layers.named_children()), arguments=True)
    found = [tuple((hole.part, hole.below) for hole in holes) for holes in _in_some_layers(Chain("stem", tuple(calls)))]
    assert found == [(("mixer", "stay"),), (("mixer", "turn"),), (("mixer", "stay"), ("attention", "turn"))]


def test_a_plug_has_the_modules_place_and_nothing_of_it(reference: Tiny) -> None:
    plugs = Plugs("stem", (Hole("mlp", "sting"),))
    plugged = Tiny(reference.found, reference.values, plugs=plugs).build()
    names = [name for name, _ in plugged.named_parameters()]
    assert [name for name in names if plugs.owns(name)] == [
        f"stem.{layer}.sting.plug_{name}.weight" for layer in range(4) for name in ("up", "down")
    ]
    assert plugged.stem[0].sting.acid.weight.shape == (80, 96), "what others read off the module is still there"
    assert plugged(token_ids(VOCAB, 5)).logits.shape == (1, 5, VOCAB)
    assert unplugged("1 * <input> + 1 * sting.plug_down") == "1 * <input> + 1 * sting"


def _samples(*rows: tuple[dict[str, int], int]) -> list[Sample]:
    return [Sample(values, {"w": (size,)}) for values, size in rows]


BASE = {"hidden_dim": 96, "heads": 6, "kv_heads": 2}


@pytest.mark.parametrize(
    ("rows", "size"),
    [
        ([(BASE, 96), ({**BASE, "hidden_dim": 128}, 128)], "hidden_dim"),
        ([(BASE, 192), ({**BASE, "hidden_dim": 128}, 256)], "2 * hidden_dim"),
        ([(BASE, 16), ({**BASE, "heads": 8}, 12)], "hidden_dim // heads"),
        ([(BASE, 96), ({**BASE, "heads": 7}, 91)], "heads * (hidden_dim // heads)"),
        ([(BASE, 32), ({**BASE, "kv_heads": 3}, 48), ({**BASE, "heads": 12}, 16)], "kv_heads * (hidden_dim // heads)"),
        ([(BASE, 5), ({**BASE, "heads": 8}, 5)], "5"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_size_is_an_expression_that_holds_in_every_config(rows: list[tuple[dict[str, int], int]], size: str) -> None:
    assert size_of(_samples(*rows), "w", 0, NUMBERS) == size


def test_a_size_that_follows_nothing_is_unknown() -> None:
    with pytest.raises(UnresolvedError, match="dimension 0 of w follows no field"):
        size_of(_samples((BASE, 5), ({**BASE, "heads": 8}, 7)), "w", 0, NUMBERS)


def test_axes_have_names_of_their_own_and_no_tensor_has_one_twice() -> None:
    names = AxisNames(Hole("attention", "stir"))
    assert names.of("one.weight", ["hidden_dim", "hidden_dim"], ["out", "in"], "in") == ["one_out", "embed"]
    assert names.of("back.weight", ["hidden_dim", "hidden_dim"], ["out", "in"], "out") == ["embed", "back_in"]
    assert names.of("two.weight", ["leaf", "intermediate_dim"], ["out", "in"], "in") == ["leaf", "mlp"]
    assert names.of("slope", ["3"], [""], "") == ["fixed_3"]
    assert names.of("calm", ["hidden_dim // heads"], [""], "") == ["calm"]
    assert names.own == {
        "one_out": "hidden_dim",
        "back_in": "hidden_dim",
        "leaf": "leaf",
        "fixed_3": "3",
        "calm": "hidden_dim // heads",
    }


@pytest.mark.exhaustive
def test_no_stub_stands_beside_experts() -> None:
    """An MLP there that nothing explains leaves the whole layer unknown: a stub of an MLP stands in a layer alone."""
    from oddities import ODDITIES

    (odd,) = (oddity for oddity in ODDITIES if oddity.name == "the MLP beside experts a token on")
    plugs = find_holes(tiny(odd.found()))
    assert plugs is not None
    assert [(hole.part, hole.below) for hole in plugs.holes] == [("decoder_layer", "")]
