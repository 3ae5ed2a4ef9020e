"""Rules about training configurations."""
