"""Finds regular expressions that some input can make slow: ``python -m ops.patterns``; tests/structure runs it too.

Each pattern becomes a nondeterministic automaton.  It is quadratic or worse when there are two states p and q and a
word w that leads from p to p, from p to q and from q to q (infinite degree of ambiguity: Weber and Seidl 1991), and
something after q may still fail; exponential when w leads from p to p on two ways.  Both need such a pair, so one
question is enough.  A pattern that is searched for, and not matched at a place, begins at every place: p is then the
scan itself.  A finite repetition counts as two, since its bound is a length.  What stays is listed in ``BOUNDED``
with the length that bounds it.

``--pump`` tries what the theory says: each loop of each pattern on a long text that fails at its end, against the
clock; the caller must be ready to end the process.
"""

import ast
import importlib
import re
import re._constants as code
import re._parser as parser
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("sos", "routing", "recording")

SEARCHING = frozenset({"search", "sub", "subn", "findall", "finditer", "split"})
MATCHING = frozenset({"match", "fullmatch"})

_SETTING = "hides the password of one setting of the house's own, when settings are shown"

_LINE = "a field of a log line, cut to 2,000 characters before it is looked through"

BOUNDED: dict[str, str] = {
    r"sos.logs:(?i)(?<![a-z_-])([a-z_-]*(?:token|secret|password|passwd|key|code|sig))=[^\s\"'&,;]+": _LINE,
    r"sos.logs:()(?<![\w-])(?![0-9a-f]+(?![\w-]))[\w-]{40,}(?![\w-])": _LINE,
    "sos.settings:(://[^:/?@]*:).*@": _SETTING,
    "sos.settings:([?&][^=&]*password[^=&]*=)[^&]*": _SETTING,
}
"""``module:pattern`` -> which length bounds it, and what that length costs."""

SLOW_S = 0.25
"""For 20,000 characters, where a linear pattern takes a millisecond or two and a quadratic one seconds."""

_SAMPLES = "0aZ_ -\n.é漢ー\x00\uffff"
_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    code.CATEGORY_DIGIT: str.isdigit,
    code.CATEGORY_NOT_DIGIT: lambda each: not each.isdigit(),
    code.CATEGORY_SPACE: str.isspace,
    code.CATEGORY_NOT_SPACE: lambda each: not each.isspace(),
    code.CATEGORY_WORD: lambda each: each.isalnum() or each == "_",
    code.CATEGORY_NOT_WORD: lambda each: not (each.isalnum() or each == "_"),
}


@dataclass(frozen=True)
class Pattern:
    """One regular expression of ours."""

    module: str
    line: int
    text: str
    flags: int
    searched: bool

    @property
    def name(self) -> str:
        return f"{self.module}:{self.text}"


