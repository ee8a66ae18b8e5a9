"""Pages that the code writes of itself, as markdown: commands, keys of a spec, methods, errors and exit codes.

The site is made from them, and `gpu-thermo docs` shows them where no site is installed. `formula` turns a record's
formula into markdown; the site typesets it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .output import first_paragraph

if TYPE_CHECKING:
    from pydantic import BaseModel

    from gpu_thermo.method.named import Method

Formula = Callable[[str], str]

READ_ON: dict[str, tuple[str, ...]] = {
    "fit": ("tuning.md",), "sample": ("equations.md", "tuning.md"), "resume": ("equations.md section 7",),
    "info": ("equations.md section 14",), "diagnose": ("equations.md section 10", "tuning.md"),
    "predict": ("equations.md section 9",), "map": ("equations.md section 9",), "watch": ("equations.md section 14",),
    "evidence": ("equations.md section 15",), "study": ("studies.md",), "table": ("studies.md",),
    "compare": ("studies.md",), "methods": ("equations.md section 4", "equations.md section 2"),
    "moves": ("equations.md section 5",), "datasets": ("equations.md section 11",),
    "targets": ("equations.md section 1",), "verify": ("equations.md section 10",), "bench": ("architecture.md",),
    "spec": ("adding.md",), "figure": ("equations.md section 11",),
}  # fmt: skip
"""Installed pages that tell more of a command."""
SYMBOLS = (
    "theta is the position and p the momentum, h the stepsize, G minus the gradient of U (the mean loss and the"
    " prior's share), R standard normal noise, tau the temperature, gamma the friction, xi a thermostat: equations.md"
    " section 1."
)
"""What formulas of methods are written in."""
EXIT_CODES: dict[int, str] = {
    0: "done, or stopped by its time limit; frozen replicas are warned of",
    1: "trouble in the middle: a run, shard or verification failed, the disk is full, every replica is frozen; what was"
    " committed stays",
    2: "refused before anything was written: the spec, the data, the place or the device",
    129: "interrupted by a closed terminal (SIGHUP), after a commit",
    130: "interrupted by Ctrl-C (SIGINT), after a commit",
    143: "interrupted by SIGTERM (queues send it), after a commit",
}


def code(text: str) -> str:
    """Text as code in markdown, whatever backticks it has."""
    ticks = "``" if "`" in text else "`"
    return f"{ticks} {text} {ticks}" if ticks == "``" else f"`{text}`"


def rows(columns: tuple[str, ...], lines: Iterator[tuple[str, ...]]) -> str:
    """A table in markdown."""
    body = [" | ".join(" ".join(cell.split()).replace("|", r"\|") for cell in line) for line in lines]
    return "\n".join(f"| {line} |" for line in (" | ".join(columns), " | ".join("---" for _ in columns), *body))


# -- commands ----------------------------------------------------------------------------------------------------------


def command_page(name: str, command: Any) -> str:
    """What a command of the application takes: its help, arguments and options with their defaults, and examples."""
    with command.make_context(name, [], resilient_parsing=True) as ctx:
        usage = re.sub("[{}]", "", " ".join(["gpu-thermo", name, *command.collect_usage_pieces(ctx)]))
        told = [(p, p.get_help_record(ctx)) for p in command.params]
    parts = [f"# gpu-thermo {name}", _text(command.help or ""), f"```text\n{usage}\n```"]
    for kind, title in (("argument", "Arguments"), ("option", "Options")):
        lines = [_parameter(p, record) for p, record in told if p.param_type_name == kind and record]
        if lines:
            parts += [f"## {title}", rows((kind, "meaning"), iter(lines))]
    if command.epilog:
        parts += ["## Examples", *_epilog(command.epilog)]
    if name in READ_ON:
        parts += ["## Read on", "\n".join(f"- {page}" for page in READ_ON[name])]
    return "\n\n".join(parts) + "\n"


def _parameter(parameter: Any, record: tuple[str, str]) -> tuple[str, str]:
    named = ", ".join((*parameter.opts, *parameter.secondary_opts))
    if parameter.param_type_name == "argument":
        return code((parameter.metavar or parameter.name).strip("[]")), _text(record[1])
    return code(f"{named} {parameter.metavar}" if parameter.metavar else named), _text(record[1])


def _epilog(text: str) -> Iterator[str]:
    """Examples: indented lines as they are, everything else as prose."""
    lines = [line for line in text.replace("\b", "").splitlines() if line.strip() not in ("", "Examples:")]
    shown = [line.strip() for line in lines if line.startswith("  ")]
    if told := " ".join(line.strip() for line in lines if not line.startswith("  ")):
        yield _text(told)
    if shown:
        yield "```sh\n" + "\n".join(shown) + "\n```"


def _text(text: str) -> str:
    """Help as markdown: what would be markup there is none."""
    return text.strip().replace("<", r"\<").replace("*", r"\*").replace("[", r"\[")


# -- keys of a spec ----------------------------------------------------------------------------------------------------


def spec_places() -> dict[str, Any]:
    """Sections of a run's spec, of a study's file and of a comparison's, by name."""
    from .spec import sections

    return sections()


def spec_page(place: str) -> str:
    """Every key of one section: what it takes, its default, unit and meaning."""
    from .spec import Several

    found = spec_places()[place]
    title = {"study": "A study's file", "compare": "A comparison's file"}.get(place, f"[{place}]")
    parts = [f"# {title}"]
    if isinstance(found, Several):
        parts += [_text(first_paragraph(found.whole.__doc__)), _keys(found.whole, ("base",))]
    elif not isinstance(found, Mapping):
        return "\n\n".join([*parts, _text(first_paragraph(found.__doc__)), _keys(found, ())]) + "\n"
    for name, model in found.items():
        parts += [f"## {name}", _text(" ".join((model.__doc__ or "").split())), _keys(model, ())]
    return "\n\n".join(parts) + "\n"


