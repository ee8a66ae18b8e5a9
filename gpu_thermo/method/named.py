"""Named methods: text in, Program and default hyperparameters out (equations.md sections 3 and 4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import SpecError, did_you_mean
from .letters import LETTERS
from .operations import operation
from .partition import Partition
from .record import Operation
from .updates import UPDATES
from .words import Program, Word, compile_program, compile_update, parse_word


@dataclass(frozen=True)
class Method:
    """A named method.

    Attributes
    ----------
    words : word of each layer, {"all": word} for one partition; empty for whole-step updates and for `splitting`.
    update : name of the whole-step update.
    partition : default partition. `defaults` : hyperparameters not given by the user, numbers or {layer: number}.
    takes_word : whether the user may give `word`; `letters` then limits it, and `palindromes` to what reads the same
    backwards.
    """

    name: str
    summary: str
    reference: str
    partition: str
    words: Mapping[str, str] = field(default_factory=dict)
    update: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    takes_word: bool = False
    letters: str = "".join(LETTERS)
    palindromes: bool = False

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Records of its update, or of the letters of its words, each once; of all letters where words are the
        user's.
        """
        symbols = (self.update,) if self.update else "".join(self.words.values()) or self.letters
        return tuple(operation(symbol) for symbol in dict.fromkeys(symbols))


def method_of(update: Operation) -> Method:
    """The method that a whole-step update is by itself."""
    return Method(
        update.symbol, update.summary, update.reference, "all", update=update.symbol, defaults=update.defaults
    )


LANGEVIN = "".join(
    r.symbol for r in LETTERS.values() if not (r.thermostat or r.fixed_length or "sigma" in r.reads)
)  # fmt: skip
"""Letters of Langevin words: friction and noise only at a temperature."""
ISOKINETIC = "".join(r.symbol for r in LETTERS.values() if r.fixed_length or (r.drifts and not r.normals))
"""Letters of words whose momentum keeps its length."""
_ADAPTIVE = {"stepsize": 0.15, "temperature": 1e-4, "sigma": 0.01, "epsilon": 0.1, "thermostat": 0.0}

METHODS: dict[str, Method] = {
    m.name: m
    for m in (
        *(method_of(u) for u in UPDATES.values() if u.summary),
        Method("langevin", f"underdamped Langevin by any splitting word of {', '.join(LANGEVIN)}",
               "Leimkuhler & Matthews 2013", "all", {"all": "BAOAB"},
               defaults={"stepsize": 0.25, "temperature": 1e-4, "friction": 1.0}, takes_word=True, letters=LANGEVIN),
        Method("adl", "adaptive Langevin (SGNHT): a thermostat absorbs gradient noise",
               "Jones & Leimkuhler 2011; Ding et al. 2014", "all", {"all": "BACDEDCAB"}, defaults=_ADAPTIVE,
               takes_word=True),
        Method("lala", "Langevin with its own temperature and friction in each layer", "LMV", "layer",
               {"hidden": "BAOAB", "output": "BAOAB"},
               defaults={"stepsize": 0.25, "temperature": 1e-4, "friction": 0.1}),
        Method("lol", "Langevin in the hidden layer, overdamped Langevin in the output layer", "LMV", "layer",
               {"hidden": "BAOAB", "output": "BAOAB"},
               defaults={"stepsize": 0.25, "temperature": {"hidden": 1e-3, "output": 0.0},
                         "friction": {"hidden": 0.01, "output": float("inf")}}),
        Method("adlala", "adaptive Langevin in the hidden layer, Langevin in the output layer", "LMV", "layer",
               {"hidden": "BACDEDCAB", "output": "BAOAB"}, defaults=_ADAPTIVE | {"friction": 0.1}),
        Method("mclmc", "microcanonical Langevin: a momentum of fixed length, turned by the force",
               "Robnik & Seljak 2023", "all", {"all": "KASAK"},
               defaults={"stepsize": 0.005, "temperature": 1e-4, "friction": 1.0}, takes_word=True,
               letters=ISOKINETIC, palindromes=True),
        Method("splitting", "your own word, or one word per layer", "equations.md section 2", "layer",
               defaults={"stepsize": 0.1, "temperature": 1e-4, "friction": 1.0, "sigma": 0.01, "epsilon": 0.1,
                         "thermostat": 0.0},
               takes_word=True),
    )
}  # fmt: skip

DEFAULT_METHOD: dict[str, Any] = {
    "name": "adlala", "stepsize": 0.1, "temperature": {"hidden": 1e-4, "output": 1e-8}, "sigma": 0.02, "epsilon": 0.01,
    "friction": 0.03,
}  # fmt: skip
"""LMV fig. 15's setting for the four-turn spirals, inside its band of sigma."""