@dataclass(frozen=True)
class Finding:
    """Where a pattern turns slow: ``prefix``, then ``pump`` as often as one likes, then what fails."""

    prefix: str
    pump: str

    def attack(self, length: int) -> str:
        return self.prefix + self.pump * max(1, length // len(self.pump)) + "\x00"


@dataclass
class Automaton:
    """States by number; 0 is the start."""

    alphabet: str
    silent: list[list[int]] = field(default_factory=lambda: [[]])
    moves: list[list[tuple[frozenset[str], int]]] = field(default_factory=lambda: [[]])
    accepting: int = -1
    guarded: set[int] = field(default_factory=set)
    """States after which an assertion, such as an end, may fail without a character."""

    def state(self) -> int:
        self.silent.append([])
        self.moves.append([])
        return len(self.silent) - 1

    def reached(self, start: int) -> list[int]:
        """States without a character from ``start``, itself among them."""
        seen, todo = [start], [start]
        while todo:
            for after in self.silent[todo.pop()]:
                if after not in seen:
                    seen.append(after)
                    todo.append(after)
        return seen

    def steps(self, start: int) -> dict[int, set[str]]:
        """States after one character, by what it may be."""
        found: dict[int, set[str]] = {}
        for state in self.reached(start):
            for letters, after in self.moves[state]:
                if letters:
                    found.setdefault(after, set()).update(letters)
        return found

    def done(self, start: int) -> bool:
        """Whether a match may end here at once, so that nothing after can fail."""
        seen, todo = {start}, [start]
        while todo:
            state = todo.pop()
            if state == self.accepting:
                return True
            if state not in self.guarded:
                new = [after for after in self.silent[state] if after not in seen]
                seen.update(new)
                todo.extend(new)
        return False


def automaton(pattern: Pattern) -> tuple[Automaton, list[Any]]:
    """The automaton of ``pattern``, and the bodies of its assertions, which are patterns of their own."""
    tree = parser.parse(pattern.text, pattern.flags)
    flags = tree.state.flags
    made = Automaton(_alphabet(tree, flags))
    asserted: list[Any] = []
    made.accepting = _build(made, list(tree), 0, flags, asserted)
    return made, asserted


def _alphabet(tree: Any, flags: int) -> str:
    """Enough characters that any two sets of the pattern that meet, meet in one of them."""
    letters = set(_SAMPLES)
    for kind, value in _nodes(tree):
        if kind in (code.LITERAL, code.NOT_LITERAL):
            letters.update(chr(value))
        elif kind is code.RANGE:
            letters.update(chr(each) for each in (value[0], value[1], (value[0] + value[1]) // 2))
    if flags & re.IGNORECASE:
        letters |= {each for letter in letters for each in (letter.lower(), letter.upper()) if len(each) == 1}
    return "".join(sorted(letters))


def _nodes(tree: Any) -> Iterator[tuple[Any, Any]]:
    for kind, value in tree:
        yield kind, value
        for part in value if isinstance(value, list | tuple) else ():
            if isinstance(part, parser.SubPattern):
                yield from _nodes(part)
            elif isinstance(part, tuple):
                yield from _nodes([part])
            elif isinstance(part, list):
                for branch in part:
                    yield from _nodes(branch if isinstance(branch, parser.SubPattern) else [branch])


def _build(made: Automaton, items: list[Any], at: int, flags: int, asserted: list[Any]) -> int:
    for kind, value in items:
        at = _item(made, kind, value, at, flags, asserted)
    return at


def _item(made: Automaton, kind: Any, value: Any, at: int, flags: int, asserted: list[Any]) -> int:
    if kind in (code.LITERAL, code.NOT_LITERAL, code.IN, code.ANY):
        after = made.state()
        letters = frozenset(each for each in made.alphabet if _takes(kind, value, each, flags))
        made.moves[at].append((letters, after))
        return after
    if kind is code.SUBPATTERN:
        return _build(made, list(value[3]), at, flags | value[1], asserted)
    if kind is code.ATOMIC_GROUP:
        return _build(made, list(value), at, flags, asserted)
    if kind is code.BRANCH:
        after = made.state()
        for branch in value[1]:
            made.silent[_build(made, list(branch), at, flags, asserted)].append(after)
        return after
    if kind in (code.MAX_REPEAT, code.MIN_REPEAT, code.POSSESSIVE_REPEAT):
        return _repeat(made, value, at, flags, asserted)
    if kind is code.AT or kind in (code.ASSERT, code.ASSERT_NOT):
        if kind is not code.AT:
            asserted.append(value[1])
        after = made.state()
        made.guarded.add(at)
        made.silent[at].append(after)
        return after
    raise NotImplementedError(f"{kind} is not understood here: back references can be slow by themselves")


def _repeat(made: Automaton, value: Any, at: int, flags: int, asserted: list[Any]) -> int:
    least, most, body = value
    for _ in range(min(least, 2)):
        at = _build(made, list(body), at, flags, asserted)
    if most is code.MAXREPEAT:
        loop = made.state()
        made.silent[at].append(loop)
        made.silent[_build(made, list(body), loop, flags, asserted)].append(loop)
        after = made.state()
        made.silent[loop].append(after)
        return after
    after = made.state()
    for _ in range(min(most - least, 2)):
        made.silent[at].append(after)
        at = _build(made, list(body), at, flags, asserted)
    made.silent[at].append(after)
    return after


def _takes(kind: Any, value: Any, letter: str, flags: int) -> bool:
    if kind is code.ANY:
        return letter != "\n" or bool(flags & re.DOTALL)
    faces = {letter, letter.lower(), letter.upper()} if flags & re.IGNORECASE else {letter}
    if kind is code.LITERAL:
        return any(each == chr(value) for each in faces)
    if kind is code.NOT_LITERAL:
        return all(each != chr(value) for each in faces)
    negated = bool(value) and value[0][0] is code.NEGATE
    return negated != any(_member(part, each) for part in value for each in faces if len(each) == 1)


def _member(part: Any, letter: str) -> bool:
    kind, value = part
    if kind is code.LITERAL:
        return letter == chr(value)
    if kind is code.RANGE:
        return bool(value[0] <= ord(letter) <= value[1])
    return kind is code.CATEGORY and _CATEGORIES[value](letter)


def slow(pattern: Pattern) -> Finding | None:
    """How ``pattern`` can be made slow; None when it cannot."""
    made, asserted = automaton(pattern)
    if pattern.searched and not _anchored(pattern):
        made = _scanning(made)
    found = _ambiguous(made)
    for body in asserted:
        inner = Automaton(made.alphabet)
        inner.accepting = _build(inner, list(body), 0, pattern.flags, [])
        found = found or _ambiguous(inner)
    return found


def _anchored(pattern: Pattern) -> bool:
    first = next(iter(parser.parse(pattern.text, pattern.flags)), (None, None))
    return first[0] is code.AT and first[1] in (code.AT_BEGINNING, code.AT_BEGINNING_STRING)


def _scanning(made: Automaton) -> Automaton:
    """As ``made``, begun at every place of the text: its start takes any character and stays."""
    begins = made.state()
    made.silent[begins] = [*made.silent[0]]
    made.moves[begins] = [*made.moves[0]]
    if 0 in made.guarded:
        made.guarded.add(begins)
    made.silent[0], made.moves[0] = [begins], [(frozenset(made.alphabet), 0)]
    if made.accepting == 0:
        made.accepting = begins
    return made


def _ambiguous(made: Automaton) -> Finding | None:
    """States p and q with a word from p to p, p to q and q to q, where q may still fail."""
    steps = [made.steps(state) for state in range(len(made.silent))]
    prefixes = _prefixes(made, steps)
    looping = [state for state in prefixes if _loops(state, steps)]
    for p in looping:
        for q in looping:
            if p == q or made.done(q) or not _leads(p, q, steps):
                continue
            pump = _word(p, q, steps)
            if pump is not None:
                return Finding(prefixes[p], pump)
        if (twice := _two_ways(p, steps, made) or _twice_without_text(p, steps, made)) is not None:
            return Finding(prefixes[p], twice)
    return None


def _prefixes(made: Automaton, steps: list[dict[int, set[str]]]) -> dict[int, str]:
    """Each state that text leads to, with a shortest such text."""
    found, todo = {0: ""}, deque([0])
    while todo:
        state = todo.popleft()
        for after, letters in steps[state].items():
            if after not in found:
                found[after] = found[state] + min(letters)
                todo.append(after)
    return found


def _loops(state: int, steps: list[dict[int, set[str]]]) -> bool:
    return _leads(state, state, steps)


def _leads(start: int, end: int, steps: list[dict[int, set[str]]]) -> bool:
    seen, todo = set(), [start]
    while todo:
        for after in steps[todo.pop()]:
            if after == end:
                return True
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return False


def _word(p: int, q: int, steps: list[dict[int, set[str]]]) -> str | None:
    """A word from (p, p, q) to (p, q, q)."""
    start, end = (p, p, q), (p, q, q)
    seen, todo = {start: ""}, deque([start])
    while todo and len(seen) < 200_000:
        here = todo.popleft()
        for one, first in steps[here[0]].items():
            for two, second in steps[here[1]].items():
                if not (both := first & second):
                    continue
                for three, third in steps[here[2]].items():
                    after = (one, two, three)
                    if (letters := both & third) and after not in seen:
                        seen[after] = seen[here] + min(letters)
                        if after == end:
                            return seen[after]
                        todo.append(after)
    return None


def _two_ways(p: int, steps: list[dict[int, set[str]]], made: Automaton) -> str | None:
    """A word that leads from p to p on two different ways (exponential)."""
    start = (p, p, False)
    seen, todo = {start: ""}, deque([start])
    while todo:
        here = todo.popleft()
        for one, first in steps[here[0]].items():
            for two, second in steps[here[1]].items():
                after = (one, two, here[2] or one != two)
                if (letters := first & second) and after not in seen:
                    seen[after] = seen[here] + min(letters)
                    if after == (p, p, True) and not made.done(p):
                        return seen[after]
                    todo.append(after)
    return None


def _twice_without_text(p: int, steps: list[dict[int, set[str]]], made: Automaton) -> str | None:
    """A word from p to p where one place of it is reached by two alternatives that are the same."""
    if made.done(p):
        return None
    ways, todo = {p: 1}, [p]
    while todo:
        here = todo.pop()
        for after in made.silent[here]:
            ways[after] = ways.get(after, 0) + 1
            if ways[after] == 1:
                todo.append(after)
    doubled = [state for state, number in ways.items() if number > 1 and state != p and _leads(state, p, steps)]
    return next(_rounds(p, steps), None) if doubled else None


def attacks(pattern: Pattern, length: int) -> Iterator[str]:
    """Texts that go round each loop of ``pattern`` and fail at the end."""
    made, _ = automaton(pattern)
    steps = [made.steps(state) for state in range(len(made.silent))]
    for state, prefix in _prefixes(made, steps).items():
        for pump in _rounds(state, steps):
            yield Finding(prefix, pump).attack(length)


def _rounds(state: int, steps: list[dict[int, set[str]]]) -> Iterator[str]:
    """A shortest word from ``state`` to itself for each first step that leads back."""
    for first, letters in steps[state].items():
        found, todo = {first: min(letters)}, deque([first])
        while todo and state not in found:
            here = todo.popleft()
            for after, more in steps[here].items():
                if after not in found:
                    found[after] = found[here] + min(more)
                    todo.append(after)
        if state in found:
            yield found[state]


def pump(length: int = 20_000) -> Iterator[tuple[float, Pattern, str]]:
    """Seconds of each pattern that is not listed, on each of its attacks."""
    for pattern in patterns():
        if pattern.name in BOUNDED:
            continue
        tried = re.compile(pattern.text, pattern.flags)
        for text in attacks(pattern, length):
            began = time.perf_counter()
            found = list(tried.finditer(text)) if pattern.searched else [tried.match(text), tried.fullmatch(text)]
            yield time.perf_counter() - began, pattern, f"{text[:24]!r}... {len(text)} characters, {len(found)} found"


def patterns(root: Path = ROOT) -> list[Pattern]:
    """Every regular expression of the packages.  ``ValueError`` names one that cannot be read from outside."""
    found = []
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            if not {"web", "static"} & set(file.relative_to(root).parts):
                found += _of(file, ".".join(file.relative_to(root).with_suffix("").parts))
    return found


def _of(file: Path, module: str) -> Iterator[Pattern]:
    source = file.read_text()
    if "re." not in source and "pattern=" not in source:
        return
    tree = ast.parse(source)
    names = vars(importlib.import_module(module.removesuffix(".__init__")))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        text: ast.expr | None = None
        if called in {f"re.{each}" for each in SEARCHING | MATCHING | {"compile"}}:
            text, searched = node.args[0], _searched(called.removeprefix("re."), node, tree)
        elif called.endswith("Meta"):
            text, searched = next((each.value for each in node.keywords if each.arg == "pattern"), None), True
        if text is not None:
            value = _value(text, names, f"{module}:{node.lineno}")
            yield Pattern(module, node.lineno, value, _flags(node, called, names), searched)


def _searched(called: str, node: ast.Call, tree: ast.Module) -> bool:
    if called != "compile":
        return called in SEARCHING
    assigned = next((each for each in ast.walk(tree) if isinstance(each, ast.Assign) and each.value is node), None)
    if assigned is None or not isinstance(assigned.targets[0], ast.Name):
        return True
    name = assigned.targets[0].id
    used = {
        each.attr
        for each in ast.walk(tree)
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == name
    }
    return not used or bool(used & SEARCHING)


def _value(text: ast.expr, names: dict[str, Any], where: str) -> str:
    try:
        value = eval(compile(ast.Expression(text), where, "eval"), names)
    except NameError as unknown:
        raise ValueError(f"{where}: a pattern made while running cannot be checked; write it in full") from unknown
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _flags(node: ast.Call, called: str, names: dict[str, Any]) -> int:
    place = {"compile": 1, "match": 2, "fullmatch": 2, "search": 2, "findall": 2, "finditer": 2}
    given = [each.value for each in node.keywords if each.arg == "flags"]
    given += node.args[place.get(called.removeprefix("re."), 99) :][:1]
    return int(eval(compile(ast.Expression(given[0]), called, "eval"), names)) if given else 0


def main() -> int:
    """Prints each slow pattern with the text that makes it so; 1 when one is not listed."""
    if "--pump" in sys.argv:
        slowest = sorted(pump(), key=lambda each: each[0])[-5:]
        for seconds, pattern, what in slowest:
            print(f"{seconds * 1000:.1f} ms  {pattern.module}:{pattern.line} {pattern.text!r} on {what}")
        return int(slowest[-1][0] > SLOW_S)
    wrong, known = 0, patterns()
    for pattern in known:
        found = slow(pattern)
        if found is not None and pattern.name not in BOUNDED:
            wrong += 1
            print(f"{pattern.module}:{pattern.line}: {pattern.text!r} is slow on {found.prefix!r} + {found.pump!r} * n")
    unused = BOUNDED.keys() - {pattern.name for pattern in known}
    for name in sorted(unused):
        print(f"ops/patterns.py: BOUNDED lists {name!r}, which is no pattern any more")
    print(f"{len(known)} patterns, {wrong} slow and not bounded")
    return 1 if wrong or unused else 0


if __name__ == "__main__":
    sys.exit(main())
