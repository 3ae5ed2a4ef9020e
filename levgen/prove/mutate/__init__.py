"""Seeded faults: edits of a model's source that a person could have made by mistake, and who notices them.

The same edits mend: where one makes a wrong model agree with its reference, it says what was wrong.
"""
