"""What is recorded of a reference: its layers, the modules in them, and what each one computes."""
