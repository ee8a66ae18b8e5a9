"""A network as C++: its sizes, and the functions of its activation, likelihood and prior, pasted from their records.

The headers call `Activation`, `Likelihood` and `Prior` and know none of them by name; without this text they do not
compile.
"""

from collections.abc import Iterable, Mapping, Sequence

from ..targets.activations import Activation
from ..targets.likelihoods import Likelihood
from ..targets.networks import MlpModel
from ..targets.priors import Prior
from ..targets.records import CONSTANTS


def constants(values: Mapping[str, int | bool]) -> str:
    """Declarations of compile-time numbers."""
    return "\n".join(
        f"constexpr {'bool' if isinstance(v, bool) else 'int'} {name} = {str(v).lower()};" for name, v in values.items()
    )


def sizes(model: MlpModel, batch: int) -> str:
    """Declarations that layers.h asks for: m, L, d_l, n, the tail, values of a point's answer, a minibatch's points (0
    where these are all points: kernels do not know N).
    """
    numbers = {
        "INPUTS": model.inputs, "LAYERS": model.layers, "OUTPUTS": model.outputs,
        "TAIL": sum(t.size for t in model.tail), "TAILS": len(model.tail),
        "TARGETS": model.targets, "BATCH": batch, "OWN": model.noises, "WEIGHTED": model.weighted,
        "CONSTANTS": CONSTANTS, "PRIOR": model.prior_record is not None,
        "PRIOR_BY_TENSOR": len(set(model.prior_scales)) > 1,
    }  # fmt: skip
    tables = (table("width", model.hidden), table("tail_size", [t.size for t in model.tail]))
    return "\n".join((constants(numbers), *tables))


def table(name: str, values: Sequence[int]) -> str:
    """A compile-time function from 0, 1, .. to these numbers."""
    cases = "".join(f"i == {i} ? {value} : " for i, value in enumerate(values[:-1]))
    return f"HD constexpr int {name}(int i) {{ return {cases}{values[-1]}; }}"


def headers(model: MlpModel, team: int = 1) -> tuple[str, ...]:
    """Which of the headers compute the network, for `team` members: outputs and gradient of one tile of points."""
    if model.layers == 1:
        return "layers.h", "shlp.h", "wide.h"
    return "layers.h", "deep.h" if team == 1 else "team.h"


def functions(model: MlpModel) -> str:
    """The structs that the headers call, to be put after math.h."""
    return "\n".join((_activation(model.activation_record), _likelihood(model.likelihood), _prior(model.prior_record)))


def _activation(record: Activation) -> str:
    code = record.code
    assert code is not None  # MlpModel.has_kernels
    flags = {"HOMOGENEOUS": record.homogeneous, "KEPT": record.kept, "SLOPE_KEPT": not code.by_value}
    flags["BY_SIGN"] = record.by_sign
    return _struct(
        "Activation", record.name, flags, {
            "real value(real z)": code.value,
            "real slope(real z, real value)": code.slope,
            "real product(real z, real value, real slope, real r)": code.product,
            "real from_kept(real value, real slope, real r)": code.by_value or "return slope * r;",
        },
    )  # fmt: skip


def _likelihood(record: Likelihood) -> str:
    code = record.code
    assert code is not None
    return _struct(
        "Likelihood", record.name, {"CLASSES": record.classes is not None} | _places(record.constant_names), {
            "real loss(const real* out, const real* y, const double* c, const real* noise)": code.loss,
            "void residual(real* out, const real* y, const double* c, scalar share, const real* noise, real* back)":
                code.residual,
            "real respond(real* out)": code.respond,
            "real right(const real* out, const real* y)": code.right,
        },
    )  # fmt: skip


def _prior(record: Prior | None) -> str:
    if record is None:
        return "struct Prior {};"
    code = record.code
    assert code is not None
    return _struct(
        "Prior", record.name, _places(record.constant_names),
        {"real term(real q, const double* c)": code.term, "real slope(real q, const double* c)": code.slope},
    )  # fmt: skip


def _places(names: Iterable[str]) -> dict[str, int]:
    """Where each constant stands in the array that the functions are given."""
    return {name.upper(): i for i, name in enumerate(names)}


def _struct(name: str, comment: str, numbers: Mapping[str, int | bool], bodies: Mapping[str, str]) -> str:
    members = [f"  static {line}" for line in constants(numbers).splitlines()]
    members += [f"  HD static {head} {{ {body} }}" for head, body in bodies.items()]
    return "\n".join((f"struct {name} {{  // {comment}", *members, "};"))
