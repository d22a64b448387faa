"""Which device, precision and batch each part of a bundle runs with."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from realm_engine.bundle.bundle import Bundle, Part
from realm_engine.errors import BundleError, DeviceError
from realm_engine.runtimes import rule
from realm_engine.runtimes.base import Backend
from realm_engine.runtimes.devices import AUTO_ORDER, open_backend
from realm_engine.runtimes.measured import Tuned
from realm_engine.runtimes.words import Device

log = logging.getLogger("realm_engine")

PREFER_FP16 = "prefer-fp16"
AS_ASKED, AS_TUNED = "as asked", "as tuned"
# Devices that compute on the processor, so that its units decide what is fast.
_HOST = (Device.CPU.value, Device.OPENVINO.value)


@dataclass(frozen=True)
class PartPlan:
    """How one part runs, and `why`. `batch`: inputs of one call, None = the backend's own; `tuned`: measured here."""

    backend: Backend
    precision: str
    batch: int | None = None
    tuned: bool = False
    why: str = AS_ASKED


class Backends:
    """Backends opened once each; threads None: as tuned, else all that the process may use."""

    def __init__(self, threads: int | None) -> None:
        self._threads = threads
        self._opened: dict[tuple[str, int | None], Backend] = {}

    def open(self, device: str, threads: int | None = None) -> Backend:
        """Open a device. Raises DeviceError with the cure when it cannot be had."""
        key = (device, self._threads or threads)
        if key not in self._opened:
            self._opened[key] = open_backend(*key)
        return self._opened[key]

    def works(self, device: str) -> bool:
        """Whether a device can be had."""
        try:
            self.open(device)
        except DeviceError as error:
            log.debug("auto: %s", error)
            return False
        return True


def computes(bundle: Bundle, part: Part, precision: str, backend: Backend) -> bool:
    """Whether a part can run in a precision: from a file of it, or by the runtime itself from the fp32 file."""
    if part.float32_alone and precision != "fp32":
        return False
    files = bundle.precisions(part)
    runs_file = precision in files and precision not in backend.lacks
    return runs_file or (precision in backend.native and "fp32" in files)


def choose_plans(
    bundle: Bundle,
    parts: Sequence[Part],
    device: str,
    precision: str,
    threads: int | None,
    tuned: Tuned | None,
) -> dict[str, PartPlan]:
    """Decide for each part of a bundle, by its name.

    Args:
        bundle: An opened bundle.
        parts: What it can run.
        device: A device, or "auto": the fastest one `tuned` found, else cuda where it works, else what `rule` says
            of cpu and openvino.
        precision: A precision; "auto": the fastest that passed its gates in `tuned`, else the fastest by `rule` of
            fp32 and what the manifest recommends for the device; or "prefer-fp16": fp16 where the device is fast in
            it and the bundle has it, else as "auto", with a warning.
        threads: CPU threads, None: as tuned, else all that the process may use.
        tuned: What was measured on this machine, None where nothing was.

    Raises:
        DeviceError: the device cannot be had.
        BundleError: no part can run in that precision on that device.
    """
    backends = Backends(threads)
    if precision == PREFER_FP16:
        return _prefer_fp16(
            bundle, parts, {part.name: _auto(bundle, part, device, backends, tuned) for part in parts}
        )
    if precision == "auto":
        return {part.name: _auto(bundle, part, device, backends, tuned) for part in parts}

    def exactly(some: Sequence[Part], precision: str) -> dict[str, PartPlan]:
        plans = {part.name: _exactly(bundle, part, device, precision, backends, tuned) for part in some}
        return {part: plan for part, plan in plans.items() if plan is not None}

    found = exactly(parts, precision)
    if found:
        found |= exactly([part for part in parts if part.float32_alone], "fp32")
    else:
        files = dict.fromkeys(itertools.chain(*(bundle.precisions(part) for part in parts)))
        if precision in files:
            raise DeviceError(_lacking(bundle, parts, device, precision, backends))
        native = any(_by_openvino(bundle, part, precision, backends) for part in parts)
        cure = f"; use --device openvino, which computes {precision} by itself" if native else ""
        raise BundleError(f"{bundle.name}: no {precision} variant; this bundle has {', '.join(files)}{cure}")
    return found


