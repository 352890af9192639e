"""Files of weights: which hold a model, what they contain, how networks are loaded from them."""
