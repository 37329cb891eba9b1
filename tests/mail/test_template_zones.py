"""Times in zones by their names are those that Python's zoneinfo, another reader of the same files, says: every zone of the system, hours
before and behind each change of its clocks in some years, and far from now."""
import datetime
import json
import pathlib
import subprocess
import zoneinfo

TOOL = pathlib.Path(__file__).resolve().parents[2] / "build/asan/tests/mail_tool_template"
YEARS = (1900, 1969, 1985, 2016, 2026, 2037, 2038, 2100)


def moments(zone):
    """Some days of those years, and to the second where the offset is another one than the day before."""
    for year in YEARS:
        before = None
        for day in range(0, 366, 6):
            t = datetime.datetime(year, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(days=day)
            now = t.astimezone(zone).utcoffset()
            if before is not None and now != before:
                low, high = int(t.timestamp()) - 6 * 86400, int(t.timestamp())
                while high - low > 1:
                    middle = (low + high) // 2
                    same = datetime.datetime.fromtimestamp(middle, zone).utcoffset() == before
                    low, high = (middle, high) if same else (low, middle)
                yield from (low, high)
            before = now
        yield int(t.timestamp())


def test_every_zone_of_the_system():
    names = sorted(zoneinfo.available_timezones())
    assert len(names) > 300
    asked, want = [], []
    for name in names:
        zone = zoneinfo.ZoneInfo(name)
        for t in moments(zone):
            local = datetime.datetime.fromtimestamp(t, zone)
            asked.append({"template": "{{{date t 'YYYY-MM-DD HH:mm:ss' z}}}", "data": {"t": datetime.datetime.fromtimestamp(t, datetime.timezone.utc).isoformat(), "z": name}, "part": "text"})
            want.append(local.strftime("%Y-%m-%d %H:%M:%S"))
    out = subprocess.run([TOOL], input="".join(json.dumps(a) + "\n" for a in asked), check=True, capture_output=True, text=True, timeout=120).stdout
    got = [json.loads(line) for line in out.splitlines()]
    wrong = [(a["data"], g, w) for a, g, w in zip(asked, got, want) if g != w]
    assert len(got) == len(want) > 3000 and not wrong, wrong[:10]
