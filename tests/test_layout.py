"""Tests stand where one looks: tests/method/test_words.py for gpu_thermo/method/words.py, and so for the command line
and the analysis; modules without a file of tests are named here, with the reason.
"""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PLACES = {"gpu_thermo": TESTS, "cli": TESTS / "cli", "analysis": TESTS / "analysis"}
MOST_LINES = 400
ELSEWHERE = {
    "gpu_thermo/cost.py": ("bench/test_bench.py", "operation counts are held to measured ones there"),
    "gpu_thermo/data/files.py": (
        "data/test_tables.py",
        "pipes, devices and folders are refused by every reader of files",
    ),
    "gpu_thermo/data/remedies.py": ("data/test_fields.py", "what can be said of columns is what refusals name"),
    **{
        f"gpu_thermo/data/sources/{name}.py": ("data/test_sources.py", "options of every name, built and refused")
        for name in ("base", "bundled", "generated", "own")
    },
    "gpu_thermo/running/seat.py": ("study/test_turns.py", "a protocol, which runs that take turns carry out"),
    "cli/summary.py": ("cli/test_info.py", "what a run came to is asked through the command"),
    **dict.fromkeys(
        ("cli/answers.py", "cli/answer_files.py", "cli/writing.py", "gpu_thermo/data/beside.py"),
        ("cli/test_predict.py", "what predict writes, and what it leaves behind, is asked of the command"),
    ),
    "gpu_thermo/estimators/exported.py": ("cli/test_fit.py", "files of fits are made, read and told by the commands"),
    "cli/fitted.py": ("cli/test_fit.py", "what a fit leaves is asked of the command"),
    "gpu_thermo/running/extended.py": ("test_run.py", "runs are resumed and extended there"),
    "cli/report.py": ("cli/test_fit.py", "fit, report and watch are one story"),
    "cli/watch.py": ("cli/test_fit.py", "fit, report and watch are one story"),
    "analysis/report/sections.py": ("analysis/report/test_runs.py", "every part is asked of whole reports"),
    "analysis/report/writing.py": ("analysis/report/test_runs.py", "files are written and refused there"),
    "analysis/report/studies.py": ("cli/test_study.py", "the report of a study stands beside its table"),
    "gpu_thermo/estimators/loaded.py": ("estimators/test_saved.py", "what is saved is loaded there"),
    "gpu_thermo/estimators/base.py": ("estimators/test_regressor.py", "what both estimators share is asked of one"),
    "gpu_thermo/averages/draws.py": (
        "averages/test_calibration.py",
        "what is read is compared there with draws read by hand",
    ),
    "gpu_thermo/averages/normal_quantiles.py": ("averages/test_mixtures.py", "quantiles of mixtures are found by it"),
    "gpu_thermo/data/tasks.py": ("data/test_labels.py", "classes and outputs of a task, by target columns"),
    "gpu_thermo/engines/base.py": ("engines/test_batched.py", "jobs and grids, of which both engines' tests are full"),
    "gpu_thermo/engines/coefficients.py": (
        "contracts/test_operations.py",
        "coefficients of every operation are varied there",
    ),
    "gpu_thermo/engines/gpu.py": ("device/test_errors.py", "CUDA's errors, as a stand-in for CuPy raises them"),
    "gpu_thermo/engines/parts.py": ("engines/test_sharded.py", "shares are carried by parts there"),
    "gpu_thermo/engines/resident.py": ("device/test_traffic.py", "what crosses the bus is counted there"),
    "gpu_thermo/engines/rings.py": ("device/test_traffic.py", "rings come down once, and in step"),
    "gpu_thermo/engines/operations/arrays.py": ("engines/test_batched.py", "the batched engine's own operations"),
    "gpu_thermo/engines/predict/pooled.py": ("device/test_many_devices.py", "predictions by turns, to the same bits"),
    "gpu_thermo/running/hosting.py": ("running/test_workers.py", "what workers are asked to do is done there"),
    "gpu_thermo/running/places.py": ("running/test_workers.py", "where runs are carried out, and what cannot be had"),
    "gpu_thermo/engines/predict/arrays.py": (
        "averages/test_predictive.py",
        "the predictor that averages use everywhere",
    ),
    "gpu_thermo/kernels/promised.py": ("kernels/test_executed.py", "records are tested beside what is held to them"),
    "gpu_thermo/kernels/emit.py": ("kernels/test_kernels.py", "what is emitted is compiled, run and compared there"),
    "gpu_thermo/method/operations.py": (
        "contracts/test_operations.py",
        "the table of all operations is gone through there",
    ),
    "gpu_thermo/method/partition.py": ("method/test_words.py", "partitions and words make a program together"),
    "gpu_thermo/method/record.py": ("contracts/test_operations.py", "every record is asked for what it promises"),
    "gpu_thermo/moves/base.py": ("contracts/test_moves.py", "the protocol, asked of every move"),
    "gpu_thermo/moves/fold.py": ("moves/test_moves_run.py", "moves of one run are asked in turn in whole runs"),
    "gpu_thermo/moves/ladder_report.py": ("moves/test_ladder.py", "numbers and lines of ladders, with their warnings"),
    "analysis/evidence.py": ("averages/test_evidence.py", "its picture is drawn by the command there"),
    "gpu_thermo/moves/powers.py": ("averages/test_evidence.py", "rungs are held to their closed forms there"),
    "gpu_thermo/moves/report.py": ("moves/test_protocol.py", "lines and verdicts of a move's report"),
    "gpu_thermo/moves/table.py": ("contracts/test_moves.py", "the table of all moves is gone through there"),
    "gpu_thermo/running/model.py": (
        "running/test_network.py",
        "what a spec and its data make is run and refused there",
    ),
    "gpu_thermo/running/in_force.py": ("running/test_tuned.py", "what goes on in a stage is seen in whole runs"),
    "gpu_thermo/running/loop.py": ("test_run.py", "the loop is what every run goes through"),
    "gpu_thermo/running/ordinary.py": ("running/test_tuned.py", "what follows a stage is seen in whole runs"),
    "gpu_thermo/running/stage.py": ("running/test_tuned.py", "what stages come to is decided upon in whole runs"),
    "gpu_thermo/running/resources.py": ("running/test_bill.py", "refusals for memory and disk are those of bills"),
    "gpu_thermo/running/speed.py": ("bench/test_bench.py", "measured speeds and peaks are benchmarks"),
    "gpu_thermo/running/seeing.py": ("running/test_network.py", "networks and what is seen of them are one test"),
    "gpu_thermo/running/seeing_there.py": ("device/test_seen.py", "what is seen on a device needs one"),
    "gpu_thermo/running/seeing_shares.py": ("device/test_seen_by_many.py", "what several devices see needs them"),
    "gpu_thermo/running/rules.py": ("running/test_launch.py", "rules are asked of launches, braces and groups there"),
    "gpu_thermo/running/stored.py": ("test_run.py", "what runs store is read back there"),
    "gpu_thermo/running/subject.py": (
        "contracts/test_subjects.py",
        "every subject is asked there for what it promises",
    ),
    "gpu_thermo/tuning/judging.py": ("tuning/test_course.py", "windows are judged where courses come of it"),
    "gpu_thermo/tuning/tuner.py": ("tuning/test_course.py", "decisions are courses that come of courses"),
    "gpu_thermo/spec/superchains.py": ("running/test_superchains.py", "superchains are run, and refused, there"),
    "gpu_thermo/spec/explain.py": ("spec/test_run.py", "errors are explained of whole specs"),
    "gpu_thermo/spec/reports.py": ("moves/test_protocol.py", "reports are read back from stores of runs with moves"),
    "gpu_thermo/store/header.py": (
        "store/test_schema.py",
        "plain records; contradictions in them are found by the schema",
    ),
    "gpu_thermo/method/paces.py": ("laws/test_multirate.py", "partitions with steps of their own have exact laws"),
    "gpu_thermo/store/soundness.py": ("store/test_belonging.py", "files damaged, or of another run, are found there"),
    "gpu_thermo/study/parts.py": ("study/test_conduct.py", "parts are what a study leaves when it is stopped"),
    "gpu_thermo/study/assembly.py": ("study/test_conduct.py", "what a study looks like when its parts are together"),
    "gpu_thermo/running/cluster.py": ("study/test_workers.py", "clients are made for workers, and refused there"),
    "gpu_thermo/study/cells.py": ("study/test_grids.py", "cells are points of grids"),
    "gpu_thermo/study/collect.py": ("study/test_launch.py", "what is kept of a shard is compared with single runs"),
    "gpu_thermo/study/seen.py": ("study/test_launch.py", "who speaks for a ladder is seen in its draws"),
    "gpu_thermo/study/progress.py": ("study/test_conduct.py", "where a study stands is told as it goes"),
    "gpu_thermo/study/work.py": ("study/test_plan.py", "cells, groups and shards are what plans count"),
    "gpu_thermo/study/birth.py": ("study/test_conduct.py", "places taken, continued and locked"),
    "gpu_thermo/study/reading.py": ("study/test_claims.py", "what a study says of itself, checked"),
    "gpu_thermo/spec/section.py": ("spec/test_run.py", "what all sections share"),
    "gpu_thermo/spec/values.py": (
        "spec/test_run.py",
        "values over replicas, scheduled and by partition, as specs have them",
    ),
    "gpu_thermo/spec/model.py": ("spec/test_run.py", "sections are read as parts of a spec"),
    "gpu_thermo/spec/method.py": ("spec/test_run.py", "sections are read as parts of a spec"),
    "gpu_thermo/spec/written.py": ("spec/test_keys.py", "short forms as editors check them, against validation"),
    "gpu_thermo/study/watch.py": ("analysis/test_multimodal.py", "histograms and trajectories as pictures draw them"),
    "gpu_thermo/targets/activations.py": ("contracts/test_networks.py", "every activation is held to its formula"),
    "gpu_thermo/targets/base.py": (
        "targets/analytic/test_base.py",
        "the protocol and addressed noise, asked of every potential",
    ),
    **{
        f"gpu_thermo/targets/likelihoods/{name}.py": (
            "contracts/test_networks.py",
            "every likelihood is held to its formula",
        )
        for name in ("base", "classes", "values")
    },
    "gpu_thermo/targets/own/with_numpy.py": (
        "targets/own/test_check.py",
        "every mistake that NumPy functions can make, and the networks of all its cases",
    ),
    "gpu_thermo/targets/posterior.py": ("targets/test_networks.py", "a network's energy and gradient on its data sets"),
    "gpu_thermo/verify/ensembles.py": ("verify/test_suite.py", "checks of moves, and that wrong moves fail"),
    "gpu_thermo/verify/posterior.py": (
        "verify/test_suite.py",
        "the posterior check, and that a wrong temperature fails",
    ),
    "gpu_thermo/verify/sameness.py": (
        "verify/test_suite.py",
        "equality checks, and that wrong rounds and shared noise fail",
    ),
    "gpu_thermo/verify/sampling.py": ("verify/test_suite.py", "jobs that the checks sample"),
    "gpu_thermo/verify/wells.py": ("verify/test_suite.py", "checks on wells, and that wrong letters fail"),
    "cli/evidence.py": (
        "averages/test_evidence.py",
        "the command and the numbers behind it are run on one store there",
    ),
    "cli/bench.py": ("bench/test_bench.py", "the command's numbers are the benchmark's"),
    "cli/figure.py": ("analysis/paper/test_gallery.py", "the command draws a figure and its page"),
    "analysis/convergence.py": ("analysis/test_diagnostics.py", "its numbers are those of a diagnosis"),
    "analysis/agreement.py": ("analysis/test_diagnostics.py", "its verdicts are those of a diagnosis"),
    "analysis/verdicts.py": ("analysis/test_diagnostics.py", "what a diagnosis holds, as text and as JSON"),
    "analysis/drawing.py": ("analysis/test_maps.py", "maps are drawn as soon as they are made"),
    "analysis/comparison.py": ("analysis/test_multimodal.py", "what pictures and table are made from"),
    "analysis/multimodal_draws.py": ("analysis/test_multimodal.py", "draws that count, as the pictures take them"),
    "analysis/style.py": ("analysis/test_study_figures.py", "colours and marks of all pictures"),
    "analysis/paper/entry.py": ("analysis/paper/test_figures.py", "what an entry is, and smaller studies"),
    "analysis/paper/more.py": ("analysis/paper/test_figures.py", "entries of figures beside the published ones"),
}
"""Module: where its tests are (below tests/), and why not under its own name."""


