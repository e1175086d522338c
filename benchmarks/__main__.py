"""`python -m benchmarks`: generate, measure, print. What it measures is in `__init__`."""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from finops_pipeline import pipeline

from . import dialects, inputs
from .stage import EVERYTHING

SMALL = 100_000
"""Lines below which a measurement is only tried out."""
STAGE_TARGET, ROAD_TARGET, MEMORY_TARGET = 2.0, 3.0, 4096
GROWTH = (1_000_000, 10_000_000, 20_000_000)
RESULTS = Path(__file__).parent / "results"
STEPS = [*(s.name for s in pipeline.steps()), "publish"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--charges", type=int, default=10_000_000, help="lines of the bill")
    parser.add_argument("--pod-hours", type=int, default=1_000_000, help="pods times hours")
    parser.add_argument("--calls", type=int, default=20_000_000, help="inference calls")
    parser.add_argument("--keep", type=Path, help="folder to keep the data in and use it again")
    parser.add_argument(
        "--until",
        choices=STEPS,
        metavar="STEP",
        help="measure the road as far as this step, and no second run",
    )
    parser.add_argument(
        "--plot",
        action="store_true",
        help=f"growth at {', '.join(f'{n:,}' for n in GROWTH)} charges",
    )
    parser.add_argument(
        "--dialects",
        action="store_true",
        help=f"each dialect from CSV.gz and Parquet, at most {dialects.LINES:,} charges",
    )
    given = parser.parse_args()
    size = inputs.Size(given.charges, given.pod_hours, given.calls)
    with _folder(given.keep) as folder:
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores\n")
        if given.dialects:
            _save("dialects", each_dialect(folder, min(size.charges, dialects.LINES)))
        elif given.plot:
            _save("growth", growth(folder, size))
        else:
            _save("road", road(folder, size, given.until))
            shared = os.environ.get("FINOPS_SHARED_DATA")
            if shared and given.until is None:
                _save("servegen", real_calls(folder, Path(shared)))


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="finops-bench-") as scratch:
        yield Path(scratch)


def _save(name: str, result: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{name}-{time.strftime('%Y%m%dT%H%M%S')}.json"
    target.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(f"\nwritten to {target}", file=sys.stderr)


def measured(module: str, *arguments: object) -> dict[str, Any]:
    """What a module printed last, run in a process of its own, with the memory it took.

    `seconds` and `cpu` are of the work alone: starting a process is told as `start`.
    """
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)], stdout=out
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"benchmarks.{module} {' '.join(map(str, arguments))} failed")
        out.seek(0)
        told: dict[str, Any] = json.loads(out.read().strip().splitlines()[-1])
    # ru_maxrss is in KiB on Linux
    return {**told, "peak_mb": used.ru_maxrss / 1024}


# ------------------------------------------------------------------------------- the whole road


