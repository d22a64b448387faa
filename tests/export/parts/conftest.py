"""A network of torch as its owner exports it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch


class Network(torch.nn.Module):
    """Convolutions, batch norm and a head, [N, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, stride=2),
            torch.nn.BatchNorm2d(8),
            torch.nn.SiLU(),
            torch.nn.Conv2d(8, 16, 3, stride=2),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(16, 1),
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layers(pixels)


@pytest.fixture(scope="session")
def network(tmp_path_factory) -> tuple[torch.nn.Module, Path]:
    torch.manual_seed(0)
    module = Network()
    module(torch.rand(8, 3, 64, 64))  # statistics of its batch norm
    path = tmp_path_factory.mktemp("network") / "network.onnx"
    dims = {0: torch.export.Dim("n"), 2: torch.export.Dim("h", min=16), 3: torch.export.Dim("w", min=16)}
    program = torch.onnx.export(
        module.eval(),
        (torch.rand(2, 3, 64, 64),),
        dynamo=True,
        dynamic_shapes=(dims,),
        opset_version=18,
        verbose=False,
    )
    program.save(str(path))
    return module, path
