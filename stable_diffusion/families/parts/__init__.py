"""The networks that families are made of, with the names of their tensors in every layout."""