def road(folder: Path, size: inputs.Size, until: str | None = None) -> dict[str, Any]:
    """Each step beside its bound, then runs with nothing, a day, and a file changed.

    With `until`, the steps as far as that one, and no second run.
    """
    home = folder / "month"
    _make(home, size)
    shutil.rmtree(home / "warehouse", ignore_errors=True)
    config = home / "finops.toml"
    steps: list[dict[str, Any]] = []
    print(
        "| step | rows in | rows out | seconds | bound | ratio | CPU s | bound CPU s | peak MB |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    for step in STEPS[: STEPS.index(until or STEPS[-1]) + 1]:
        took = measured("stage", config, inputs.PERIOD, step)
        floor = measured("bounds", config, inputs.PERIOD, step)
        steps.append({**took, "bound": floor})
        print(_row(step, took, floor), flush=True)
    stages = _stages(steps)
    total = sum(s["seconds"] for s in steps)
    floors = sum(s["bound"]["seconds"] for s in steps)
    peak = max(s["peak_mb"] for s in steps)
    start = statistics.median(s["start"] for s in steps)
    print(
        f"\nThe road: {total:.1f} s against {floors:.1f} s of bounds, {total / floors:.2f} times "
        f"(target {ROAD_TARGET:g}); largest process {peak:,.0f} MB (target {MEMORY_TARGET:,}). "
        f"Starting takes {start:.1f} s, once a run, and is not counted.\n"
    )
    again = {} if until else second_runs(home, size)
    return {"size": size.__dict__, "steps": steps, "stages": stages, "again": again}


def second_runs(home: Path, size: inputs.Size) -> dict[str, Any]:
    """What the road costs where nothing, a day, or a file changed; the inputs are left as before."""
    config = home / "finops.toml"
    print("| run | seconds | peak MB | engines started | partitions built | tables built |")
    print("|---|--:|--:|--:|--:|---|")
    with contextlib.closing(inputs.engine()) as engine:
        again = {"nothing changed": _again(config, "nothing changed")}
        inputs.calls_day(engine, home, size, 20, f"{inputs.PERIOD}-21", left_out=1)
        again["a day changed"] = _again(config, "a day changed")
        inputs.bill_file(engine, home, size, 4, restated=range(20, 21))
        again["a day of a file restated"] = _again(config, "a day of a file restated")
        inputs.bill_file(engine, home, size, 4, restated=range(31))
        again["a file restated"] = _again(config, "a file restated")
        inputs.calls_day(engine, home, size, 20, f"{inputs.PERIOD}-21")
        inputs.bill_file(engine, home, size, 4)
    return again


def _stages(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same by stage of the road: what the target of a stage is held against."""
    stage_of = {s.name: s.stage for s in pipeline.steps()} | {"publish": "publish"}
    print(
        "\n| stage | seconds | bound | ratio | CPU s | bound CPU s | peak MB |\n"
        "|---|--:|--:|--:|--:|--:|--:|"
    )
    found = []
    for stage in dict.fromkeys(stage_of[s["step"]] for s in steps):
        mine = [s for s in steps if stage_of[s["step"]] == stage]
        told = {
            "stage": stage,
            "seconds": sum(s["seconds"] for s in mine),
            "bound": sum(s["bound"]["seconds"] for s in mine),
            "cpu": sum(s["cpu"] for s in mine),
            "bound_cpu": sum(s["bound"]["cpu"] for s in mine),
            "peak_mb": max(s["peak_mb"] for s in mine),
        }
        ratio = f"{told['seconds'] / told['bound']:.2f}" if told["bound"] > 0.05 else ""
        print(
            f"| {stage} | {told['seconds']:.1f} | {told['bound']:.1f} | {ratio} "
            f"| {told['cpu']:.1f} | {told['bound_cpu']:.1f} | {told['peak_mb']:,.0f} |"
        )
        found.append(told)
    print(f"\nThe target of a stage is {STAGE_TARGET:g} times its bound.")
    return found


def _make(home: Path, size: inputs.Size) -> None:
    started = time.perf_counter()
    _apart(inputs.write, home, size)
    print(f"inputs ready in {time.perf_counter() - started:.0f} s", file=sys.stderr)


def _apart(write: Callable[..., None], *arguments: object) -> None:
    """Make inputs in a process of its own: a child's peak memory is not told below its parent's."""
    making = multiprocessing.get_context("spawn").Process(target=write, args=arguments)
    making.start()
    making.join()
    if making.exitcode:
        raise SystemExit("the inputs could not be made")


def _row(step: str, took: dict[str, Any], floor: dict[str, Any]) -> str:
    ratio = f"{took['seconds'] / floor['seconds']:.1f}" if floor["seconds"] > 0.05 else ""
    return (
        f"| {step} | {floor['rows']:,} | {took['rows']:,} | {took['seconds']:.1f} "
        f"| {floor['seconds']:.1f} | {ratio} | {took['cpu']:.1f} | {floor['cpu']:.1f} "
        f"| {took['peak_mb']:,.0f} |"
    )


def _again(config: Path, what: str) -> dict[str, Any]:
    took = measured("stage", config, inputs.PERIOD, EVERYTHING)
    built = ", ".join(took["rebuilt"]) or "none"
    print(
        f"| {what} | {took['seconds']:.1f} | {took['peak_mb']:,.0f} | {took['engines']} "
        f"| {took['rebuilt_partitions']} of {took['partitions']} | {built} |",
        flush=True,
    )
    return took


# -------------------------------------------------------------------------------------- growth


def growth(folder: Path, largest: inputs.Size) -> dict[str, Any]:
    """The whole road at sizes that grow; usage grows with the bill in the given proportion."""
    found = []
    print(
        "| charges | pod hours | calls | seconds | CPU s | CPU s per million charges | peak MB |\n"
        "|--:|--:|--:|--:|--:|--:|--:|"
    )
    for charges in GROWTH:
        size = inputs.Size(
            charges,
            largest.pod_hours * charges // largest.charges,
            largest.calls * charges // largest.charges,
        )
        home = folder / f"growth-{charges}"
        _make(home, size)
        shutil.rmtree(home / "warehouse", ignore_errors=True)
        took = measured("stage", home / "finops.toml", inputs.PERIOD, EVERYTHING)
        found.append({"size": size.__dict__, **took})
        print(
            f"| {size.charges:,} | {size.pod_hours:,} | {size.calls:,} | {took['seconds']:.1f} "
            f"| {took['cpu']:.1f} | {took['cpu'] / charges * 1e6:.2f} | {took['peak_mb']:,.0f} |",
            flush=True,
        )
    _draw(found, RESULTS / "growth.svg")
    return {"growth": found}


def _draw(found: list[dict[str, Any]], to: Path) -> None:
    """Seconds against charges, with the line that grows as the input does."""
    import altair as alt
    import polars as pl

    first = found[0]
    rows = [
        {"charges": f["size"]["charges"] / 1e6, "seconds": seconds, "what": what}
        for f in found
        for what, seconds in (
            ("measured", f["seconds"]),
            ("as the input", first["seconds"] * f["size"]["charges"] / first["size"]["charges"]),
        )
    ]
    to.parent.mkdir(exist_ok=True)
    chart = alt.Chart(pl.DataFrame(rows)).mark_line(point=True)
    encoded = chart.encode(
        x=alt.X("charges:Q", title="million charges"),
        y=alt.Y("seconds:Q", title="seconds for the whole road"),
        color=alt.Color("what:N", title=None),
    )
    encoded.properties(width=480, height=280).save(to)


# ------------------------------------------------------------------------------------ dialects


def each_dialect(folder: Path, lines: int) -> dict[str, Any]:
    """The reader of each dialect beside DuckDB's bare conversion of the same file.

    The two take turns, and the least of the rounds counts, of each number: others use the cores.
    """
    home = folder / "dialects"
    _apart(dialects.write, home, lines)
    print(
        "| dialect | file | MB | seconds | rows a second | bare | ratio | CPU s | bare CPU s "
        "| ratio | peak MB | bare peak MB |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    found = []
    for dialect in dialects.MADE:
        for kind in dialects.FORMATS:
            file = home / f"{dialect}.{kind}"
            rounds = [
                [measured("dialects", what, dialect, file) for what in ("read", "bare")]
                for _ in range(dialects.ROUNDS if lines > SMALL else 1)
            ]
            ours, bare = (
                {k: min(o[k] for o in of) for k in of[0]} for of in zip(*rounds, strict=True)
            )
            print(
                f"| {dialect} | {kind} | {file.stat().st_size / 1e6:,.0f} | {ours['seconds']:.1f} "
                f"| {ours['rows'] / ours['seconds']:,.0f} | {bare['seconds']:.1f} "
                f"| {ours['seconds'] / bare['seconds']:.2f} | {ours['cpu']:.1f} | {bare['cpu']:.1f} "
                f"| {ours['cpu'] / bare['cpu']:.2f} | {ours['peak_mb']:,.0f} "
                f"| {bare['peak_mb']:,.0f} |",
                flush=True,
            )
            found.append({"dialect": dialect, "file": kind, "read": ours, "bare": bare})
    print(f"\nThe target of a dialect is {dialects.TARGET:g} times the bare conversion.")
    return {"lines": lines, "dialects": found, "focus-converter": _focus_converter(home, lines)}


def _focus_converter(home: Path, lines: int) -> dict[str, Any] | None:
    command = os.environ.get("FINOPS_FOCUS_CONVERTER")
    if not command:
        print("focus-converter was left out: FINOPS_FOCUS_CONVERTER does not name it.")
        return None
    took = dialects.focus_converter(command, home / "aws_cur.parquet", home)
    if isinstance(took, str):
        print(f"focus-converter did not end well within {dialects.PATIENCE} s: {took}")
        return None
    print(
        f"focus-converter, the same Parquet file of aws_cur, whole process: {took['seconds']:.1f} s, "
        f"{lines / took['seconds']:,.0f} rows a second, {took['cpu']:.1f} CPU s, "
        f"{took['peak_mb']:,.0f} MB."
    )
    return took


# ---------------------------------------------------------------------------------- real calls


def real_calls(folder: Path, shared: Path) -> dict[str, Any]:
    """A real day of inference calls through the reader, beside the bare scan and group."""
    source = shared / "servegen" / "inference_24h.parquet"
    if not source.exists():
        print(f"\nno {source.name} there; the real calls are left out")
        return {}
    took = measured("real", source, folder)
    print(
        f"\n{took['rows']:,} real calls: {took['seconds']:.1f} s, bound {took['bound']:.1f} s, "
        f"{took['seconds'] / took['bound']:.1f} times, {took['peak_mb']:,.0f} MB"
    )
    return took


if __name__ == "__main__":
    main()
