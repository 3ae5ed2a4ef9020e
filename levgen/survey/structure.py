"""The structure of one reference: every question about its forward, in order."""

from dataclasses import dataclass
from typing import Any

from levgen.survey.activation import ChannelBlock, find_channel_block
from levgen.survey.anatomy import Anatomy, dissect
from levgen.survey.chain import Chain, find_chain
from levgen.survey.dataflow import Dataflow, find_dataflow
from levgen.survey.evidence import Evidence, UnresolvedError
from levgen.survey.outside import Embeddings, Head, Outside, find_embeddings, find_head, find_outside
from levgen.survey.roles import Roles, find_roles
from levgen.survey.scores import Scores, find_scores


@dataclass(frozen=True)
class LayerFindings:
    """One layer."""

    anatomy: Anatomy
    dataflow: Dataflow
    roles: Roles
    scores: Scores
    block: ChannelBlock

    @property
    def evidence(self) -> list[Evidence]:
        found = [*self.anatomy.evidence, self.dataflow.evidence, *self.roles.evidence, *self.scores.evidence]
        return [*found, *self.block.evidence]


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
        return [*self.embeddings.evidence, *self.layers[0].evidence, *self.head.evidence]


def find_structure(model: Any, ids: Any, *, every_layer: bool = True) -> Structure:
    """Asks every question about `model`. Raises UnresolvedError at the first that no candidate answers.

    `every_layer`: each layer is examined, else the first one only.
    """
    chain = find_chain(model, lambda: model(ids))
    outside = find_outside(model, chain, ids)
    embeddings = find_embeddings(outside)
    head = find_head(outside, embeddings)
    layers = []
    for call in chain.layers if every_layer else chain.layers[:1]:
        anatomy = dissect(call)
        dataflow = find_dataflow(anatomy)
        roles = find_roles(anatomy, dataflow.attention_core)
        scores = find_scores(anatomy, roles)
        unclaimed = sorted(anatomy.loose.keys() - {scores.sinks, dataflow.added_bias})
        if unclaimed:
            raise UnresolvedError(
                "what a layer is made of", f"parameters outside called modules: {unclaimed}", call.module
            )
        block = find_channel_block(anatomy, dataflow.mlp_core)
        elsewhere = sorted(anatomy.learned.keys() - {block.act})
        if elsewhere:
            raise UnresolvedError(
                "what a layer is made of", f"activations with parameters outside the MLP: {elsewhere}", call.module
            )
        layers.append(LayerFindings(anatomy, dataflow, roles, scores, block))
    return Structure(model, chain, outside, embeddings, head, tuple(layers))
