"""What is sampled: networks on data, potentials given by a formula, the user's own. A target gives energies and
gradients of many replicas.
"""
