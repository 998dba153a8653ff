"""Functions in LLVM's language that kernels call, written instruction by instruction; LLVM inlines them."""

from __future__ import annotations

import struct

from tvm import ir, s_tir, tirx


class Value:
    """A value in LLVM's language; its operators write instructions. A number is a constant, the same in every lane."""

    def __init__(self, body: Body, name: str, kind: str) -> None:
        self.body, self.name, self.kind = body, name, kind

    def _join(self, floats: str, integers: str, other: Value | float, *, first: bool = True) -> Value:
        instruction = floats if self.kind == "float" else integers
        kind = "i1" if instruction.startswith("fcmp") else self.kind
        pair = (self.name, self.body.operand(other, self.kind))
        left, right = pair if first else pair[::-1]
        return self.body.write(f"{instruction} {self.body.type_of(self.kind)} {left}, {right}", kind)

    def __add__(self, other: Value | float) -> Value:
        return self._join("fadd", "add", other)

    def __sub__(self, other: Value | float) -> Value:
        return self._join("fsub", "sub", other)

    def __rsub__(self, other: float) -> Value:
        return self._join("fsub", "sub", other, first=False)

    def __mul__(self, other: Value | float) -> Value:
        return self._join("fmul", "mul", other)

    def __truediv__(self, other: Value | float) -> Value:
        return self._join("fdiv", "sdiv", other)

    def __rtruediv__(self, other: float) -> Value:
        return self._join("fdiv", "sdiv", other, first=False)

    def __lt__(self, other: Value | float) -> Value:
        return self._join("fcmp olt", "icmp slt", other)

    def __gt__(self, other: Value | float) -> Value:
        return self._join("fcmp ogt", "icmp sgt", other)

    def __ge__(self, other: Value | float) -> Value:
        return self._join("fcmp oge", "icmp sge", other)

    def __lshift__(self, by: int) -> Value:
        return self._join("", "shl", by)

    def __rshift__(self, by: int) -> Value:
        return self._join("", "ashr", by)

    def __and__(self, mask: int) -> Value:
        return self._join("", "and", mask)

    def __or__(self, mask: int) -> Value:
        return self._join("", "or", mask)


class Body:
    """The instructions of one function of `lanes` floats."""

    def __init__(self, lanes: int) -> None:
        self.lanes, self.lines = lanes, list[str]()

    def type_of(self, kind: str) -> str:
        """Return the type of `lanes` elements of `kind`."""
        return f"<{self.lanes} x {kind}>" if self.lanes > 1 else kind

    def operand(self, value: Value | float, kind: str) -> str:
        """Return how `value` is written as an operand."""
        if isinstance(value, Value):
            return value.name
        # Floats are written as the bits of the double of the same value.
        single = struct.unpack("f", struct.pack("f", value))[0] if kind == "float" else 0.0
        text = f"0x{struct.unpack('Q', struct.pack('d', single))[0]:016X}" if kind == "float" else str(int(value))
        return f"splat ({kind} {text})" if self.lanes > 1 else text

    def write(self, instruction: str, kind: str = "float") -> Value:
        """Append an instruction; return its result."""
        name = f"%v{len(self.lines)}"
        self.lines.append(f"  {name} = {instruction}")
        return Value(self, name, kind)

    def select(self, condition: Value, value: Value | float, otherwise: Value | float) -> Value:
        """Return `value` in the lanes where `condition` holds, else `otherwise`."""
        floats = self.type_of("float")
        both = f"{floats} {self.operand(value, 'float')}, {floats} {self.operand(otherwise, 'float')}"
        return self.write(f"select {self.type_of('i1')} {condition.name}, {both}")

    def convert(self, instruction: str, value: Value, kind: str) -> Value:
        """Return `value` in another type: by `bitcast`, `fptosi` or `sitofp`."""
        return self.write(f"{instruction} {self.type_of(value.kind)} {value.name} to {self.type_of(kind)}", kind)

    def floor(self, value: Value) -> Value:
        """Return the largest whole number that is not above `value`."""
        return self.write(f"call {self.type_of('float')} @{self.floor_name}({self.type_of('float')} {value.name})")

    @property
    def floor_name(self) -> str:
        """LLVM's name of the function."""
        return f"llvm.floor.{f'v{self.lanes}' if self.lanes > 1 else ''}f32"

    def polynomial(self, x: Value, coefficients: tuple[float, ...]) -> Value:
        """Return the polynomial with `coefficients`, the highest power's first."""
        total = x * coefficients[0] + coefficients[1]
        for coefficient in coefficients[2:]:
            total = total * x + coefficient
        return total


def with_source(function: tirx.PrimFunc, text: str) -> tirx.PrimFunc:
    """Return `function`, whose body is a block as schedules leave it, with what `text` defines."""
    realize, root = function.body, function.body.block
    body = tirx.AttrStmt(ir.StringImm("edgec"), "pragma_import_llvm", ir.StringImm(text), root.body)
    # The text is attached inside the block: some of TVM's passes expect a function to consist of one block.
    block = s_tir.SBlock(
        *(root.iter_vars, root.reads, root.writes, root.name_hint, body, root.init),
        *(root.alloc_buffers, root.match_buffers, root.annotations),
    )
    return function.with_body(s_tir.SBlockRealize(realize.iter_values, realize.predicate, block))
