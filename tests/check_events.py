"""What a receiver of events does: checks signature and shape of each, with libraries that others wrote.

check_events.py SECRET SCHEMA < [{"headers": {…}, "body": "…"}, …]

Prints how many of each type were good; ends with a traceback at the first that is not.
"""
import collections
import json
import sys

import jsonschema
import standardwebhooks

secret, path = sys.argv[1:]
schema = json.load(open(path))
validator = jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())
validator.check_schema(schema)
webhook = standardwebhooks.Webhook(secret)
seen = collections.Counter()


def described(value, of):
    """Every field must stand in the schema, though a receiver must take others, too."""
    while "$ref" in of:
        of = schema["$defs"][of["$ref"].removeprefix("#/$defs/")]
    if isinstance(value, dict) and "properties" in of:
        for name, inner in value.items():
            assert name in of["properties"], f"{name} is not described"
            described(inner, of["properties"][name])
    if isinstance(value, list):
        for inner in value:
            described(inner, of.get("items", {}))


for request in json.load(sys.stdin):
    event = webhook.verify(request["body"], request["headers"])
    validator.validate(event)
    kind = event["type"].removeprefix("rebond.").removesuffix(".v1")
    described(event["data"], schema["$defs"][kind])
    try:
        webhook.verify(request["body"] + " ", request["headers"])
    except standardwebhooks.WebhookVerificationError:
        pass
    else:
        raise AssertionError("a changed body passed")
    seen[kind] += 1
print(json.dumps(seen, sort_keys=True))
