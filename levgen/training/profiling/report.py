"""A profile as text."""

from levgen.training.profiling.run import Profile
from levgen.training.profiling.scopes import Scope
from levgen.training.profiling.trace import OpTime

MOST_MODULES, MOST_OPERATIONS = 15, 10
PHASES = ("forward", "recomputed", "backward")
_UNITS = ("B", "kB", "MB", "GB", "TB")


def report(profile: Profile) -> str:
    """The whole summary."""
    return "\n".join([*_summary(profile), "", *_modules(profile), "", *_operations(profile), "", *_where(profile)])


def _summary(profile: Profile) -> list[str]:
    setup = profile.setup
    flops = setup.flops_per_step
    devices = setup.training.placement.mesh.devices.size
    tokens = setup.tokens_per_step / profile.step_seconds
    utilisation = setup.utilisation(profile.step_seconds)
    kind = setup.training.placement.mesh.devices.flat[0].device_kind
    mfu = "not known: no peak is known for this device and dtype" if utilisation is None else f"{utilisation:.1%}"
    held, temporary = _bytes(profile.argument_bytes), _bytes(profile.temporary_bytes)
    memory = f"{held} parameters, optimiser and batch + {temporary} of a step"
    if profile.peak_bytes is not None:
        memory += f"; peak {_bytes(profile.peak_bytes)}"
    rows = {
        "step": f"{profile.step_seconds * 1e3:.1f} ms (median of {profile.steps})   {tokens:,.0f} tokens/s",
        "compile": f"{profile.compile_seconds:.1f} s",
        "device": f"{devices} x {kind}",
        "memory": f"{memory} (a device)",
        "FLOPs": f"{_scaled(flops)} a step (3 x the forward pass)   {_scaled(flops / profile.step_seconds)}/s",
        "MFU": mfu,
    }
    return [f"{name:<9}{text}" for name, text in rows.items()]


def _modules(profile: Profile) -> list[str]:
    modules = profile.modules
    total = sum(sum(phases.values()) for phases in modules.values())
    if not total:
        return ["this device's trace has no times of single operations"]
    shown = list(modules.items())[:MOST_MODULES]
    lines = ["".join(f"{title:>12}" for title in ("share", *PHASES)) + "  module (ms a step, threads added up)"]
    for name, phases in shown:
        times = "".join(f"{_milliseconds(phases.get(phase, 0.0), profile):>12.2f}" for phase in PHASES)
        lines.append(f"{sum(phases.values()) / total:>12.1%}{times}  {name}")
    rest = len(modules) - len(shown)
    if rest:
        left = sum(sum(phases.values()) for phases in list(modules.values())[MOST_MODULES:])
        lines.append(f"{left / total:>12.1%}{'':>{12 * len(PHASES)}}  {rest} more")
    return lines


def _operations(profile: Profile) -> list[str]:
    def row(operation: OpTime, scope: Scope) -> str:
        times = f"{_milliseconds(operation.microseconds, profile):>8.2f}{operation.count / profile.steps:>8.0f}"
        return f"{times}  {operation.name}  ({scope.module}, {scope.phase})"

    lines = [row(*item) for item in profile.operations[:MOST_OPERATIONS]]
    return [f"{'ms':>8}{'runs':>8}  the longest operations of a step", *lines]


def _where(profile: Profile) -> list[str]:
    return [f"trace: {profile.trace} (open it in Perfetto, https://ui.perfetto.dev)"]


def _milliseconds(microseconds: float, profile: Profile) -> float:
    return microseconds / profile.steps / 1e3


def _bytes(count: float) -> str:
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def _scaled(count: float) -> str:
    for exponent, prefix in ((15, "P"), (12, "T"), (9, "G"), (6, "M")):
        if count >= 10**exponent:
            return f"{count / 10**exponent:.2f} {prefix}FLOP"
    return f"{count:,.0f} FLOP"
