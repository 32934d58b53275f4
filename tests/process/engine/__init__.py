"""The workflow engine as real processes that are killed and stopped, and what must hold all the same.

``journal`` is the host of the tests: it survives every kill and notes each invocation on disk before it answers.
``load`` are the clients, ``installation`` the processes and what befalls them, ``evidence`` what is looked at in the
end, ``invariants`` the judge. ``clock`` lets minutes pass in seconds.
"""
