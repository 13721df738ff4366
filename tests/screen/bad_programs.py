"""Bad programs by name: how each is made, and the reasons for which it may be rejected.

Most are a good program with one thing changed; texts that are too big to be files are generated.
Where two reasons are given, which of two limits is reached first depends on the machine.
"""

from dataclasses import dataclass

from evoprompt.candidate import Reason

HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n\n\n"


@dataclass(frozen=True)
class Bad:
    """One bad program."""

    source: str
    reasons: tuple[Reason, ...]
    quotes: str = ""
    """Part of the detail; mostly of the line that is to be quoted."""


def net(init: str = "pass", forward: str = "return self.last(x.flatten(1))") -> str:
    """Return a program for inputs (1, 40): statements of the two methods, separated by "; "."""
    built = "".join(f"        {line}\n" for line in init.split("; "))
    done = "".join(f"        {line}\n" for line in forward.split("; "))
    return (
        f"{HEAD}class Net(nn.Module):\n    def __init__(self, in_shape, num_classes):\n"
        f"        super().__init__()\n{built}        self.last = nn.LazyLinear(num_classes)\n\n"
        f"    def forward(self, x):\n{done}"
    )


def with_class(text: str, forward: str) -> str:
    """Return a program that has a further class of its own."""
    return net("pass", forward).replace("class Net", f"{text}\n\n\nclass Net")


GOOD = net()
LOGITS = "self.last(x.flatten(1))"


def _texts() -> dict[str, Bad]:
    """Texts that fail before anything runs."""
    long, syntax = (Reason.TOO_LONG,), (Reason.SYNTAX,)
    return {
        "10 MB of source": Bad("x = 1\n" * 1_700_000, long, "characters"),
        "a null byte": Bad(GOOD + "# \0\n", syntax, "line 14: a null byte"),
        "not UTF-8": Bad(GOOD + "# \udce9\n", syntax, "line 14: text that is not valid UTF-8"),
        "100,000 parentheses": Bad(GOOD + "x = " + "(" * 100_000 + ")" * 100_000, long),
        "9,000 parentheses": Bad(GOOD + "x = " + "(" * 9_000 + ")" * 9_000, long, "line 14: `x ="),
        "9,000 brackets": Bad(GOOD + "x = " + "[" * 9_000 + "]" * 9_000, long),
        "190 braces": Bad(GOOD + "x = " + "{" * 190 + "}" * 190, long, "levels"),
        "15,000 minus signs": Bad(GOOD + "x = " + "-" * 15_000 + "1", long),
        "4,000 times not": Bad(GOOD + "x = " + "not " * 4_000 + "1", long),
        "9,000 attributes": Bad(GOOD + "x = a" + ".b" * 9_000, long),
        "9,000 calls": Bad(GOOD + "x = a" + "()" * 9_000, long),
        "9,000 subscripts": Bad(GOOD + "x = a" + "[0]" * 6_000, long),
        "9,000 additions": Bad(GOOD + "x = 1" + "+1" * 9_000, long),
        "6,000 powers": Bad(GOOD + "x = 1" + "**1" * 6_000, long),
        "1,500 elifs": Bad(GOOD + "if 1:\n  1\n" + "elif 1:\n  1\n" * 1_500, long),
        "100,000 elifs": Bad(GOOD + "if 1:\n  1\n" + "elif 1:\n  1\n" * 100_000, long),
        "2,500 lambdas": Bad(GOOD + "x = " + "lambda:" * 2_500 + "1", long),
        "a number of 9,000 digits": Bad(GOOD + "x = " + "9" * 9_000, syntax, "line 14: "),
        "nothing": Bad("", (Reason.NO_NET,)),
        "Net is a function": Bad("def Net(a, b): pass", (Reason.NO_NET,), "line 1: Net is a func"),
        "Net is a number": Bad("Net = 1", (Reason.NO_NET,)),
        "two classes Net": Bad(GOOD + GOOD, (Reason.NO_NET,), "in lines 6 and 19"),
        "a file": Bad(net("open('/etc/passwd')"), (Reason.FORBIDDEN_NAME,), "line 9: `open("),
        "sleep of another module": Bad(
            "import time\n" + GOOD, (Reason.FORBIDDEN_IMPORT,), "line 1"
        ),
        "__del__": Bad(
            with_class("class A:\n    def __del__(self):\n        1 / 0", "return x"),
            (Reason.FORBIDDEN_NAME,),
            "__del__",
        ),
        "a generator": Bad(net(forward="yield x"), (Reason.FORBIDDEN_NAME,), "line 13: `yield x`"),
    }


