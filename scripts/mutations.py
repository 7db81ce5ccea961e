"""List small changes of a Python source, each of one expression or statement, for `mutants.py`.

A change is a mistake that a person could make: `<` instead of `<=`, `+` instead of `-`, a bound that is off
by one, a missing call. Annotations, decorators, docstrings, strings and `strict=True` are not changed.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
NAMES = {
    "min": "max",
    "minimum": "maximum",
    "any": "all",
    "argmin": "argmax",
    "floor": "ceil",
    "zeros": "ones",
}
NAMES |= {second: first for first, second in NAMES.items()}
# Calls whose first two arguments are not exchanged, because this would change nothing or always be an error.
NOT_EXCHANGED = {
    "min",
    "max",
    "minimum",
    "maximum",
    "logaddexp",
    "transpose",
    "isinstance",
    "write_all",
    "partial",
}
LARGE = 100  # integers from here on are doubled, because adding 1 would not be a realistic mistake
SHORT = 25  # characters; a shorter expression is shown with the expression around it
SKIPPED = {"annotation", "returns", "decorator_list", "type_params", "ctx"}


@dataclass(frozen=True)
class Mutation:
    """A change of a source.

    number: index in the list of all changes.
    line: line number in the source.
    text: `function: before -> after`; the second change with the same text ends with ` #2`.
    """

    number: int
    line: int
    text: str


@dataclass(frozen=True)
class Slot:
    """A place of a node in a syntax tree: a field of its parent, or an item of a field that is a list.

    above: the nodes around it, from the module to the parent.
    """

    above: tuple[ast.AST, ...]
    field: str
    index: int | None

    def get(self) -> ast.AST:
        """Return the node in this place."""
        held = getattr(self.above[-1], self.field)
        return held if self.index is None else held[self.index]

    def put(self, node: ast.AST) -> None:
        """Replace the node in this place."""
        if self.index is None:
            setattr(self.above[-1], self.field, node)
        else:
            getattr(self.above[-1], self.field)[self.index] = node


def listed(source: str) -> list[Mutation]:
    """Return all changes of a source, in the order of the source."""
    tree = ast.parse(source)
    seen: Counter[str] = Counter()
    found: list[Mutation] = []
    for number, (slot, new) in enumerate(_changes(tree)):
        old = slot.get()
        shown = _shown(slot)
        before = _line(shown.get() if shown else old)
        slot.put(new)
        after = _line(shown.get() if shown else new)
        slot.put(old)
        text = f"{_function(slot)}: {before} -> {after}"
        seen[text] += 1
        text += f" #{seen[text]}" if seen[text] > 1 else ""
        found.append(Mutation(number, getattr(old, "lineno", 0), text))
    return found


def changed(source: str, number: int) -> str:
    """Return the source with one change. Comments are lost. Raises IndexError for an unknown number."""
    tree = ast.parse(source)
    for current, (slot, new) in enumerate(_changes(tree)):
        if current == number:
            slot.put(new)
            return ast.unparse(ast.fix_missing_locations(tree))
    raise IndexError(number)


def _changes(tree: ast.Module) -> Iterator[tuple[Slot, ast.AST]]:
    for slot in _slots(tree, ()):
        for new in _replacements(slot.get()):
            yield slot, new


def _slots(node: ast.AST, above: tuple[ast.AST, ...]) -> Iterator[Slot]:
    """Yield the places below a node, outer places first."""
    inside = (*above, node)
    for field, value in ast.iter_fields(node):
        if field in SKIPPED or isinstance(node, ast.JoinedStr) or _is_assertion(node):
            continue
        places = [(None, value)] if isinstance(value, ast.AST) else []
        places += list(enumerate(value)) if isinstance(value, list) else []
        for index, held in places:
            if isinstance(held, ast.AST):
                yield Slot(inside, field, index)
                yield from _slots(held, inside)


def _is_assertion(node: ast.AST) -> bool:
    """Whether this is the argument `strict` of `zip`. It only asserts what the code already ensures."""
    return isinstance(node, ast.keyword) and node.arg == "strict"


def _shown(slot: Slot) -> Slot | None:
    """Return the place of the larger expression to show instead of a short one; None if it is not short."""
    above, place = slot.above, slot
    while (
        isinstance(place.get(), ast.expr | ast.slice | ast.keyword) and len(ast.unparse(place.get())) < SHORT
    ):
        parent = above[-1]
        if not isinstance(
            parent, ast.expr | ast.keyword | ast.Slice | ast.Return | ast.AugAssign | ast.Assign
        ):
            break
        above = above[:-1]
        place = _place_of(parent, above)
    return None if place is slot else place


def _place_of(node: ast.AST, above: tuple[ast.AST, ...]) -> Slot:
    for field, value in ast.iter_fields(above[-1]):
        if value is node:
            return Slot(above, field, None)
        if isinstance(value, list) and any(item is node for item in value):
            return Slot(above, field, [item is node for item in value].index(True))
    raise LookupError("a node that is not below its parent")


def _function(slot: Slot) -> str:
    """Return the names of the classes and functions around a place, joined by dots; else `module`."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return ".".join(node.name for node in slot.above if isinstance(node, kinds)) or "module"