HYPERPARAMETERS: dict[str, str] = {
    "stepsize": "h of splitting words; the learning rate of whole-step updates",
    "temperature": "tau in exp(-U/tau), U the mean loss; the Bayes posterior is 1/N",
    "posterior_temperature": "T = N tau instead of temperature; 1 is the Bayes posterior, below 1 is colder",
    "friction": "gamma of O; inf is the overdamped limit",
    "sigma": "amplitude of the additive noise of D and F; for sgld the same as temperature = sigma^2 / 2",
    "epsilon": "thermostat coupling of E: xi += h epsilon (p.p - n tau)",
    "thermostat": "initial value of xi",
    "momentum": "mu of momentum SGD, 1 - a of SGHMC, or CoolMomentum's first rho",
}


ALIASES: dict[str, tuple[str, str | None]] = {
    "sgnht": ("adl", None),
    "baoab": ("langevin", "BAOAB"),
    "vvvr": ("langevin", "OBABO"),
    "ghmc": ("langevin", "O{BAB}O"),
}
"""Other names, in the literature and in openmmtools: the method, and its word where the name says one."""


def get_method(name: str) -> Method:
    """The method of that name or other name, or a SpecError that names the nearest one."""
    name = ALIASES.get(name, (name,))[0]
    if name in METHODS:
        return METHODS[name]
    remedy = did_you_mean(name, [*METHODS, *ALIASES], listed := f"Methods: {', '.join(METHODS)}.", always=True)
    if name.lower().replace("_", "-") in ("g-baoab", "gbaoab", "geodesicbaoab"):
        remedy = f"Geodesic words keep constraints, of which there are none here: 'langevin' is BAOAB. {listed}"
    raise SpecError(f"There is no method '{name}'. {remedy}")


def make_program(
    method: Method,
    partition: Partition,
    word: str | Mapping[str, str] | None = None,
    freeze: tuple[str, ...] = (),
    convention: str = "I",
) -> Program:
    """Compile `method` on `partition`, with the user's `word` where it takes one, and the partitions or layers `freeze`
    held still.

    `convention` chooses type I or II of the `momentum` update.
    """
    frozen = tuple(k for name in freeze for k in partition.resolve(name))
    if method.update is not None:
        if word is not None:
            raise SpecError(
                f"Method '{method.name}' is a whole-step update and takes no word: leave out word = {word!r}."
            )
        update = "momentum2" if method.update == "momentum" and convention == "II" else method.update
        return compile_update(update, partition, frozen)
    texts = _words_by_partition(method, partition, word, frozen)
    words: dict[str, Word | None] = {}
    for k, name in enumerate(partition.names):
        words[name] = None if k in frozen else _allowed(method, texts[k])
    return compile_program(words, partition)


def _words_by_partition(method: Method, partition: Partition, word: Any, frozen: tuple[int, ...]) -> dict[int, str]:
    if word is None:
        if not method.words:
            raise SpecError(
                f'Method \'{method.name}\' needs a word, such as word = "BAOAB" or {{hidden = "BACDEDCAB", output ='
                ' "BAOAB"}.'
            )
        word = method.words if "all" not in method.words else method.words["all"]
    elif not method.takes_word:
        raise SpecError(f"Method '{method.name}' has its own words. For word = {word!r} use name = \"splitting\".")
    if isinstance(word, str):
        return dict.fromkeys(range(len(partition.names)), word)
    wide_first = sorted(word.items(), key=lambda item: -len(partition.resolve(item[0])))  # the narrower name wins
    texts = {k: text for name, text in wide_first for k in partition.resolve(name)}
    missing = [name for k, name in enumerate(partition.names) if k not in texts and k not in frozen]
    if missing:
        raise SpecError(f"No word for partition {', '.join(missing)}. Give one for each, or freeze it.")
    return texts


def _allowed(method: Method, text: str) -> Word:
    word = parse_word(text)
    foreign = sorted(set(word.text) - set(method.letters))
    if foreign:
        raise SpecError(
            f"Method '{method.name}' takes words of {' '.join(method.letters)}; '{text}' has {', '.join(foreign)}. "
            'Use name = "splitting".'
        )
    if method.palindromes and word.inside is None and word.text != word.text[::-1]:
        raise SpecError(
            f"Method '{method.name}' takes words that read the same backwards, such as"
            f" {' or '.join(method.words.values())}, as others are wrong in first order of the stepsize; '{text}' does"
            ' not. Use name = "splitting".'
        )
    return word
