"""Whether a call to AWS is what its SDK would send: signature and shape, by botocore.

check_aws_call.py SERVICE REGION KEY SECRET OPERATION PARAMETERS < {"line": "PUT /…", "headers": {…}, "body": "…"}
"""
import json
import sys

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

service, region, key, secret, operation, parameters = sys.argv[1:]
got = json.load(sys.stdin)
method, path = got["line"].split(" ", 1)

client = botocore.session.Session().create_client(
    service, region_name=region, aws_access_key_id=key, aws_secret_access_key=secret
)
model = client.meta.service_model.operation_model(operation)
wanted = client._serializer.serialize_to_request(json.loads(parameters), model)
wanted_body = wanted["body"].decode() if isinstance(wanted["body"], bytes) else wanted["body"]
assert (method, path) == (wanted["method"], wanted["url_path"]), (got["line"], wanted)
assert json.loads(got["body"] or "null") == json.loads(wanted_body or "null"), (got["body"], wanted_body)

fields = dict(pair.split("=", 1) for pair in got["headers"]["authorization"].split(" ", 1)[1].split(", "))
scope = fields["Credential"].split("/", 1)[1]
signing_name = client.meta.service_model.signing_name
assert scope.endswith(f"/{region}/{signing_name}/aws4_request"), scope
signed = {name: got["headers"][name] for name in fields["SignedHeaders"].split(";")}
request = AWSRequest(method, f"http://{got['headers']['host']}{path}", data=got["body"], headers=signed)
request.context["timestamp"] = got["headers"]["x-amz-date"]
auth = SigV4Auth(Credentials(key, secret), signing_name, region)
text = auth.string_to_sign(request, auth.canonical_request(request))
assert auth.signature(text, request) == fields["Signature"], text
print("good")
