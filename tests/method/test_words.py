"""Splitting words: parsing, programs, force evaluations and their reuse, noise indices (equations.md section 2)."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from linear_maps import advance, job_of, start, well

from gpu_thermo.errors import SpecError
from gpu_thermo.method.partition import Partition, make_partition
from gpu_thermo.method.words import Evaluate, Substep, Word, compile_program, compile_update, parse_word
from gpu_thermo.targets.base import Target

ONE = make_partition("all", {"x": 3}, {})
TWO = make_partition("layer", {"a": 2, "b": 1}, {"hidden": ("a",), "output": ("b",)})
ENDS, MIDDLE = (0, 1), (Fraction(1, 2),)

WORDS = {  # word: (A-fractions of its kicks, gradients per step, whether a step opens with the last gradient)
    "BAOAB": (ENDS, 1, True), "OBABO": (ENDS, 1, True), "BACDEDCAB": (ENDS, 1, True), "BAEFEAB": (ENDS, 1, True),
    "BAB": (ENDS, 1, True),
    "ABOBA": (MIDDLE, 1, False), "OABAO": (MIDDLE, 1, False), "AOBOA": (MIDDLE, 1, False), "OBA": ((0,), 1, False),
    "BAOA": ((0,), 1, False),
    "AOB": ((1,), 1, False), "OAB": ((1,), 1, False), "BABOBAB": ((0, Fraction(1, 2), 1), 2, True),
    "ABABA": ((Fraction(1, 3), Fraction(2, 3)), 2, False), "BABA": ((0, Fraction(1, 2)), 2, False),
    "ABAB": ((Fraction(1, 2), 1), 2, False),
    "UBU": (MIDDLE, 1, False), "BUB": (ENDS, 1, True), "UBUBU": ((Fraction(1, 3), Fraction(2, 3)), 2, False),
    "BABAOABAB": ((0, Fraction(1, 4), Fraction(3, 4), 1), 3, True),
}  # fmt: skip


# -- parsing --------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("BARAB", r"Word 'BARAB' has unknown letter 'R' at position 3\. Letters: A B C D .*\."
                  r" \(openmmtools' R is our A\.\)"),
        ("BAOVB", r"unknown letter 'V' at position 4.*\(openmmtools' V is our B\.\)"),
        ("BAoAB", r"unknown letter 'o' at position 3"),
        ("BA OAB", r"unknown letter ' ' at position 3"),
        ("XAB", r"unknown letter 'X' at position 1"),
        ("BÄB", r"unknown letter 'Ä' at position 2"),
        ("BOB", r"Word 'BOB' has no A or U: nothing moves the position"),
        ("AOA", r"Word 'AOA' has no B or K: nothing applies the force"),
        ("VOV", r"Word 'VOV' has no A or U"),
        ("O", r"has no A"),
        ("", r"A splitting word is a text such as .BAOAB., not ''"),
        (None, r"not None"),
        (7, r"not 7"),
    ],
)  # fmt: skip
def test_words_that_are_refused(text, message):
    with pytest.raises(SpecError, match=message):
        parse_word(text)


@pytest.mark.parametrize("letter", "CDEF")
def test_o_beside_a_thermostat_is_refused_with_the_way_out(letter):
    with pytest.raises(SpecError, match=rf"O together with {letter}.*BADODAB.*is BAEFEAB here"):
        parse_word(f"BA{letter}O{letter}AB")


@pytest.mark.parametrize("letter", "ACDEF")
def test_u_shares_no_word_with_what_it_holds_already(letter):
    with pytest.raises(SpecError, match=rf"U together with {letter}: U is A and O solved together.*UBU is whole"):
        parse_word(f"U{letter}B{letter}U")


def test_openmmtools_words_with_their_spaces():
    assert parse_word("V R O R V") == parse_word("VRORV") == parse_word("BAOAB")
    assert parse_word("O V R V O").text == "OBABO"


def test_u_takes_two_noise_indices():
    """Sub and sub + 1, in the count of O, D and F."""
    subs = [letter[2] for chunk in parse_word("OUBUO").chunks() for letter in chunk if letter[0] in "OU"]
    assert subs == [0, 1, 3, 5]


@pytest.mark.parametrize("letter", "BCDEFOU")
@pytest.mark.parametrize("fixed", "KS")
def test_a_momentum_of_fixed_length_goes_with_nothing_that_changes_it(fixed, letter):
    with pytest.raises(SpecError, match=rf"K together with {letter}: K and S keep the length of p"):
        parse_word(f"KA{letter}{fixed}AK")


@pytest.mark.parametrize(
    ("words", "partition", "message"),
    [
        ({"a": "KASAK", "b": "KASAK"}, TWO, r"K and S hold .* are free: hidden \(KASAK\), output \(KASAK\)\. Use"
                                            r' partition = "all", or freeze all of them but one'),
        ({"a": "KAK", "b": "BAB"}, TWO, r"K hold .* hidden \(KAK\), output \(BAB\)"),
        ({"a": None, "b": "KASAK"}, TWO, r"of 1 free parameter it has no direction .* such as BAOAB"),
    ],
)  # fmt: skip
def test_a_momentum_of_fixed_length_is_that_of_all_free_parameters(words, partition, message):
    parsed = {name: text and parse_word(text) for name, text in words.items()}
    names = dict(zip(parsed, partition.names, strict=True))
    with pytest.raises(SpecError, match=message):
        compile_program({names[name]: word for name, word in parsed.items()}, partition)
    program = compile_program({partition.names[0]: parse_word("KASAK"), partition.names[1]: None}, partition)
    assert [program.has_fixed_length(k) for k in (0, 1)] == [True, False]


@pytest.mark.parametrize(("theirs", "ours"), [("VRORV", "BAOAB"), ("RVOVR", "ABOBA"), ("OVRVO", "OBABO"), ("VR", "BA")])
def test_openmmtools_alphabet(theirs, ours):
    assert parse_word(theirs) == parse_word(ours)


def test_any_text_is_a_word_or_an_error():
    """Every word of up to four letters either parses, or is refused for a reason that holds."""
    for length in range(1, 5):
        for letters in product("ABCDEFOKSVRX", repeat=length):
            text = "".join(letters)
            openmm = set(text) <= set("VRO")
            ours = text.translate(str.maketrans("VR", "BA")) if openmm else text
            fine = (
                set(ours) <= set("ABCDEFOKS")
                and "A" in ours
                and set(ours) & set("BK")
                and not (set(ours) & set("KS") and set(ours) & set("BCDEFO"))
                and not ("O" in ours and set(ours) & set("CDEF"))
            )
            try:
                assert parse_word(text).text == ours
                assert fine
            except SpecError:
                assert not fine


@pytest.mark.parametrize(
    ("word", "reads", "thermostat"),
    [
        ("BAOAB", {"friction", "temperature"}, False), ("BACDEDCAB", {"sigma", "epsilon", "temperature"}, True),
        ("BACAB", set(), True),
        ("BADAB", {"sigma"}, False), ("BAFAB", {"sigma"}, True), ("BAB", set(), False),
        ("BAEAB", {"epsilon", "temperature"}, True),
    ],
)  # fmt: skip
def test_what_a_word_reads(word, reads, thermostat):
    assert parse_word(word).reads == reads
    assert parse_word(word).has_thermostat is thermostat


# -- programs --------


@pytest.mark.parametrize("word", WORDS)
def test_force_fractions_and_gradients(word):
    fractions, gradients, reuse = WORDS[word]
    program = compile_program({"all": Word(word)}, ONE)
    assert Word(word).force_fractions == tuple(map(Fraction, fractions))
    assert (program.gradients_per_step, program.leading_gradient) == (gradients, reuse)
    assert program.gradients_before(10) == 10 * gradients + reuse


@pytest.mark.parametrize("word", WORDS)
def test_program_spells_the_word(word):
    """Substeps in order are the word; each letter's fractions add up to the whole step; kicks never see a stale
    position.
    """
    program = compile_program({"all": Word(word)}, ONE)
    substeps = [s for s in program.substeps if isinstance(s, Substep)]
    assert "".join(s.operation for s in substeps) == word
    for letter in set(word):
        assert sum(s.fraction for s in substeps if s.operation == letter) == 1
    noisy = "".join("UU" if letter == "U" else letter for letter in word if letter in "ODFU")
    firsts = [i for i in range(len(noisy)) if noisy[i] != "U" or noisy[:i].count("U") % 2 == 0]
    assert [s.sub for s in substeps if s.operation in "ODFU"] == firsts
    fresh = program.leading_gradient
    for s in program.substeps * 2:  # also across the end of the step
        if isinstance(s, Evaluate):
            assert not fresh, "evaluated twice at one place"
            fresh = True
        elif s.operation in "AU":
            fresh = False
        elif s.operation == "B":
            assert fresh


def test_noise_indices_count_o_d_and_f_together():
    program = compile_program({"all": Word("BDAFADB")}, ONE)
    noisy = [(s.operation, s.sub) for s in program.substeps if isinstance(s, Substep) and s.operation in "DF"]
    assert noisy == [("D", 0), ("F", 1), ("D", 2)]


def evaluation_fraction(word):
    """How far the drift has gone at the word's own evaluation of the force."""
    return Word(word).force_fractions[-1]