def modules():
    """Every module but the faces of packages, with the place of its tests."""
    for top, place in PLACES.items():
        for path in sorted((ROOT / top).rglob("*.py")):
            if path.name != "__init__.py":
                inside = path.relative_to(ROOT / top)
                yield str(path.relative_to(ROOT)), place / inside.parent / f"test_{inside.name}"


def test_every_module_has_its_tests_or_a_reason():
    missing = [name for name, tests in modules() if not tests.exists() and name not in ELSEWHERE]
    assert not missing, "no file of tests, and no reason in ELSEWHERE"


@pytest.mark.parametrize("module", ELSEWHERE)
def test_reasons_hold(module):
    """The module is there without tests of its own name, and the tests named instead are there."""
    tests, reason = ELSEWHERE[module]
    assert module in dict(modules()), "no such module"
    assert not dict(modules())[module].exists(), "it has tests of its own name: strike it out"
    assert (TESTS / tests).exists(), f"tests/{tests} is not there"
    assert len(reason.split()) > 2


def test_tests_share_helpers_only():
    """No test file imports another one: what several use stands in helpers."""
    wrong = []
    for path in sorted(TESTS.rglob("test_*.py")):
        for n in ast.walk(ast.parse(path.read_text())):
            names = [n.module or ""] if isinstance(n, ast.ImportFrom) else [a.name for a in getattr(n, "names", [])]
            if isinstance(n, ast.Import | ast.ImportFrom) and any(x.split(".")[-1].startswith("test_") for x in names):
                wrong.append(f"{path.relative_to(TESTS)} imports {', '.join(names)}")
    assert not wrong


def test_no_file_of_tests_is_too_long():
    assert not [
        f"{path.relative_to(TESTS)}: {lines} lines"
        for path in sorted(TESTS.rglob("*.py")) if (lines := path.read_text().count("\n")) > MOST_LINES
    ]  # fmt: skip
