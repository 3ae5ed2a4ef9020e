"""Surveys as they come from the process that makes them, without the minute that one takes."""

from levgen.architecture.card import as_data, parse_card
from levgen.architecture.catalogue import get
from levgen.survey.evidence import Evidence, Unknown
from levgen.survey.report import Survey


def understood(model_type: str, *, like: str = "llama", **changes: object) -> Survey:
    """A survey that came to an end with the architecture of `like`."""
    architecture = get(like).changed(**changes)
    evidence = (
        Evidence("layout of rotary positions", "half", 1.8e-15, "interleaved", 2.0, "unit queries and keys"),
        Evidence("field of hidden_dim", "hidden_size", 0.0, probe="2 configs"),
        Evidence("factor norm_eps", "rms_norm_eps", 0.0, probe="10 configs"),
    )
    return Survey(model_type, architecture, evidence, (), (1.3e-6, 2.4e-6), 3.1e-6, 17.2)


def not_understood(model_type: str) -> Survey:
    """A survey that left two questions open."""
    unknown = (
        Unknown("what feeds what in a layer", "2 places where positions mix", "nettle.py:51"),
        Unknown("field twist", "at 2 it changes what no question sees"),
    )
    return Survey(model_type, None, (Evidence("embeddings", "1 * soil", 2e-16),), unknown, seconds=4.0)


def partly_understood(model_type: str) -> Survey:
    """A survey that understood all but the channel block: Llama around it."""
    data = as_data(get("llama"))
    del data["mlp"], data["names"]["mlp"]
    data["hyperparameters"]["breadth"] = {"default": 64, "hf": "breadth", "tiny": 40}
    data["unknown"] = {
        "mlp": {
            "observed": "what feeds what in a layer: 2 places where positions mix",
            "where": "nettle.py:39",
            "weights": [{"name": "wide.weight", "axes": ["breadth", "embed"], "fresh": "initializer_range"}],
            "linear": {"wide": True},
            "axes": {"breadth": "breadth"},
            "reads": ["breadth"],
        }
    }
    unknown = (Unknown("what feeds what in a layer", "2 places where positions mix", "nettle.py:39"),)
    evidence = (Evidence("field breadth", "acts in what is unknown alone", probe="breadth: 41: logits move by inf"),)
    stubbed = parse_card(data, source="a test")
    return Survey(model_type, None, evidence, unknown, (1.3e-6, 2.4e-6), 3.1e-6, 17.2, stubbed)
