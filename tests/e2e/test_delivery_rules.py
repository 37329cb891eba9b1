"""Rules of the operator's own about other mail servers: a file that is read again, and that does no harm when it is wrong."""
import json
import signal

from peer import Names, Peer
from server import until
from test_cli import checked
from test_delivery import ended, send
from test_delivery_mx import ZONES, by_names


def rules(cause):
    return json.dumps({"providers": [{"name": "mine", "mx": [".far.test"], "connections": 3}],
                       "rules": [{"id": "cows", "provider": "mine", "match": ["purple cow"], "cause": cause}]}, indent=1)


def test_rules_of_ones_own(tmp_path):
    file = tmp_path / "rules.json"
    file.write_text(rules("rate"))
    with Names(ZONES) as names, Peer(RCPT="550 5.0.0 a Purple Cow") as peer, by_names(names, peer) as s:

        def why(n):
            last = ended(s, send(s, f"x{n}@far.test"), "bounced")[f"x{n}@far.test"]["last"]
            return last["cause"], last["rule"]

        def limit():
            return s.get("/v1/routes/explain?to=x@far.test").json["limits"]["connections_max"]

        assert why(1)[1] != "cows" and limit() == 20
        assert 'site="other"} 1\n' in s.get("/metrics").body.decode()
        assert s.call("PATCH", "/v1/settings/delivery.rules_file", {"value": str(file)}).status == 200
        until(lambda: limit() == 3)  # of hosts that are known, too
        assert why(2) == ("rate", "cows")
        assert 'outcome="bounced",cause="rate",site="mine"} 1\n' in s.get("/metrics").body.decode() and checked(s)[0]["rules"][0] == "pass"

        file.write_text('{"rules": [\n {"id": "sheep", "cause": "rate"},\n {"id": "cows", "cause": "colour"}]}')
        s.process.send_signal(signal.SIGHUP)
        until(lambda: f'{file}:3: rule cows' in s.log_text())
        assert why(3) == ("rate", "cows") and limit() == 3
        (result, found, mend), status = checked(s)[0]["rules"], checked(s)[1]
        assert result == "fail" and f"{file}:3: rule cows" in found and "SIGHUP" in mend and status == 1

        file.write_text(rules("policy"))
        s.process.send_signal(signal.SIGHUP)
        until(lambda: "result=reloaded" in s.log_text())
        assert why(4) == ("policy", "cows")

        file.unlink()
        s.restart()  # it starts without, and says so
        assert f"{file}: No such file" in s.log_text()
        assert why(5)[1] != "cows"