MIXABLE = ["BAOAB", "BACDEDCAB", "OBABO", "BAB", "BAEFEAB"], ["ABOBA", "OABAO", "ACDBDCA"], ["OBA", "BAOA", "BA"]


@pytest.mark.parametrize(("first", "second"), [pair for group in MIXABLE for pair in product(group, repeat=2)])
def test_words_that_go_together(first, second):
    """Each partition's own substeps spell its word, and each force evaluation serves both."""
    program = compile_program({"hidden": Word(first), "output": Word(second)}, TWO)
    assert program.gradients_per_step == 1
    for k, word in enumerate((first, second)):
        own = [s for s in program.substeps if isinstance(s, Substep) and k in s.partitions]
        assert "".join(s.operation for s in own) == word
        assert [s.sub for s in own if s.operation in "ODF"] == list(range(sum(letter in "ODF" for letter in word)))
        assert all(s.fraction == Fraction(1, word.count(s.operation)) for s in own)
    place = program.substeps.index(Evaluate())
    before = [s for s in program.substeps[:place] if isinstance(s, Substep)]
    for k in range(2):  # each partition has gone as far as its kicks stand, when the force is evaluated
        drifted = sum(s.fraction for s in before if s.operation == "A" and k in s.partitions)
        assert drifted == evaluation_fraction(first)