def _lacking(bundle: Bundle, parts: Sequence[Part], device: str, precision: str, backends: Backends) -> str:
    """Why nothing that was asked for runs the bundle's files of a precision, and what would."""
    here = [name for name in AUTO_ORDER if backends.works(name)]
    reasons = [
        backends.open(name).lacks.get(precision, f"{name} does not run {precision}")
        for name in (here if device == "auto" else [device])
    ]
    able = [
        name for name in here if any(computes(bundle, part, precision, backends.open(name)) for part in parts)
    ]
    cure = (
        f"use --device {able[0]}" if able else "use --precision auto, or a GPU with tensorrt or tensorrt-rtx"
    )
    return f"device {device}: {' and '.join(dict.fromkeys(reasons))}; {cure}"


def _by_openvino(bundle: Bundle, part: Part, precision: str, backends: Backends) -> bool:
    return backends.works("openvino") and computes(bundle, part, precision, backends.open("openvino"))


def _auto(bundle: Bundle, part: Part, device: str, backends: Backends, tuned: Tuned | None) -> PartPlan:
    for measured in tuned.fastest(part.name) if tuned is not None else ():
        if device in ("auto", measured.device) and backends.works(measured.device):
            backend = backends.open(measured.device, measured.threads)
            if computes(bundle, part, measured.precision, backend):
                return PartPlan(backend, measured.precision, measured.batch, tuned=True, why=AS_TUNED)
    ways = _ways(bundle, part, device, backends)
    if ways:
        return max(ways, key=lambda way: rule.speed(way.backend.device, way.precision))
    backend = backends.open(device)
    # A part exported only in another precision than the default still runs, and describe() says so.
    for precision in bundle.precisions(part):
        if computes(bundle, part, precision, backend):
            return PartPlan(backend, precision, why=f"auto: only {precision} is there")
    raise DeviceError(_lacking(bundle, [part], device, bundle.precisions(part)[0], backends))


def _ways(bundle: Bundle, part: Part, device: str, backends: Backends) -> list[PartPlan]:
    """fp32 and what the bundle recommends, on the devices that nobody need be asked for; the first wins a tie."""
    names = [device]
    if device == "auto":
        names = [backends.open("auto").device]
        if (
            names[0] in _HOST
        ):  # another one is opened only where the bundle recommends more than float32 there
            others = (name for name in _HOST if bundle.recommended_for(name) != "fp32")
            names = [*dict.fromkeys((*names, *others))]
    found = []
    for name in filter(backends.works, names):
        backend, recommended = backends.open(name), bundle.recommended_for(name)
        if recommended == "fp32" or not computes(bundle, part, recommended, backend):
            why = "auto: nothing faster is recommended"
        elif name in _HOST and not rule.has_units(recommended):
            why = f"auto: no {recommended} units here"
        else:
            found.append(PartPlan(backend, recommended, why=f"auto: {recommended} is recommended here"))
            continue
        if computes(bundle, part, "fp32", backend):
            found.append(PartPlan(backend, "fp32", why=why))
    return found


def _exactly(
    bundle: Bundle, part: Part, device: str, precision: str, backends: Backends, tuned: Tuned | None
) -> PartPlan | None:
    """A plan in the precision that was asked for, whether it passed its gates or not; None where none can."""
    for measured in tuned.fastest(part.name, precision) if tuned is not None else ():
        if device in ("auto", measured.device) and backends.works(measured.device):
            backend = backends.open(measured.device, measured.threads)
            if computes(bundle, part, precision, backend):
                return PartPlan(backend, precision, measured.batch, tuned=True, why=AS_TUNED)
    if device != "auto":
        backend = backends.open(device)
        return PartPlan(backend, precision) if computes(bundle, part, precision, backend) else None
    first = backends.open("auto")  # an error where there is no runtime at all
    for name in (first.device, *AUTO_ORDER):
        if backends.works(name) and computes(bundle, part, precision, backends.open(name)):
            return PartPlan(backends.open(name), precision)
    return None


def _prefer_fp16(bundle: Bundle, parts: Sequence[Part], plans: Mapping[str, PartPlan]) -> dict[str, PartPlan]:
    chosen = {}
    for part in parts:
        plan = plans[part.name]
        if part.float32_alone:
            continue
        takes_it = plan.backend.fast_fp16 and computes(bundle, part, "fp16", plan.backend)
        chosen[part.name] = PartPlan(plan.backend, "fp16", plan.batch) if takes_it else plan
    missing = {part: plan for part, plan in chosen.items() if plan.precision != "fp16"}
    if missing:
        slow = ", ".join(sorted({p.backend.device for p in missing.values() if not p.backend.fast_fp16}))
        reason = f"device {slow} has no fast fp16 path" if slow else "not all of the bundle has it"
        used = ", ".join(f"{part} in {plan.precision}" for part, plan in chosen.items())
        log.warning("fp16 was asked for, but %s: running %s", reason, used)
    return {**plans, **chosen}
