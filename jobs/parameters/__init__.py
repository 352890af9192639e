"""The request's parameters by topic: types, bounds, defaults and meanings."""
