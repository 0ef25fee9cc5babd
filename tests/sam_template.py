"""python sam_template.py TEMPLATE BINARIES FOLDER: the template with each function's code in FOLDER, stripped."""

import pathlib
import subprocess
import sys

from samcli.yamlhelper import yaml_dump, yaml_parse

template, binaries, folder = (pathlib.Path(argument) for argument in sys.argv[1:])
fragment = yaml_parse(template.read_text(encoding="utf-8"))
for name, resource in fragment["Resources"].items():
    if resource["Type"] != "AWS::Serverless::Function":
        continue
    binary = resource.pop("Metadata")["BuildProperties"]["Binary"]
    code = folder / name
    code.mkdir(parents=True, exist_ok=True)
    subprocess.run(["strip", "-o", code / "bootstrap", binaries / binary], check=True)
    resource["Properties"]["CodeUri"] = name
(folder / "template.yaml").write_text(yaml_dump(fragment), encoding="utf-8")
