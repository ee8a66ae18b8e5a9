"""Mistakes in deep networks and in networks of one's own: name -> edits, tests, and which ones (mutants.py)."""

NETWORKS, DEEP = "gpu_thermo/targets/networks.py", "gpu_thermo/kernels/deep.h"
OWN, BASE, CHECK = (f"gpu_thermo/targets/own/{name}.py" for name in ("model", "base", "check"))
ON_OWN, ON_BASE, ON_CHECK = ((f"tests/targets/own/test_{name}.py",) for name in ("model", "base", "check"))
ON_CONTRACTS, ON_LAYERS = ("tests/contracts/test_networks.py",), ("tests/targets/test_networks.py",)

OF_NETWORKS: dict[str, tuple] = {
    "slopes of inner layers from their neighbour": (
        ((NETWORKS, "slope(z[l - 2], hidden[l - 2], xp)", "slope(z[0], hidden[0], xp)"),
         (DEEP, "hidden.slope[Activation::SLOPE_KEPT ? unit : 0][t + s];",
          "hidden.slope[Activation::SLOPE_KEPT ? i + u : 0][t + s];"),
         (DEEP, "from_kept(hidden.value[unit][t + s]", "from_kept(hidden.value[i + u][t + s]")),
        ON_CONTRACTS, "test_value_and_gradient and deep"),
    "biases of inner layers without their gradient": (
        ((NETWORKS, 'g[f"b{l}"][...] = delta.sum(axis=1)', 'g[f"b{l}"][...] = delta.sum(axis=1) * (l > self.layers)'),),
        ON_CONTRACTS, "test_value_and_gradient and deep"),
    "deltas of the wrong layer in the kernels": (
        ((DEEP, "hidden.delta[Next::INDEX % 2][0] + t", "hidden.delta[L::INDEX % 2][0] + t"),),
        ON_CONTRACTS, "test_engines_agree and deep and not combination"),
    "inner units that own output weights": (
        ((NETWORKS, "last = len(lanes) == 2 * (self.layers - 1)", "last = True"),), ON_LAYERS, "lanes_of_more"),
    "hidden is the first layer only": (
        ((NETWORKS, '{"hidden": self._names}', '{"hidden": self._names[:1]}'),), ON_LAYERS, "partitions_of_more"),
    "fan-in of every layer that of the first": (
        ((NETWORKS, "[*np.repeat(self.fans, 2), *more]", "[*np.repeat(len(self.fans) * (self.inputs,), 2), *more]"),),
        ON_LAYERS, "initial_states_of_more"),
    "an own network's points mixed up": (
        ((OWN, "x[0] if x.ndim == 3 and len(x) == 1 else x", "x[0] if x.ndim == 3 else x"),), ON_OWN,
        "numpy and energy"),
    "an own network whose slope nobody looks at": (
        ((CHECK, "    _check_slope(network, position, x[0])\n    return", "    return"),), ON_CHECK, "mistakes"),
    "an own network whose replicas mix unseen": (
        ((CHECK, "if not _close(each, own, tight):", "if False:"),), ON_CHECK, "mistakes"),
    "any other network goes on": (
        ((CHECK, "or not _close(found, stored, CLOSE[np.dtype(dtype).name]):", "or not CLOSE:"),),
        ON_CHECK, "probe"),
    "an own network known by its size alone": (
        ((BASE, "named = [[name, list(shape)] for name, shape in self.tensors.items()]", "named = self.size"),),
        ON_BASE, "identity"),
    "an own network's units counted by biases alone": (
        ((BASE, "biases, -(-sides // 2))", "biases)"),), ON_OWN, "bills"),
}  # fmt: skip
