"""check_schema.py SCHEMA < [value, …]: prints how many values the schema describes; ends at the first that it does not."""
import json
import sys

import jsonschema

schema = json.load(open(sys.argv[1]))
validator = jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())
validator.check_schema(schema)
values = json.load(sys.stdin)
for value in values:
    validator.validate(value)
print(len(values))