def _keys(model: "type[BaseModel]", left_out: tuple[str, ...]) -> str:
    from gpu_thermo.spec.keys import keys_of

    from .spec import default_of, meaning_of

    return rows(
        ("key", "meaning", "takes", "default"),
        (
            (code(key.name), _text(meaning_of(key)), _text(key.allowed), _default(default_of(key)))
            for key in keys_of(model, left_out)
        ),
    )


def _default(text: str) -> str:
    return text if text in ("-", "(required)") else code(text)


# -- methods -----------------------------------------------------------------------------------------------------------


def method_page(name: str, formula: Formula = code, letters: str = "") -> str:
    """A method: its equations, its exact law, its defaults and where they come from, the paper; `letters` is the
    page of letters to link to.
    """
    from gpu_thermo.method.laws import LAWS
    from gpu_thermo.method.named import ALIASES, METHODS
    from gpu_thermo.method.papers import cited

    method, told = METHODS[name], LAWS.get(name)
    others = [f"{code(other)}{f' with {word}' if word else ''}" for other, (of, word) in ALIASES.items() if of == name]
    parts = [f"# {name}", f"{method.summary[0].upper()}{method.summary[1:]}.", "## What it is", _what(method)]
    parts += [f"Also called {', '.join(others)}."] if others else []
    parts += ["## Equation", *_equations(method, formula, letters), SYMBOLS]
    if told:
        sections = " and ".join(f"equations.md section {n}" for n in told.sections)
        parts += ["## Exact law", _text(told.law), f"More: {sections}."]
    parts += ["## Defaults", _defaults(method), f"Where they come from: {told.origin}" if told else "Your own."]
    parts += ["## Paper", *cited(method.reference)]
    return "\n\n".join(parts) + "\n"


def _what(method: "Method") -> str:
    if method.update:
        return "A whole-step update: one evaluation of the gradient, then one move of all parameters."
    words = ", ".join(
        code(word) if layer == "all" else f"{code(word)} in {code(layer)}" for layer, word in method.words.items()
    )
    takes = f" It takes a `word` of your own, of the letters {' '.join(method.letters)}." if method.takes_word else ""
    which = f"The word{'s' if len(method.words) > 1 else ''} {words}" if words else "A word of your own"
    return f"{which}; partitions: {code(method.partition)}.{takes}"


def _equations(method: "Method", formula: Formula, letters: str) -> Iterator[str]:
    for record in method.operations:
        named = f"[{record.symbol}]({letters}#{record.symbol.lower()})" if letters else record.symbol
        yield formula(record.formula) if method.update else f"**{named}**: {formula(record.formula)}"


def _defaults(method: "Method") -> str:
    from gpu_thermo.method.named import HYPERPARAMETERS

    from .catalogue import hyperparameter

    return rows(
        ("key in [method]", "default", "what it is"),
        (
            (code(key), code(hyperparameter(value)), _text(HYPERPARAMETERS[key]))
            for key, value in method.defaults.items()
        ),
    )


def letters_page(formula: Formula = code) -> str:
    """Every letter of splitting words and every whole-step update: the map, what it reads, the paper."""
    from gpu_thermo.method.letters import LETTERS
    from gpu_thermo.method.updates import UPDATES

    parts = [
        "# Letters and updates",
        "A word gives each letter that occurs c times a length of h/c (equations.md section 2).",
    ]
    for title, table in (("Letters", LETTERS), ("Whole-step updates", UPDATES)):
        parts.append(f"## {title}")
        for symbol, record in table.items():
            reads = ", ".join(("stepsize", *record.reads))
            parts += [f"### {symbol}", formula(record.formula), f"Reads {reads}. Source: {_text(record.reference)}."]
            parts += [_text(record.because)] if record.because else []
    return "\n\n".join(parts) + "\n"


# -- errors ------------------------------------------------------------------------------------------------------------


def errors() -> dict[str, type[Exception]]:
    """Every error of the tree, by name, as the module lists them."""
    from gpu_thermo import errors as tree

    return {
        name: each
        for name, each in vars(tree).items()
        if isinstance(each, type) and issubclass(each, tree.GpuThermoError)
    }


def errors_page(link: Formula = code) -> str:
    """Exit codes, the tree of errors with the page of each (`link` shows its name), and why a replica stops."""
    from gpu_thermo.errors import Status

    parts = ["# Errors and exit codes", "## Exit codes"]
    parts.append(rows(("code", "meaning"), ((str(number), told) for number, told in EXIT_CODES.items())))
    parts += [
        "## Errors",
        "All are `GpuThermoError`s, which a caller may catch as one; each message says what was wrong, the value and"
        " the remedy. On the command line a message ends with the page that tells more: `gpu-thermo docs PAGE`.",
        rows(("error", "meaning", "exit code", "page"), (_error(name, each, link) for name, each in errors().items())),
        "## Why a replica stops",
        "A replica that becomes non-finite is frozen at that step; the others go on, bit for bit. Its `status` is:",
        rows(("status", "name", "meaning"), ((str(int(s)), s.name.lower(), s.remedy) for s in Status)),
    ]
    return "\n\n".join(parts) + "\n"


def _error(name: str, each: Any, link: Formula) -> tuple[str, str, str, str]:
    return code(name), _text(first_paragraph(each.__doc__)), str(each.exit_code), link(each.page) if each.page else "-"