def _builds() -> dict[str, Bad]:
    """Constructors that fail."""
    error, many = (Reason.BUILD_ERROR,), "self.layers = nn.Sequential(*[{} for _ in range({})])"
    size = (Reason.TOO_LARGE, Reason.MEMORY_LIMIT)
    return {
        "__init__ raises": Bad(net("raise ValueError('no')"), error, "line 9: `raise ValueError"),
        "ten parameters of Net": Bad(
            GOOD.replace("in_shape, num_classes)", ", ".join("abcdefghij") + ")"), error
        ),
        "Net is no module": Bad(GOOD.replace("(nn.Module)", ""), error),
        "no super().__init__()": Bad(GOOD.replace("super().__init__()", "pass"), error, "line 10"),
        "a module inside itself": Bad(net("self.me = self"), error, "Recursion"),
        "a constructor that calls itself": Bad(
            net("self.a = Net(in_shape, num_classes)"), error, "Recursion"
        ),
        "a constructor without an end": Bad(
            net("while True: pass"), (Reason.TIME_LIMIT,), "seconds"
        ),
        "10^11 parameters in one layer": Bad(net("self.a = nn.Linear(10**6, 10**5)"), size),
        "10^11 parameters in many layers": Bad(
            net(many.format("nn.Linear(5000, 5000)", 4000)), (*size, Reason.TIME_LIMIT)
        ),
        "10^11 parameters without memory": Bad(
            net("self.a = nn.Linear(10**6, 10**5, device='meta')"),
            (Reason.TOO_LARGE,),
            "parameters",
        ),
        "10^11 parameters in a buffer": Bad(
            net("self.register_buffer('a', torch.zeros(10**6, 10**5))"), size
        ),
        "3,000 layers": Bad(
            net(
                many.format("nn.Linear(40, 40)", 3000),
                "return self.last(self.layers(x.flatten(1)))",
            ),
            (Reason.TOO_LARGE, Reason.TIME_LIMIT),
        ),
        "3,000 layers inside each other": Bad(
            net("a = nn.Identity(); for _ in range(3000): a = nn.Sequential(a); self.a = a"),
            (Reason.BUILD_ERROR, Reason.FORWARD_ERROR),
            "Recursion",
        ),
        "a parameter called input": Bad(
            net(
                "self.input = nn.Parameter(torch.zeros(40))",
                "return self.last(x[:, 0] + self.input)",
            ),
            (Reason.INVALID_GRAPH,),
        ),
    }


def _limits() -> dict[str, Bad]:
    """Forwards that end at a limit."""
    time, memory = (Reason.TIME_LIMIT,), (Reason.MEMORY_LIMIT,)
    return {
        "a loop without an end": Bad(net(forward="while True: x = x + 1"), time, "seconds"),
        "a loop that prints": Bad(net(forward="while True: print('x' * 1000)"), time),
        "sleep": Bad(net(forward="torch.futures.Future().wait()"), time),
        "memory without an end": Bad(
            # not filled: a slow machine would spend the CPU limit on clearing pages
            net(forward="kept = []; while True: kept.append(torch.empty(10_000_000))"),
            memory,
        ),
        "text without an end": Bad(net(forward="t = 'x'; while True: t = t + t"), memory),
        "a list without an end": Bad(net(forward="t = [0]; while True: t.extend(t)"), memory),
        "10^12 numbers": Bad(net(forward="return torch.zeros(10**6, 10**6)"), memory),
        "recursion": Bad(
            net(forward="return self.forward(x)"), (Reason.FORWARD_ERROR,), "RecursionError"
        ),
        "a stack that is too deep for the interpreter": Bad(
            net(forward="s = iter([1]); for _ in range(10**6): s = filter(None, s); next(s)"),
            (Reason.CRASHED,),
        ),
        "constants of 20 MB": Bad(
            net(
                "self.register_buffer('a', torch.randn(40, 125_000), persistent=False)",
                "return self.last(x.flatten(1) @ self.a)",
            ),
            (Reason.TOO_LARGE,),
        ),
    }


def _errors() -> dict[str, Bad]:
    """Forwards that raise."""
    error = (Reason.FORWARD_ERROR,)
    odd = "class Odd:\n    def __repr__(self):\n        {}"
    return {
        "a message of 100 MB": Bad(
            net(forward="raise ValueError('x' * 100_000_000)"), error, "line 13: `raise ValueError"
        ),
        "a message that raises": Bad(
            with_class(odd.format("raise ValueError"), "raise KeyError(Odd())"), error
        ),
        "a message without an end": Bad(
            with_class(odd.format("while True: pass"), "raise KeyError(Odd())"),
            (Reason.TIME_LIMIT,),
        ),
        "SystemExit": Bad(net(forward="raise SystemExit(0)"), error, "line 13: `raise SystemExit"),
        "KeyboardInterrupt": Bad(net(forward="raise KeyboardInterrupt"), error, "line 13"),
        "no forward": Bad(GOOD.replace("def forward", "def backward"), error, "NotImplemented"),
        "a forward of two inputs": Bad(GOOD.replace("(self, x)", "(self, x, y)"), error, "'y'"),
        "a name that is not there": Bad(net(forward="return y"), error, "line 13: `return y`"),
        "sizes that do not fit": Bad(
            net("self.a = nn.Linear(3, 3)", "return self.last(self.a(x))"), error, "line 13"
        ),
    }


