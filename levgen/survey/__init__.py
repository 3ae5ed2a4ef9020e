"""Finding out by experiment what a language model is: `survey(model_type)`."""

from levgen.survey.evidence import Evidence, Unknown
from levgen.survey.report import Survey
from levgen.survey.run import survey, survey_folder

__all__ = ["Evidence", "Survey", "Unknown", "survey", "survey_folder"]
