"""Zones on loopback, served by nsd: what domains of a test publish, changed while a server asks."""
import pathlib
import shutil
import socket
import subprocess
import tempfile

from server import free_port, until

NSD = shutil.which("nsd", path="/usr/sbin:/usr/bin")
LDNS = ("ldns-signzone", "ldns-keygen")


class Signed:
    """Lines of a zone that is signed; `forged`: text of the signed zone -> what it is changed to, behind the signatures."""

    def __init__(self, lines, forged=None):
        self.lines, self.forged = lines, forged or {}


def quoted(text):
    """As a zone file has a TXT record: in strings of 255 bytes."""
    parts = [text[i:i + 255] for i in range(0, len(text), 255)] or [""]
    return " ".join('"' + p.replace("\\", "\\\\").replace('"', '\\"') + '"' for p in parts)


class Nsd:
    """`zones`: name -> lines of its zone file, without SOA and NS, or Signed; None: a zone whose file cannot be read (SERVFAIL)."""

    def __init__(self, zones, address="127.0.0.1", port=None):
        self.zones, self.address, self.port, self.serial = dict(zones), address, port or free_port(address), 1
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postrider-nsd-"))
        self.process, self.keys = None, {}

    @property
    def server(self):
        return f"{self.address}@{self.port}"

    def write(self, name):
        file = self.folder / f"{name}.zone"
        if self.zones[name] is None:
            file.write_text("this is no zone\n")
            return
        zone = self.zones[name]
        file.write_text(f"$ORIGIN {name}.\n$TTL 3600\n@ SOA ns.{name}. x.{name}. {self.serial} 3600 600 86400 3600\n@ NS ns.{name}.\n"
                        f"ns A {self.address}\n" + "\n".join(zone.lines if isinstance(zone, Signed) else zone) + "\n")
        if isinstance(zone, Signed):
            self.sign(name, file, zone.forged)

    def run(self, *words):
        return subprocess.run(words, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def sign(self, name, file, forged):
        if name not in self.keys:
            self.keys[name] = self.run("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", name)
        self.run("ldns-signzone", "-f", f"{file}.signed", str(file), self.keys[name])
        text = pathlib.Path(f"{file}.signed").read_text()
        for was, becomes in forged.items():
            assert was in text
            text = text.replace(was, becomes)
        file.write_text(text)

    def key(self, name):
        """Of a signed zone, as a trust anchor."""
        return (self.folder / f"{self.keys[name]}.key").read_text()

    def configure(self):
        lines = ["server:", f"  ip-address: {self.server}", "  server-count: 1", '  username: ""', '  pidfile: ""', '  database: ""',
                 f'  zonesdir: "{self.folder}"', f'  xfrdfile: "{self.folder}/xfrd"', f'  zonelistfile: "{self.folder}/list"',
                 f'  xfrdir: "{self.folder}"', "  rrl-ratelimit: 0", "  hide-version: yes", "remote-control:", "  control-enable: no"]
        for name in self.zones:
            lines += ["zone:", f'  name: "{name}"', f'  zonefile: "{name}.zone"']
        (self.folder / "nsd.conf").write_text("\n".join(lines) + "\n")

    def start(self):
        for name in self.zones:
            self.write(name)
        self.configure()
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen([NSD, "-d", "-c", str(self.folder / "nsd.conf")], stdout=self.log, stderr=self.log)
        until(self.is_up)
        return self

    def is_up(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with socket.socket() as s:
            return s.connect_ex((self.address, self.port)) == 0

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()

    def set(self, name, lines):
        """Other records, or a new zone: nsd is started anew, since it forgets nothing that it has read in between."""
        self.zones[name] = lines
        self.serial += 1
        self.stop()
        self.start()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder)


def lines_of(records):
    """Zone lines of the records of a domain as the API tells them."""
    out = []
    for r in records:
        if r["value"] is None:
            continue
        value = quoted(r["value"]) if r["type"] == "TXT" else f"{r['priority']} {r['value']}." if r["type"] == "MX" else f"{r['value']}."
        out.append(f"{r['name']}. {r['type']} {value}")
    return out
