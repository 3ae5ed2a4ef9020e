"""Rules about the maps to and from Hugging Face."""