def _line(node: ast.AST) -> str:
    """Return a node as text on one line. For a compound statement, it is the first line."""
    return ast.unparse(node).partition("\n")[0]


def _replacements(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare() | ast.BinOp() | ast.BoolOp() | ast.UnaryOp() | ast.IfExp():
            yield from _operations(node)
        case ast.Constant():
            yield from _constants(node.value)
        case ast.Slice():
            yield from _bounds(node)
        case ast.Call(args=[first, second, *others]) if _may_be_exchanged(node, first, second):
            yield _with(node, args=[second, first, *others])
        case ast.Name(id=name) if name in NAMES:
            yield _with(node, id=NAMES[name])
        case ast.Attribute(attr=name) if name in NAMES:
            yield _with(node, attr=NAMES[name])
        case ast.stmt():
            yield from _statements(node)
        case _:
            pass


def _operations(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=operators):
            for index, operator in enumerate(operators):
                new = [*operators[:index], COMPARISONS[type(operator)](), *operators[index + 1 :]]
                yield _with(node, ops=new)
        case ast.BinOp(op=operator) if type(operator) in OPERATORS and not (_is_text(node) or _is_path(node)):
            yield _with(node, op=OPERATORS[type(operator)]())
        case ast.AugAssign(op=operator) if type(operator) in OPERATORS:
            yield _with(node, op=OPERATORS[type(operator)]())
        case ast.BoolOp(op=operator):
            yield _with(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.IfExp(body=body, orelse=orelse):
            yield _with(node, body=orelse, orelse=body)
        case _:
            pass


def _constants(value: object) -> Iterator[ast.AST]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int) and value >= LARGE:
        yield ast.Constant(value * 2)
    elif isinstance(value, int | float):
        yield ast.Constant(value + 1)
        yield ast.UnaryOp(ast.USub(), ast.Constant(1 - value)) if value < 1 else ast.Constant(value - 1)


def _bounds(node: ast.Slice) -> Iterator[ast.AST]:
    """Yield a slice that begins one item later, and one that ends one item earlier."""
    lower, upper = node.lower, node.upper
    yield _with(node, lower=ast.BinOp(lower, ast.Add(), ast.Constant(1)) if lower else ast.Constant(1))
    one_less = (
        ast.BinOp(upper, ast.Sub(), ast.Constant(1)) if upper else ast.UnaryOp(ast.USub(), ast.Constant(1))
    )
    yield _with(node, upper=one_less)


def _statements(node: ast.stmt) -> Iterator[ast.AST]:
    """Yield changes of a statement: removed, condition negated, `break` and `continue` exchanged."""
    leaving = ast.Return | ast.Raise | ast.Continue | ast.Break
    match node:
        case ast.If(test=test):
            # These have another change with the same effect.
            if not isinstance(test, ast.Compare | ast.UnaryOp):
                yield _with(node, test=ast.UnaryOp(ast.Not(), test))
            if isinstance(node.body[-1], leaving) and not node.orelse:
                yield ast.Pass()
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()) | ast.Delete():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.AugAssign():
            yield ast.Pass()
            yield from _operations(node)
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
        case _:
            pass


def _with(node: ast.AST, **fields: object) -> ast.AST:
    """Return a copy of a node with some fields replaced. The children are not copied."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _may_be_exchanged(call: ast.Call, first: ast.expr, second: ast.expr) -> bool:
    """Whether exchanging the first two arguments gives a different call that can also run."""
    if isinstance(first, ast.Starred) or isinstance(second, ast.Starred):
        return False
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    return name not in NOT_EXCHANGED and ast.dump(first) != ast.dump(second)


def _is_path(node: ast.BinOp) -> bool:
    """Whether this joins a path and a name, judged by the names of variables. No other operator would run."""
    names = (getattr(side, "id", getattr(side, "attr", "")) for side in (node.left, node.right))
    return isinstance(node.op, ast.Div) and any("folder" in name or "path" in name for name in names)


def _is_text(node: ast.BinOp) -> bool:
    """Whether this joins or formats a string."""
    return any(
        isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )
