"""A mail sent by the package that openapi-python-client made of the contract: send.py URL KEY ADDRESS, the package on the path as `made`."""
import importlib
import json
import pkgutil
import sys

import made
from made import AuthenticatedClient
from made.api.messages import message_get, message_send
from made.models import MessageAccepted, MessageSend, NamedEmail

for module in pkgutil.walk_packages(made.__path__, "made."):
    importlib.import_module(module.name)

url, key, address = sys.argv[1:]
with AuthenticatedClient(base_url=url, token=key) as client:
    sent = message_send.sync(client=client, body=MessageSend(from_=address, to=[NamedEmail(email=address, name="Ana")], subject="By Python", text="Hello"))
    assert isinstance(sent, MessageAccepted), sent
    message = message_get.sync(sent.id, client=client)
    refused = message_send.sync_detailed(client=client, body=MessageSend(from_=address, to=[], text="x"))
    print(json.dumps({"status": message.status, "subject": message.subject, "refused": refused.status_code, "faults": [e.pointer for e in refused.parsed.errors]}))