def _outputs() -> dict[str, Bad]:
    """Forwards whose answer is not logits."""
    wrong = (Reason.WRONG_OUTPUT,)
    answers = {
        "a tuple": f"{LOGITS}, x",
        "a tuple of one": f"({LOGITS},)",
        "a list": f"[{LOGITS}]",
        "a dict": f"{{'logits': {LOGITS}}}",
        "a number": "1.0",
        "text": "'logits'",
        "a list of numbers": f"{LOGITS}.tolist()",
        "a module": "self",
        "float64": f"{LOGITS}.double()",
        "float16": f"{LOGITS}.half()",
        "integers": f"{LOGITS}.long()",
        "truth values": f"{LOGITS} > 0",
        "complex numbers": f"torch.complex({LOGITS}, {LOGITS})",
        "no batch axis": f"{LOGITS}[0]",
        "one class too few": f"{LOGITS}[:, 1:]",
        "one axis too many": f"{LOGITS}.unsqueeze(1)",
        "classes first": f"{LOGITS}.t()",
        "a number of its own": f"{LOGITS}.sum()",
    }
    also_unsupported = {"complex numbers", "a list of numbers", "float16"}
    bad = {
        f"returns {name}": Bad(
            net(forward=f"return {answer}"),
            (*wrong, Reason.UNSUPPORTED_OPERATION) if name in also_unsupported else wrong,
        )
        for name, answer in answers.items()
    }
    bad["returns nothing"] = Bad(net(forward=f"y = {LOGITS}"), wrong, "NoneType")
    bad["ignores the number of classes"] = Bad(
        net(forward="return x.flatten(1)[:, :7]"), wrong, ", 7)"
    )
    bad["returns a tensor on meta"] = Bad(
        net(forward=f"return {LOGITS}.to('meta')"), (*wrong, Reason.UNSUPPORTED_OPERATION)
    )
    bad["returns a tensor of a class of its own"] = Bad(
        with_class("class Own(torch.Tensor):\n    pass", f"return {LOGITS}.as_subclass(Own)"),
        (*wrong, Reason.UNSUPPORTED_OPERATION, Reason.INVALID_GRAPH),
    )
    bad["returns NaN"] = Bad(
        net(forward=f"return {LOGITS} * float('nan')"), (Reason.NOT_FINITE,), "NaN"
    )
    bad["returns infinity"] = Bad(net(forward=f"return {LOGITS} / 0.0"), (Reason.NOT_FINITE,))
    return bad


def _dependences() -> dict[str, Bad]:
    """Forwards that are not one function of one example."""
    batch = (Reason.BATCH_DEPENDENT,)
    control = (Reason.UNSUPPORTED_OPERATION,)
    changes = (Reason.CHANGES_INPUT,)
    return {
        "writes into its input": Bad(net(forward=f"x.mul_(2.0); return {LOGITS}"), changes),
        "writes into a view of its input": Bad(
            net(forward=f"y = x.flatten(1); y[:, 0] = 0.0; return {LOGITS}"), changes
        ),
        "a shape for one batch size": Bad(net(forward="return self.last(x.reshape(2, 40))"), batch),
        "another shape for one example": Bad(
            net(forward=f"y = {LOGITS}; return y if len(y) > 1 else y[0]"), batch
        ),
        "another network for one example": Bad(
            net(forward=f"y = {LOGITS}; return y if len(y) > 1 else torch.tanh(y)"), batch
        ),
        "twice as many rows": Bad(net(forward=f"y = {LOGITS}; return torch.cat([y, y])"), batch),
        "the mean of the batch": Bad(net(forward="x = x - x.mean(0); return " + LOGITS), batch),
        "rows of the batch are mixed": Bad(
            net("self.a = nn.GRU(1, 4)", "return self.last(self.a(x.transpose(1, 2))[0][:, -1])"),
            batch,
        ),
        "random numbers": Bad(
            net(forward="return self.last(x.flatten(1) + torch.rand(40))"), (*batch, *control)
        ),
        "a count of its own calls": Bad(
            net("self.n = 0", f"self.n += 1; return {LOGITS} * self.n"), (*batch, *control)
        ),
        "a branch on values": Bad(
            net(forward=f"y = {LOGITS}; return y if y.sum() > 0 else -y"), control
        ),
        "the input is not used": Bad(
            net(
                "self.b = nn.Parameter(torch.zeros(1, num_classes))",
                "return self.b.expand(x.shape[0], -1)",
            ).replace("nn.LazyLinear(num_classes)", "nn.Identity()"),
            (Reason.INVALID_GRAPH,),
        ),
    }


BAD = {
    **_texts(), **_builds(), **_limits(), **_errors(), **_outputs(), **_dependences(),
}  # fmt: skip

HARMLESS = {
    "prints 100 MB": net(forward=f"print('x' * 10**8); return {LOGITS}"),
    "writes in place into its own": net(
        forward="y = x.flatten(1) + 1.0; y.mul_(2.0); return self.last(y)"
    ),
    "a generator expression": net("self.n = sum(i for i in range(3))"),
    "weights that want no gradient": net(
        "self.a = nn.Parameter(torch.ones(40), requires_grad=False)",
        "return self.last(x.flatten(1) * self.a)",
    ),
}
"""Programs that look odd and are good."""
