"""Outcomes: what counts as passed, and what is told of a failure."""

import math

from levgen.prove.outcome import Case, Status, measured


def test_errors_at_the_bound_pass_and_the_worst_is_the_figure():
    outcome = measured({"a": 1e-6, "b": 1e-5}, 1e-5)
    assert outcome.status is Status.PASSED
    assert outcome.figure == "1.0e-05 over 2 comparisons, at most 1e-05"


def test_a_failure_names_the_first_beyond_the_bound_and_its_case():
    case = Case(None, 64)
    outcome = measured({"a": 1e-6, "b": 2e-3, "c": 1.0}, 1e-5, cases={"b": case})
    assert outcome.status is Status.FAILED
    assert outcome.reason == "beyond the bound: b and 1 more"
    assert outcome.details == ("b: 2.00e-03", "c: 1.00e+00")
    assert outcome.case is case


def test_not_a_number_fails():
    assert measured({"a": math.nan}, 1.0).status is Status.FAILED
    assert measured({"a": math.inf}, 1.0).status is Status.FAILED
