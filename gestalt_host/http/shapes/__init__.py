"""Bodies of requests and answers: JSON on one side, the objects of the host on the other."""
