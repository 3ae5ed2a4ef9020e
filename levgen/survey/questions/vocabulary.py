"""The tokens on both sides: how many more are embedded than predicted, and whether the head may be the embedding."""

from typing import Any

from levgen.reference.sizing.values import VOCAB
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.trials import ROUNDING, Trials, snapshot_of
from levgen.survey.evidence import Evidence, UnresolvedError

# As many rows as a table may have after its vocabulary's.
_MOST = 16
_TIE = "tie_word_embeddings"


def find_vocabulary(trials: Trials, found: FieldMap) -> None:
    """Notes in `found` what there is of tokens beside a matrix each for embedding and head.

    Raises UnresolvedError where how many more rows are embedded depends on the vocabulary, as where it is rounded up.
    """
    found.extra_rows = _extra_rows(trials, found)
    if "tied" not in found.switches and _never_tied(trials):
        found.never_tied = True
        if _TIE not in found.fixed:
            found.ignored.setdefault(_TIE, "the head is a matrix of its own, whatever it says")
        probe = f"{len(trials.examined)} configs, and one with {_TIE}"
        found.evidence.append(Evidence("whether the head is tied", "never", 0.0, probe=probe))


def _extra_rows(trials: Trials, found: FieldMap) -> int:
    """How many rows of the token embedding come after those of the vocabulary."""
    question = "rows of the embedding"
    token = trials.structure.embeddings.token
    names = getattr(trials.tiny.found.config_class, "attribute_map", {})
    seen = []
    for size in (VOCAB, VOCAB + 1, 3 * VOCAB):
        sized: dict[str, Any] = {names.get("vocab_size", "vocab_size"): size}
        model = trials.structure.model if size == VOCAB else trials.tiny.build(random=False, **sized)
        (table,) = model.get_submodule(token).parameters()
        seen.append((size, int(table.shape[0])))
        if size == VOCAB == seen[0][1]:
            return 0
    more = {rows - size for size, rows in seen}
    if len(more) > 1 or not 0 < min(more) <= _MOST:
        raise UnresolvedError(question, f"(vocabulary, rows): {seen}", trials.structure.model)
    extra = more.pop()
    found.evidence.append(
        Evidence(question, f"{extra} after the vocabulary's", 0.0, probe=f"(vocabulary, rows): {seen}")
    )
    return extra


def _never_tied(trials: Trials) -> bool:
    """Whether the head is a matrix of its own in every config, told to be tied or not."""
    if any(trial.measures is not None and trial.measures.tied for trial in trials.examined):
        return False
    told: dict[str, Any] = {_TIE: True}
    try:
        model = trials.tiny.build(**told)
    except Exception:  # whatever a reference refuses it with
        return True
    return trials.snapshot.change(snapshot_of(model)) <= ROUNDING
