"""Which config field drives which answer: the reference is built with each field altered, and watched."""
