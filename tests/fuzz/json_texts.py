"""JSON texts: the shapes that a reader expects, with arbitrary values in them, and near-JSON."""

import json
from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

ODD = (
    *("null", "true", "false", "0", "-0", "-1", "1.5", "1e999", "NaN", "-Infinity", "[]", "{}"),
    *('""', '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\u212a"', "9" * 5000, "1" * 20),
    *("[" * 5000, '{"a":' * 5000, "[" * 900 + "]" * 900, "\ufeff{}", "01", "1_000", "tru", "''"),
)
SCALARS = (
    st.sampled_from(ODD)
    | st.text(max_size=12).map(json.dumps)
    | st.integers().map(str)
    | st.floats().map(json.dumps)
)


def with_others(
    whole: Mapping[str, object], values: st.SearchStrategy[bytes]
) -> st.SearchStrategy[bytes]:
    """Return objects like *whole*, with some of its *values* replaced."""
    others = st.dictionaries(st.sampled_from(sorted(whole)), values, max_size=2)
    return others.map(
        lambda changed: (
            b"{%s}"
            % b",".join(
                json.dumps(name).encode() + b":" + changed.get(name, json.dumps(value).encode())
                for name, value in whole.items()
            )
        )
    )


def json_texts(names: Sequence[str], values: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Return texts with those *names* and *values* in any place, including a repeated name."""
    scalars = SCALARS | st.sampled_from(values).map(json.dumps)
    named = (st.sampled_from(names) | st.text(max_size=6)).map(json.dumps)
    return st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=4).map(lambda some: f"[{','.join(some)}]")
            | st.lists(st.tuples(named, inner), max_size=5).map(
                lambda pairs: "{" + ",".join(f"{name}:{value}" for name, value in pairs) + "}"
            )
        ),
        max_leaves=12,
    ).map(lambda text: text.encode("utf-8", "surrogatepass"))
