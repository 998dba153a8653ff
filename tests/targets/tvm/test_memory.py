"""The arena: tensors alive together never overlap, joins and slices cost nothing, results stay what they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from hypothesis import given
from hypothesis import strategies as st
from tvm import relax

from edgec.targets.tvm.cpu import llvm_target, resolve
from edgec.targets.tvm.executable import executable, memory_planned
from edgec.targets.tvm.memory_plan import Lifetime, peak_of, place
from edgec.targets.tvm.pipeline import lower_with_report
from tests.support.lowered import HOST, MODEL, build_module

ALIGNMENT = 64
LIFETIMES = st.lists(
    st.builds(
        lambda size, first, length: Lifetime(size, first, first + length), st.integers(1, 999), *[st.integers(0, 9)] * 2
    ),
    max_size=30,
)
CHANNELS = 2 * MODEL.lanes


@given(LIFETIMES)
def test_tensors_alive_together_do_not_overlap(lifetimes: list[Lifetime]) -> None:
    offsets, total = place(lifetimes, ALIGNMENT)
    assert total >= peak_of(lifetimes)
    for at, (mine, offset) in enumerate(zip(lifetimes, offsets, strict=True)):
        assert offset % ALIGNMENT == 0 and offset + mine.size <= total
        for other, other_offset in list(zip(lifetimes, offsets, strict=True))[:at]:
            together = other.first <= mine.last and mine.first <= other.last
            assert not together or offset + mine.size <= other_offset or other_offset + other.size <= offset


def test_a_tensor_takes_the_place_of_a_dead_one() -> None:
    assert place([Lifetime(128, 0, 1), Lifetime(128, 1, 2), Lifetime(128, 2, 3)], ALIGNMENT)[1] == 256


def conv(x: Any, rng: Any, out: int, channels: int, kernel: int = 1) -> Any:
    weights = relax.const((rng.standard_normal((out, channels, kernel, kernel)) * 0.2).astype("float32"))
    return rng.emit(relax.op.nn.conv2d(x, weights, padding=kernel // 2))


def planned(build: Callable[..., Any], shape: tuple[int, ...]) -> tuple[list[str], float]:
    """Return the kernels `build` calls after planning, and the error of its results, relative to the largest."""
    target = llvm_target(resolve(HOST))
    value = tvm.runtime.tensor(np.random.default_rng(1).standard_normal(shape).astype("float32"))
    expected = relax.VirtualMachine(relax.build(build_module(build, [shape]), target=target), tvm.cpu())["main"](value)
    lowered = lower_with_report(build_module(build, [shape]), MODEL, target).module
    with target:
        names = [function.name_hint for function in called(memory_planned(target)(lowered))]
    machine = relax.VirtualMachine(executable(lowered, target), tvm.cpu())
    expected = expected.numpy()
    worst = max(float(np.abs(machine["main"](value).numpy() - expected).max()) for _ in range(2))
    return names, worst / float(np.abs(expected).max())


def called(module: Any) -> list[Any]:
    bindings = [binding for block in module["main"].body.blocks for binding in block.bindings]
    calls = [binding.value for binding in bindings if isinstance(binding.value, relax.Call)]
    return [call.op for call in calls if isinstance(call.op, tvm.ir.GlobalVar)]


def test_convolutions_write_their_part_of_a_join() -> None:
    def network(x: Any, rng: Any) -> Any:
        stem = conv(x, rng, CHANNELS, 3)
        one, two = conv(stem, rng, CHANNELS, CHANNELS), conv(stem, rng, 2 * CHANNELS, CHANNELS, 3)
        return conv(rng.emit(relax.op.concat([one, two], axis=1)), rng, CHANNELS, 3 * CHANNELS, 3)

    names, error = planned(network, (1, 3, 9, 7))
    assert not [name for name in names if name.startswith("concat")]
    assert error < 1e-5


def test_joins_of_joins_share_one_place_as_in_densenet() -> None:
    def network(x: Any, rng: Any) -> Any:
        value, channels = conv(x, rng, CHANNELS, 3), CHANNELS
        for _ in range(3):
            value = rng.emit(relax.op.concat([value, conv(value, rng, CHANNELS, channels, 3)], axis=1))
            channels += CHANNELS
        return conv(value, rng, CHANNELS, channels)

    names, error = planned(network, (1, 3, 8, 8))
    assert not [name for name in names if name.startswith("concat")]
    assert error < 1e-5


def test_halves_of_a_split_are_read_where_they_are() -> None:
    def network(x: Any, rng: Any) -> Any:
        halves = rng.emit(relax.op.split(conv(x, rng, 2 * CHANNELS, 3, 3), 2, axis=1))
        first, second = (rng.emit(relax.TupleGetItem(halves, at)) for at in range(2))
        joined = relax.op.concat([conv(first, rng, CHANNELS, CHANNELS, 3), conv(second, rng, CHANNELS, CHANNELS)], 1)
        return conv(rng.emit(joined), rng, CHANNELS, 2 * CHANNELS)

    names, error = planned(network, (1, 3, 9, 7))
    assert not [name for name in names if name.startswith(("channels", "concat", "split"))]
    assert error < 1e-5


def test_a_join_is_copied_where_its_parts_are_not_next_to_each_other() -> None:
    def network(x: Any, rng: Any) -> Any:
        stem = conv(x, rng, CHANNELS, 3)
        part = conv(stem, rng, CHANNELS, CHANNELS)
        twice = rng.emit(relax.op.concat([part, part], axis=1))
        return conv(twice, rng, CHANNELS, 2 * CHANNELS)

    names, error = planned(network, (1, 3, 8, 8))
    assert [name for name in names if name.startswith("concat")]
    assert error < 1e-5
