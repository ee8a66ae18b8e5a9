"""What a run needs to tune itself, to end its burn-in, to stop, and to tell its error (equations.md section 14).

Pure functions of numbers over an ensemble: [R] replicas, [Q] quantities (outputs of the networks at probes, coordinates
of a potential). All in float64 and in a fixed order, so that a run that is resumed decides as one that never stopped.
"""
