"""Which layers have what others haven't got: a norm before a block, a bias that is added to what attention puts out."""

from collections.abc import Callable

from levgen.architecture.answers import usual
from levgen.architecture.layer import Layer
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.measures import Measures
from levgen.survey.config.trials import Trials
from levgen.survey.evidence import Evidence, UnresolvedError

# As a card has them: (number of the layer, how many there are) -> whether the thing is there.
_WHICH: dict[str, Callable[[int, int], bool]] = {
    "every": lambda i, depth: True,
    "none": lambda i, depth: False,
    "first": lambda i, depth: i == 0,
    "last": lambda i, depth: i == depth - 1,
    "but_first": lambda i, depth: i > 0,
    "but_last": lambda i, depth: i < depth - 1,
}
# Answer about a layer -> of which of its layers a model has that.
_HELD: dict[str, Callable[[Measures], tuple[bool, ...]]] = {
    "attention_norm": lambda m: tuple(role != "attention_norm" for role in m.missing_norm),
    "mlp_norm": lambda m: tuple(role != "mlp_norm" for role in m.missing_norm),
    "added_bias": lambda m: m.added_bias,
}


def find_uneven(trials: Trials, found: FieldMap) -> None:
    """Notes in `found` which layers have each of these, in words that hold at every depth that was examined.

    Raises UnresolvedError where none does, and where one depth only was examined: layer 3 of 4 may be the last layer,
    or layer 3.
    """
    whole = {
        trial.measures.num_layers: trial.measures
        for trial in reversed(trials.examined)
        if trial.measures is not None and len(trial.measures.missing_norm) == trial.measures.num_layers
    }
    for answer, has in _HELD.items():
        seen = {depth: has(measures) for depth, measures in whole.items()}
        fitting = [
            which
            for which, says in _WHICH.items()
            if all(held == tuple(says(i, depth) for i in range(depth)) for depth, held in seen.items())
        ]
        shown = "; ".join(f"{[i for i, there in enumerate(held) if there]} of {n}" for n, held in seen.items())
        question = f"layers with {answer}"
        if len(fitting) != 1 or (fitting == ["none"] and answer != "added_bias"):
            raise UnresolvedError(question, f"{shown}: as no answer says")
        (which,) = fitting
        if which not in ("every", "none") and len(seen) == 1:
            raise UnresolvedError(question, f"{shown}, and no other depth could be examined")
        if which == usual(Layer)[answer]:
            continue
        found.in_layers[answer] = which
        found.evidence.append(Evidence(question, which, probe=shown))
