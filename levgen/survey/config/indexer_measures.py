"""The findings about an indexer as plain values that can be compared between configs."""

from dataclasses import dataclass, fields
from typing import Any

from levgen.survey.questions.indexer import Indexer


@dataclass(frozen=True, kw_only=True)
class IndexerMeasures:
    """None where nothing chooses which keys a query sees."""

    index_num_heads: int | None = None
    index_head_dim: int | None = None
    index_topk: int | None = None
    indexer_layout: str | None = None
    indexer_norm_eps: float | None = None


INDEXED = tuple(field.name for field in fields(IndexerMeasures))


def measure_indexer(indexer: Indexer | None) -> dict[str, Any]:
    """The measures of one layer's indexer, by name."""
    if indexer is None:
        return {}
    return {
        "index_num_heads": indexer.heads,
        "index_head_dim": indexer.head_dim,
        "index_topk": indexer.count,
        "indexer_layout": indexer.layout,
        "indexer_norm_eps": indexer.eps,
    }


def indexer_names(indexer: Indexer) -> dict[str, str | None]:
    """Role -> module, by its name in the indexer."""
    return {"q": indexer.q, "k": indexer.k, "k_norm": indexer.k_norm, "weights": indexer.weights}


def indexer_answers(measures: IndexerMeasures, eps: Any) -> dict[str, Any]:
    """The answers about an indexer; none where there is none. `eps`: of its norm, as a card writes it."""
    if measures.indexer_layout is None:
        return {}
    return {"indexer": "every", "indexer_layout": measures.indexer_layout, "indexer_norm_eps": eps}
