"""Formulas as records write them ("theta += h G + sqrt(2 h tau) R") as LaTeX."""

import re

GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta mu nu xi pi rho sigma tau phi Phi Psi omega"
).split()  # fmt: skip
FUNCTIONS = ("exp", "log", "tanh", "sin", "cos", "max")
NAMES = ("softplus", "softmax", "slope")
PAIRS = ("du", "dt", "dp", "dW")
TOKEN = re.compile(
    r"(?P<number>\d*\.?\d+e[-+]?\d+|\d*\.\d+|\d+)|(?P<word>[A-Za-z]{2,}|[A-Za-z])(?P<index>_[A-Za-z0-9]+)?"
    r"|(?P<power>\^)|(?P<dot>(?<=[A-Za-z])\.(?=[A-Za-z]))|(?P<other>.)",
    re.DOTALL,
)


STATEMENT = re.compile(r"^(\w+) ([+*]?)= ((?:(?!, \w+ = ).)*)")


def latex(statement: str) -> str:
    """LaTeX of one statement; words that are none of its symbols stay words, and what moves has an arrow."""
    found = STATEMENT.match(statement)
    if found is None or not (found[2] or re.search(rf"\b{found[1]}\b", found[3])):
        return _latex(statement)
    name, how, moved = found.groups()
    value = {"+": f"{name} + {moved}", "*": f"{moved} {name}", "": moved}[how]
    return rf"{_latex(name)} \leftarrow {_latex(value)} {_latex(statement[found.end() :])}".strip()


def display(formula: str) -> str:
    """A formula as markdown, a block for each statement."""
    lines = re.split(r"; |: (?=[a-z]+/d)", formula)
    return "\n\n".join(f"$$\n{latex(line)}\n$$" for line in lines)


def _latex(text: str) -> str:
    return " ".join(_roots(_tokens(text))).replace("( ", "(").replace(" )", ")")


def _tokens(formula: str) -> list[str]:
    out = []
    for found in TOKEN.finditer(formula):
        if found["number"]:
            out.append(_number(found["number"]))
        elif found["word"]:
            out.append(_word(found["word"]) + (f"_{{{found['index'][1:]}}}" if found["index"] else ""))
        elif found["dot"]:
            out.append(r"\cdot")
        elif found["power"]:
            out.append("^")
        elif not found["other"].isspace():
            out.append({"*": r"\,", "%": r"\%"}.get(found["other"], found["other"]))
    return _joined(out)


def _number(text: str) -> str:
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    return rf"10^{{{int(exponent)}}}" if mantissa == "1" else rf"{mantissa} \times 10^{{{int(exponent)}}}"


def _word(text: str) -> str:
    if text == "sqrt":
        return r"\sqrt"
    if text in GREEK or text in FUNCTIONS:
        return "\\" + text
    if text in NAMES:
        return rf"\operatorname{{{text}}}"
    if text in PAIRS:
        return rf"d{text[1]}"
    return text if len(text) == 1 else rf"\text{{ {text} }}"


def _joined(tokens: list[str]) -> list[str]:
    """Powers of one token, or of what is in brackets, in braces; T as a power is a transpose."""
    out: list[str] = []
    i = 0
    while i < len(tokens):
        if tokens[i] == "^":
            end = _closing(tokens, i + 1) if tokens[i + 1] == "(" else i + 1
            inside = tokens[i + 2 : end] if end > i + 1 else tokens[i + 1 : i + 2]
            out.append("^{" + (r"\mathsf{T}" if inside == ["T"] else " ".join(inside)) + "}")
            i = end + 1
        else:
            out.append(tokens[i])
            i += 1
    return out


def _roots(tokens: list[str]) -> list[str]:
    """The brackets of roots become braces."""
    out = list(tokens)
    for i, token in enumerate(tokens):
        if token == r"\sqrt" and i + 1 < len(tokens) and tokens[i + 1] == "(":
            out[i + 1], out[_closing(tokens, i + 1)] = "{", "}"
    return out


def _closing(tokens: list[str], start: int) -> int:
    """Where the bracket that opens at `start` closes."""
    depth = 0
    for i in range(start, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[i], 0)
        if depth == 0:
            return i
    raise ValueError(f"a bracket of {' '.join(tokens)} does not close")
