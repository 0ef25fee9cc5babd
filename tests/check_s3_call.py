"""Whether a call to S3 is what its SDK would send: path, query and signature, by botocore.

check_s3_call.py REGION KEY SECRET OPERATION PARAMETERS < {"line": "GET /…", "headers": {…}, "body": "…"}
"""
import hashlib
import json
import sys
from urllib.parse import parse_qsl, urlsplit

import botocore.session
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

region, key, secret, operation, parameters = sys.argv[1:]
parameters = json.loads(parameters)
got = json.load(sys.stdin)
method, path = got["line"].split(" ", 1)

client = botocore.session.Session().create_client(
    "s3", region_name=region, aws_access_key_id=key, aws_secret_access_key=secret,
    config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
)
# A URL that is signed for somebody else to ask shows the path and the query of the operation.
wanted = urlsplit(client.generate_presigned_url(operation, parameters))
asked = urlsplit(path)
of_operation = lambda query: {name: value for name, value in parse_qsl(query, True) if not name.startswith("X-Amz-") and name != "encoding-type"}
assert asked.path == wanted.path, (asked, wanted)
assert of_operation(asked.query) == of_operation(wanted.query), (asked.query, wanted.query)

hashed = got["headers"]["x-amz-content-sha256"]
assert hashed == hashlib.sha256(got["body"].encode()).hexdigest(), hashed
fields = dict(pair.split("=", 1) for pair in got["headers"]["authorization"].split(" ", 1)[1].split(", "))
assert fields["Credential"].split("/", 1)[1].endswith(f"/{region}/s3/aws4_request"), fields
signed = {name: got["headers"][name] for name in fields["SignedHeaders"].split(";")}
request = AWSRequest(method, f"http://{got['headers']['host']}{path}", data=got["body"], headers=signed)
request.context["timestamp"] = got["headers"]["x-amz-date"]
auth = S3SigV4Auth(Credentials(key, secret), "s3", region)
text = auth.string_to_sign(request, auth.canonical_request(request))
assert auth.signature(text, request) == fields["Signature"], text
print("good")
