"""python translate.py TEMPLATE: the CloudFormation that SAM makes of a template, as JSON, without asking AWS."""

import json
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """Names of managed policies stay names: the template is to use none."""

    def load(self):
        return {}


with open(sys.argv[1], encoding="utf-8") as template:
    fragment = yaml_parse(template.read())
defaults = {name: spec["Default"] for name, spec in fragment["Parameters"].items() if "Default" in spec}
# What `sam build` does before: code becomes a place in S3.
for resource in fragment["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        resource["Properties"]["CodeUri"] = "s3://bucket/key"
json.dump(transform(fragment, defaults, NoManagedPolicies()), sys.stdout)
