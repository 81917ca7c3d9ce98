"""Makes fixture-hashes.json: what the templates of real models give, as hashes, because the templates are not ours.

Each entry is "length:FNV-1a" of the text in UTF-8, or "raises".
Run: python3 make_fixture_hashes.py FIXTURES > fixture-hashes.json
"""

import json
import pathlib
import sys

from jinja_environment import render


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def main():
    root = pathlib.Path(sys.argv[1]) / "templates"
    contexts = json.loads((pathlib.Path(__file__).parent / "contexts.json").read_text())
    for path in sorted((root / "minja-contexts" / "contexts").glob("*.json")):
        contexts[path.stem] = json.loads(path.read_text())
    result = {}
    for path in sorted(root.rglob("*.jinja")):
        source = path.read_text()
        entry = result[str(path.relative_to(root))] = {}
        for name, context in contexts.items():
            text = render(source, context)
            data = None if text is None else text.encode()
            entry[name] = "raises" if data is None else f"{len(data)}:{fnv1a(data):016x}"
            if len(sys.argv) > 2 and text is not None:
                (pathlib.Path(sys.argv[2]) / f"{path.stem}.{name}.txt").write_bytes(data)
    print(json.dumps(result, indent=0))


main()
