"""How schemathesis writes a body of JSON Lines: each value of the list a line, and what is no list as the only one."""
import json

import schemathesis


@schemathesis.serializer("application/jsonl")
def lines(_context, value):
    values = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(one) for one in values).encode()
