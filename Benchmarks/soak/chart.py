"""Draws memory over time as SVG, one panel for each process."""
import math

WIDTH, PANEL, LEFT, BOTTOM, TOP = 720, 200, 70, 34, 26
COLOUR = "#0b6e4f"


def ticks(low, high, wanted=5):
    """Round numbers between two values, about as many as wanted."""
    rough = max(high - low, 1e-9) / wanted
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def text(x, y, content, anchor="middle", size=11):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{content}</text>'


def panel(process, top):
    samples = [(seconds / 60, kib / 1024) for seconds, kib in process["samples"]]
    last = max(samples[-1][0], 1e-9)
    highest = max(mib for _, mib in samples) * 1.15
    right, height = WIDTH - 16, PANEL - TOP - BOTTOM

    def place(minutes, mib):
        return LEFT + (right - LEFT) * minutes / last, top + TOP + height * (1 - mib / highest)

    parts = [text(LEFT, top + 16, f"{process['process']}: anonymous plus swapped memory, MiB", "start", 12)]
    for mib in ticks(0, highest):
        x, y = place(0, mib)
        parts.append(f'<line x1="{x:.1f}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(text(x - 6, y + 4, f"{mib:g}", "end"))
    for minutes in ticks(0, last, 6):
        x, y = place(minutes, 0)
        parts.append(text(x, y + 16, f"{minutes:g} min"))
    points = " ".join("{:.1f},{:.1f}".format(*place(*sample)) for sample in samples)
    parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOUR}" stroke-width="1.5"/>')
    return "\n".join(parts)


def chart(processes):
    height = PANEL * len(processes)
    panels = "\n".join(panel(process, PANEL * number) for number, process in enumerate(processes))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">\n'
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n{panels}\n</svg>\n')