@pytest.mark.parametrize(
    ("first", "second"), [("BAOAB", "ABOBA"), ("OBA", "BAOAB"), ("BABAB", "BAB"), ("OBA", "AOB"), ("ABAB", "BABA")]
)
def test_words_that_do_not_go_together(first, second):
    with pytest.raises(
        SpecError, match=rf"'{first}' \(hidden\) and '{second}' \(output\) evaluate the force at different times: after"
    ):
        compile_program({"hidden": Word(first), "output": Word(second)}, TWO)


def test_zero_and_one_stay_distinct():
    """Kicks at the start and at the end of the drift are not the same time, although a step's end is the next one's
    start.
    """
    assert Word("BA").force_fractions != Word("AB").force_fractions


def test_frozen_partitions():
    program = compile_program({"hidden": None, "output": Word("BAOAB")}, TWO)
    assert all(s.partitions == (1,) for s in program.substeps if isinstance(s, Substep))
    assert program.texts == (None, "BAOAB")
    assert program.reads(0) == frozenset()
    assert not program.has_thermostat(0)
    for make in (
        lambda: compile_program({"hidden": None, "output": None}, TWO),
        lambda: compile_update("sgd", TWO, (0, 1)),
    ):
        with pytest.raises(SpecError, match="Every partition is frozen"):
            make()


def test_whole_step_updates():
    program = compile_update("momentum", TWO, frozen=(0,))
    assert program.substeps == (Evaluate(), Substep("momentum", (1,)))
    assert (program.texts, program.update) == ((None, "momentum"), "momentum")
    assert (program.gradients_per_step, program.leading_gradient) == (1, False)
    assert program.reads(1) == {"momentum"}


def test_a_program_in_words():
    text = "\n".join(compile_program({"hidden": Word("BACDEDCAB"), "output": Word("BAOAB")}, TWO).describe())
    assert "evaluate energy and gradient on the next minibatch" in text
    assert "E  hidden: xi += h epsilon (p.p - n tau)" in text
    assert "(1/2 of the step)" in text


# -- gradients counted and recorded --------


class Recording(Target):
    """A target that notes at which evaluation, on which minibatch ordinal and where it was asked."""

    def __init__(self, inner):
        self.inner, self.layout, self.points, self.asked = inner, inner.layout, inner.points, []

    def energy_and_gradient(self, position, batch):
        self.asked.append((batch.evaluation, position.copy()))
        return self.inner.energy_and_gradient(position, batch)


@pytest.mark.parametrize("word", WORDS)
def test_gradients_are_counted(word):
    """An engine asks as often as the program says, with ordinals 0, 1, 2, ..., at any cut into segments."""
    target = Recording(well(1.0, 3))
    job = job_of(word, target, 0.3, 2, temperature=1.0, friction=1.0, sigma=1.0, epsilon=0.1, thermostat=0.5)
    state = start(job)
    for steps in (1, 4, 2):
        advance(job, state, steps, block=2)
    gradients = job.program.gradients_per_step
    assert [e for e, _ in target.asked] == list(range(7 * gradients + job.program.leading_gradient))
    assert state.evaluations == len(target.asked)


