"""`python -m worker models ...`: what a person does with models on a machine."""
