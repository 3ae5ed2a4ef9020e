"""A survey as plain data, as it goes from the process that makes it to the one that asked."""

import json

from levgen.architecture.catalogue import get
from levgen.survey.evidence import Evidence, Unknown
from levgen.survey.report import Survey


def test_survey_survives_json() -> None:
    evidence = (Evidence("activation", "gelu", 1e-11, "gelu_new", 5e-5, "a grid"), Evidence("window", None, probe="x"))
    unknown = (Unknown("scale", "it follows no field", "willow.py:48"),)
    for architecture in (get("llama"), None):
        survey = Survey("llama", architecture, evidence, unknown, (1e-6, 2e-6), 3e-6, 12.5)
        assert Survey.from_data(json.loads(json.dumps(survey.as_data()))) == survey
