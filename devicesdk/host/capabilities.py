"""What the runtime of this machine can do, looked up once a boot.

Decides which facts are told: the inference runtime's version and providers, the processor flags that
kernels of neural networks care about, the memory for models. Leaves out what follows (`Variant.runs_on`
of the manifest). A fact that cannot be found is left out, never guessed.

Rule: small: it travels in a report of a few hundred bytes, so flags are those of a list.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from devicesdk.wire.messages import Capabilities

CPU_INFO: Final = Path("/proc/cpuinfo")
CPU_INFO_BYTES_MAX: Final = 64 * 1024
FLAGS: Final = (
    "sse4_1", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni",
    "avx512_bf16", "amx_int8", "amx_bf16", "amx_tile", "asimd", "asimdhp", "asimddp", "i8mm", "bf16",
    "sve", "sve2", "neon", "v",
)  # fmt: skip
"""Of x86, Arm and RISC-V."""
_WORD_CHARS_MAX: Final = 32


def capabilities(memory_mib: int, cpu_info: Path = CPU_INFO) -> Capabilities:
    """Look them up.

    Args:
        memory_mib: memory for models.
        cpu_info: where the kernel tells of the processor.
    """
    return Capabilities(
        runtime=_runtime()[:_WORD_CHARS_MAX],
        providers=tuple(name[:_WORD_CHARS_MAX] for name in _providers()[:8]),
        cpu=cpu_flags(cpu_info),
        memory_mib=memory_mib,
    )


def cpu_flags(cpu_info: Path) -> tuple[str, ...]:
    """Those of `FLAGS` that the first processor has, in that order."""
    try:
        with cpu_info.open(encoding="ascii", errors="replace") as stream:
            text = stream.read(CPU_INFO_BYTES_MAX)
    except OSError:
        return ()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() in ("flags", "features"):
            found = frozenset(value.split())
            return tuple(flag for flag in FLAGS if flag in found)
    return ()


def _runtime() -> str:
    try:
        return version("onnxruntime")
    except PackageNotFoundError:
        return ""


def _providers() -> list[str]:
    import onnxruntime as ort

    return [name.removesuffix("ExecutionProvider") for name in ort.get_available_providers()]
