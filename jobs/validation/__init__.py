"""From a JSON body to a valid request, or to every fault in it."""