@pytest.mark.parametrize("word", ["BAOAB", "BACDEDCAB", "OBABO", "BABOBAB"])
def test_the_last_gradient_of_a_step_opens_the_next(word):
    """On the same minibatch: the first kick repeats the force of the last one, noise and all."""
    target = Recording(well(1.0, 3, noise_sd=2.0))
    job = job_of(word, target, 0.3, 2, temperature=0.0, friction=0.0, sigma=0.0, epsilon=0.0, thermostat=0.0)
    state = start(job)
    advance(job, state, 3)
    cached, position, momentum = state.gradient.copy(), state.position.copy(), state.momentum.copy()
    np.testing.assert_array_equal(target.asked[-1][1], position)  # evaluated where the replica now stands
    advance(job, state, 1)
    h = 0.3
    first_drift = target.asked[-job.program.gradients_per_step][1] - position
    kicked = momentum - h / word.count("B") * cached
    np.testing.assert_allclose(
        first_drift, kicked * (h if word == "OBABO" else h / 2 * (1 if word == "BABOBAB" else 2)), rtol=1e-12
    )


# -- braces (equations.md section 13) --------


ALL = Partition("all", ("all",), ((0, 5),), {})


@pytest.mark.parametrize(
    ("text", "opens", "closes", "at_the_end"),
    [
        ("{BAOAB}", 0, 6, True), ("{ABOBA}", 0, 6, False), ("{OBABO}", 0, 6, True), ("{OABAO}", 0, 6, False),
        ("O{BAB}O", 1, 5, True), ("{BAB}O", 0, 4, True), ("O{BABABAB}", 1, 11, True), ("{KAK}S", 0, 4, True),
        ("OO{ABA}O", 2, 6, False), ("{UBU}", 0, 4, False), ("{VRORV}", 0, 6, True),
    ],
)  # fmt: skip
def test_words_in_braces(text, opens, closes, at_the_end):
    """Where a proposal begins and ends among a step's entries, evaluations included; letters are as without braces."""
    word = parse_word(text)
    bare = text.translate(str.maketrans("VR", "BA", "{}"))
    assert word.text == bare
    assert parse_word(word.written) == word
    program = compile_program({"all": word}, ALL)
    assert program.braces == (opens, closes)
    assert program.has_work
    assert program.ends_at_evaluation == at_the_end
    plain = compile_program({"all": parse_word(bare)}, ALL)
    assert (program.substeps, program.leading_gradient, plain.braces) == (plain.substeps, plain.leading_gradient, None)
    assert [line[0] for line in program.describe()].count("{") == 1
    assert program.operations(0) == plain.operations(0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{BABABA}", r"'BABABA' in braces, which read backwards is 'ABABAB': only palindromes"),
        ("{BAO}", r"only palindromes"), ("O{BA}", r"only palindromes"),
        ("{BAOAB", r"one pair of braces"), ("BAOAB}", r"one pair"), ("}BAOAB{", r"one pair"),
        ("{BA}{AB}O", r"one pair"), ("{{BAOAB}}", r"one pair"),
        ("A{BAB}O", r"has A outside its braces"), ("{BAB}OB", r"has B outside"), ("{}BAOAB", r"outside"),
        ("{BACDEDCAB}", r"has C, D, E and braces.*known for A B K O S U"), ("{BAF}", r"has F and braces"),
        ("{BAB}", r"no temperature to accept at.*O\{BAB\}O"),
        ("{BXB}", r"unknown letter 'X' at position 3"),
    ],
)  # fmt: skip
def test_braces_that_are_refused(text, message):
    with pytest.raises(SpecError, match=message):
        parse_word(text)


def test_all_free_partitions_are_in_braces_or_none():
    layers = Partition("layer", ("hidden", "output"), ((0, 3), (3, 5)), {})
    braced, plain = parse_word("{BAOAB}"), parse_word("BAOAB")
    with pytest.raises(SpecError, match=r"output \(BAOAB\) has none: put braces around every word"):
        compile_program({"hidden": braced, "output": plain}, layers)
    assert compile_program({"hidden": braced, "output": None}, layers).braces == (0, 6)
    mixed = compile_program({"hidden": braced, "output": parse_word("O{BAB}O")}, layers)
    first, last = mixed.braces
    outer = [s for s in (*mixed.substeps[:first], *mixed.substeps[last:]) if isinstance(s, Substep)]
    assert {(s.operation, s.partitions) for s in outer} == {("O", (1,))}
    assert mixed.texts == ("{BAOAB}", "O{BAB}O")


def test_updates_and_thermostats_have_no_work():
    assert not compile_update("sgld", ALL).has_work
    assert not compile_program({"all": parse_word("BACDEDCAB")}, ALL).has_work
    assert compile_program({"all": parse_word("BABAOABAB")}, ALL).has_work
