"""A network given from Python and the spec that says so: [model] network = {library, label, parameters, sha256}."""

from typing import Any

from ..errors import SpecError
from ..targets.own import OwnNetwork, as_network
from .model import NetworkOptions
from .run import RunSpec


def with_network(spec: RunSpec, given: Any, init: Any) -> tuple[RunSpec, OwnNetwork | None, Any]:
    """The network that was given, the spec that says so, and the starts by our names: the network's own parameters
    where nothing else is asked for. Without a network all is as it was.

    Raises
    ------
    SpecError
        The spec wants a network and none is given, or the other way round, or another one.
    """
    if given is None:
        if spec.target is None and spec.model.network is not None:
            raise SpecError(NEEDED)
        return spec, None, init
    if spec.target is not None:
        raise SpecError(f"A network is given, and the spec has target '{spec.target.name}': leave out one of the two.")
    network, model = as_network(given), spec.model
    own = [name for name in ("hidden", "activation") if name in model.model_fields_set and model.network is None]
    if own:
        raise SpecError(
            f"A network is given, and the spec has model.{own[0]} = {getattr(model, own[0])!r}, which describes ours:"
            " leave it out."
        )
    options = NetworkOptions(
        library=network.library, label=network.label, parameters=network.size, sha256=network.sha256
    )
    known = model.network
    if known is not None and known.sha256 != options.sha256:
        raise SpecError(
            f"The network is not the one this run was started with, '{known.label}' of {known.parameters} parameters:"
            f" this one has {', '.join(f'{n} {s}' for n, s in network.tensors.items())}."
        )
    fresh = init is None and "init" not in model.model_fields_set
    spec = spec.model_copy(update={"model": model.model_copy(update={"network": known or options})})
    return spec, network, network.start if fresh else network.named(init)


NEEDED = (
    "This run's network was given in Python, and neither spec nor store holds code: use Python, gpu_thermo.sample(spec,"
    " network=...), resume(store, network=...), study(spec, out, network=...), predict(run, x, network=...),"
    " gpu_thermo_analysis.maps.save_map(run, file, network=...). info and diagnose need no network."
)
