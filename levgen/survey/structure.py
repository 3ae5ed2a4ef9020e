"""The structure of one reference: every question about its forward, in order."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from levgen.reference.record import Call
from levgen.survey.evidence import Evidence, UnresolvedError
from levgen.survey.mixture.whole import Mixture
from levgen.survey.observe.anatomy import Anatomy, Core, dissect
from levgen.survey.observe.chain import Chain, find_chain
from levgen.survey.questions.activation import ChannelBlock, find_channel_block
from levgen.survey.questions.channels import Roles
from levgen.survey.questions.dataflow import Dataflow, find_dataflow
from levgen.survey.questions.indexer import Indexer, find_indexer, find_shared_choice
from levgen.survey.questions.output_gate import OutputGate, find_output_gate
from levgen.survey.questions.outside import Embeddings, Head, Outside, find_embeddings, find_head, find_outside
from levgen.survey.questions.query_growth import find_query_growth
from levgen.survey.questions.roles import find_roles, likely_roles
from levgen.survey.questions.scores import Scores, find_scores, likely_scores


@dataclass(frozen=True)
class LayerFindings:
    """One layer."""

    anatomy: Anatomy
    dataflow: Dataflow
    gate: OutputGate | None
    roles: Roles
    scores: Scores
    block: ChannelBlock | Mixture | None
    indexer: Indexer | None = None
    beside: ChannelBlock | None = None  # an MLP beside a mixture of experts
    shares: Evidence | None = None  # that the keys are seen which an earlier layer's indexer chose

    @property
    def dense(self) -> ChannelBlock | None:
        """The MLP of the layer, or the one beside its experts."""
        return self.block if isinstance(self.block, ChannelBlock) else self.beside

    @property
    def mixer(self) -> bool:
        """Whether an attention that was put there stands in the place of something unknown, in some layers only."""
        modules = self.anatomy.module.modules()
        return any(getattr(module, "stands_for_mixer", False) for module in modules)

    @property
    def evidence(self) -> list[Evidence]:
        gate = () if self.gate is None else (self.gate.evidence,)
        found = [*self.anatomy.evidence, self.dataflow.evidence, *gate, *self.roles.evidence, *self.scores.evidence]
        found += () if self.indexer is None else self.indexer.evidence
        found += () if self.shares is None else (self.shares,)
        # That of a mixture is the anatomy's: it was found there as a whole.
        return found if self.dense is None else [*found, *self.dense.evidence]


@dataclass(frozen=True)
class Structure:
    """What was found in a forward of `model`. `layers`: the findings of each layer."""

    model: Any
    chain: Chain
    outside: Outside
    embeddings: Embeddings
    head: Head
    layers: tuple[LayerFindings, ...]

    @property
    def evidence(self) -> list[Evidence]:
        first = next((layer for layer in self.layers if not layer.mixer), self.layers[0]).evidence
        of_experts = next((layer.block.evidence for layer in self.layers if isinstance(layer.block, Mixture)), ())
        # What was asked of some layers only.
        asked = {entry.question for entry in first}
        of_scores = {e.question: e for layer in reversed(self.layers) for e in layer.scores.evidence}
        more = [entry for question, entry in of_scores.items() if question not in asked]
        more += [entry for entry in of_experts if entry not in first]
        more += [layer.shares for layer in self.layers if layer.shares is not None][:1]
        return [*self.embeddings.evidence, *first, *more, *self.head.evidence]


def find_structure(model: Any, ids: Any, *, every_layer: bool = True, like: "Structure | None" = None) -> Structure:
    """Asks every question about `model`. Raises UnresolvedError at the first that no candidate answers.

    `every_layer`: each layer is examined, else the first one only. `like`: that of a model that may be much the same,
    whose answers are tried before they are looked for.
    """
    chain = find_chain(model, lambda: model(ids))
    outside = find_outside(model, chain, ids)
    embeddings = find_embeddings(outside)
    head = find_head(outside, embeddings)
    layers: list[LayerFindings] = []
    chosen: Any = None  # by the last layer with an indexer
    for index, call in enumerate(chain.layers if every_layer else chain.layers[:1]):
        anatomy = dissect(call)
        dataflow = find_dataflow(anatomy)
        mixing, core = anatomy, dataflow.attention_core
        gate = find_output_gate(anatomy, core)
        if gate is not None:
            mixing, core = gate.opened(anatomy, core)
        known = [*reversed(layers), *(() if like is None else like.layers)]
        roles, scores = _find_attention(mixing, core, known)
        if scores.query_scaling is not None and scores.layout is None:
            scores = find_query_growth(partial(_call_at, model, ids, index), mixing, roles, scores)
        factor = 1.0 if gate is None else gate.factor(anatomy)
        indexer = find_indexer(mixing, dataflow, roles, scores, factor)
        shares = find_shared_choice(mixing, roles, scores, chosen, factor)
        chosen = chosen if mixing.chooser is None else mixing.chooser.output
        of_gate = None if gate is None else gate.bias
        unclaimed = sorted(anatomy.loose.keys() - {scores.sinks, dataflow.added_bias, of_gate})
        if unclaimed:
            raise UnresolvedError(
                "what a layer is made of", f"parameters outside called modules: {unclaimed}", call.module
            )
        block = _block(anatomy, dataflow)
        beside = None if dataflow.beside is None else find_channel_block(anatomy, dataflow.beside.core)
        own = block.act if isinstance(block, ChannelBlock) else None
        elsewhere = sorted(anatomy.learned.keys() - {own})
        if elsewhere:
            raise UnresolvedError(
                "what a layer is made of", f"activations with parameters outside the MLP: {elsewhere}", call.module
            )
        layers.append(LayerFindings(anatomy, dataflow, gate, roles, scores, block, indexer, beside, shares))
    return Structure(model, chain, outside, embeddings, head, tuple(layers))


def _find_attention(anatomy: Anatomy, core: Core, known: Iterable[LayerFindings]) -> tuple[Roles, Scores]:
    """What the channels of an attention are, and what it makes of them.

    What was found for the layers `known` is tried first: most are alike, and to look for it takes most of the time.
    """
    tried: list[Roles] = []
    asked: list[tuple[Roles, Scores]] = []  # several layers that are known may have the same answers
    for layer in known:
        likely = likely_roles(anatomy, core, layer.roles)
        if likely is None or (answers := (likely, replace(layer.scores, evidence=()))) in asked:
            continue
        asked.append(answers)
        scores = likely_scores(anatomy, likely, layer.scores)
        if scores is not None:
            return likely, scores
        if likely not in tried:
            tried.append(likely)
    for likely in tried:
        with contextlib.suppress(UnresolvedError):
            return likely, find_scores(anatomy, likely)
    roles = find_roles(anatomy, core)
    return roles, find_scores(anatomy, roles)


def _call_at(model: Any, ids: Any, index: int, positions: Any) -> Call:
    """The call of the layer of that number where tokens stand at `positions` [1, T]."""
    return find_chain(model, lambda: model(ids, position_ids=positions)).layers[index]


def _block(anatomy: Anatomy, dataflow: Dataflow) -> ChannelBlock | Mixture | None:
    """What stands behind attention in a layer; None for nothing."""
    if dataflow.mlp_output is None:
        return None
    leaf = anatomy.leaves[dataflow.mlp_output]
    if isinstance(leaf, Mixture):
        return leaf
    assert dataflow.mlp_core is not None
    return find_channel_block(anatomy, dataflow.mlp_core)
