"""Automatic precision: by what the processor can do, recorded in the log and in the checkpoint."""

from __future__ import annotations

import pytest
import torch

from calibrant.tuning.precision import fastest_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("features", "chosen"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx2": True}, "fp32"), ({}, "fp32")],
)
def test_a_cpu_gets_bf16_where_it_multiplies_it(monkeypatch, features, chosen):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features, raising=False)
    assert fastest_precision(CPU) == chosen


def test_an_unknown_cpu_gets_fp32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert fastest_precision(CPU) == "fp32"


@pytest.mark.parametrize(("supported", "chosen"), [(True, "bf16"), (False, "fp32")])
def test_a_gpu_gets_bf16_where_it_has_it(monkeypatch, supported, chosen):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: supported)
    assert fastest_precision(torch.device("cuda")) == chosen
