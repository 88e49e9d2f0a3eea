"""Holds CloudFormation templates against CloudFormation's and SAM's own rules.

usage: check.py TEMPLATE

Runs cfn-lint over the template, then SAM's translator, and prints the
translated template as JSON. Any finding of cfn-lint, warnings included, is an
error. Nothing here talks to the network.
"""

import json
import logging
import os
import pathlib
import sys

import boto3
from cfnlint.api import lint, lint_file
from cfnlint.config import ManualArgs
from cfnlint.decode import decode
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

REGION = "us-east-1"


def main(path):
    logging.disable(logging.WARNING)
    found = lint_file(pathlib.Path(path), ManualArgs(regions=[REGION]))
    for m in found:
        print(f"{path}:{m.linenumber}: {m.rule.id} {m.message}", file=sys.stderr)
    if found:
        return 1

    template, errors = decode(path)
    if errors:
        print(errors, file=sys.stderr)
        return 1
    template = json.loads(json.dumps(template))  # plain types, without positions
    if "AWS::Serverless-2016-10-31" in str(template.get("Transform", "")):
        for r in template["Resources"].values():
            # "sam deploy" replaces local files by what it uploaded.
            if "CodeUri" in r.get("Properties", {}):
                r["Properties"]["CodeUri"] = "s3://bucket/" + r["Properties"]["CodeUri"]
        os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
        session = boto3.Session(region_name=REGION, aws_access_key_id="none", aws_secret_access_key="none")
        parameters = {k: v.get("Default", "") for k, v in template.get("Parameters", {}).items()}
        parameters["AWS::Region"] = REGION
        translator = Translator({}, Parser(), boto_session=session)
        template = translator.translate(template, parameters)
        # Once more without the shorthand: cfn-lint does not look into every
        # property that SAM hands through.
        template.pop("Metadata", None)
        found = [m for m in lint(json.dumps(template), regions=[REGION]) if m.rule.id.startswith("E")]
        for m in found:
            print(f"{path} (translated): {m.rule.id} {m.message} at {list(m.path or [])}", file=sys.stderr)
        if found:
            return 1
    json.dump(template, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
