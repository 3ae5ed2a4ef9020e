"""The few questions that decide what a model without a card is made of."""

from levgen.architecture.schema import Architecture
from levgen.cli.console import ask
from levgen.scaffold.blank import part_questions, with_parts
from levgen.scaffold.names import ModelName


def ask_parts(name: ModelName) -> Architecture:
    """The architecture of the parts that the user picks. The default leaves every module as a stub."""
    return with_parts(name, {question.group: ask(question.text, question.choices) for question in part_questions()})
