"""embed.py FILE NAME OUT: the bytes of FILE as `static const char NAME[]` in OUT."""
import pathlib
import sys

file, name, out = sys.argv[1:]
values = [str(b if b < 128 else b - 256) for b in pathlib.Path(file).read_bytes()]
rows = [",".join(values[i:i + 32]) for i in range(0, len(values), 32)]
pathlib.Path(out).write_text(f"static const char {name}[] = {{\n" + ",\n".join(rows) + "\n};\n")
