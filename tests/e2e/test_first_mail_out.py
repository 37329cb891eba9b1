"""README's first mail to another server, as it stands there: the zone is served by nsd, the other server is a peer that keeps what it gets."""
import email
import re
import shutil
import subprocess

import dkim
import pytest
from peer import Peer
from server import BINARY, ROOT, Server, until
from zones import Nsd

pytestmark = pytest.mark.skipif(not shutil.which("nsd", path="/usr/sbin:/usr/bin"), reason="no nsd")
FAR = ["@ MX 10 mx", "mx A 127.0.0.2"]


def commands():
    [block] = re.findall(r"```sh live\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    return re.split(r"(?<!\\)\n", block.strip())


def test_the_readme_leads_outside(tmp_path):
    with Nsd({"example.org": ["mail A 192.0.2.1", 'mail TXT "v=spf1 a -all"'], "example.com": FAR}) as nsd, Peer() as peer:
        env = {"DNS_SERVERS": nsd.server, "DNS_TRUST_ANCHOR": "", "DNS_PORT": nsd.port, "DELIVERY_ALLOW": "127.0.0.0/8", "DELIVERY_PORT": peer.port}
        with Server(env={f"POSTRIDER_{k}": str(v) for k, v in env.items()}, data=tmp_path / "data") as s:
            (tmp_path / "build/release").mkdir(parents=True)
            (tmp_path / "build/release/postrider").symlink_to(BINARY)
            said = []
            for command in commands():
                done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
                assert done.returncode == 0, (command, done)
                said.append(done.stdout)
                if "--zone" in command:
                    nsd.set("example.org", [*nsd.zones["example.org"], *done.stdout.splitlines()])
            assert len(said) == 6 and '"status":"queued"' in said[-1].replace(" ", "")
            mail = until(lambda: peer.mails and peer.mails[0])
            assert mail.recipients == ["someone@example.com"] and email.message_from_bytes(mail.body)["Subject"] == "First mail out"
            keys = {k.rstrip("."): v for k, v in re.findall(r'^(\S+_domainkey\.\S+)\s.*?TXT\s+(.*)$', said[2], re.M)}
            txt = {name: "".join(re.findall(r'"([^"]*)"', value)) for name, value in keys.items()}
            assert len(txt) == 2
            for i in (0, 1):
                assert dkim.DKIM(mail.body).verify(i, dnsfunc=lambda name, timeout=5: txt[name.decode().rstrip(".")].encode())
