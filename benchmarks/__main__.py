"""`python -m benchmarks [NAME ...] [--quick]`: runs the benchmarks and prints their tables in Markdown."""

import argparse
import importlib
import os

from rich.console import Console

from benchmarks.machine import describe
from benchmarks.timing import PROCESSOR_TIME

NAMES = ("command-line", "train-step", "compile-time", "decode", "moe", "checkpoints", "devices", "loss-memory")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run the benchmarks and print tables.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that all of it runs, measures nothing")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="count what the processors did and no waiting for one: for a machine that is shared, with `taskset -c 0`",
    )
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}: there are {', '.join(NAMES)}")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # all rivals on one device
    if options.processor_time:
        os.environ[PROCESSOR_TIME] = "1"
    console = Console(width=120, soft_wrap=True)
    console.print(describe(), highlight=False)
    if options.quick:
        console.print("--quick: the sizes are tiny, and the ratios mean nothing.", highlight=False)
    if options.processor_time:
        console.print("Times are the processor's, of all threads together.", highlight=False)
    console.print()
    for name in options.names or NAMES:
        for comparison in importlib.import_module(f"benchmarks.{name.replace('-', '_')}").run(quick=options.quick):
            comparison.show(console)


if __name__ == "__main__":
    main()
