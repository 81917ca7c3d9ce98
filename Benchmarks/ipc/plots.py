"""Draws lines over a logarithmic scale as SVG."""
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 380, 70, 190, 34, 48
COLOURS = ["#0b6e4f", "#c1440e", "#1f5fa8", "#8a4fa0", "#a08c00", "#444444"]


def text(x, y, content, anchor="middle", size=11):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{content}</text>'


def powers(low, high):
    return [10.0 ** power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def short(value):
    return f"{value:g}"


def lines(title, series, x_label, y_label, x_ticks=None, y_is_share=False):
    """`series`: name -> [(x, y)]. Both axes are logarithmic; with `y_is_share` y is a share, from 0 to 1."""
    points = [point for values in series.values() for point in values]
    low_x, high_x = min(x for x, _ in points), max(x for x, _ in points)
    y_marks = [0, 0.25, 0.5, 0.75, 1] if y_is_share else powers(min(y for _, y in points), max(y for _, y in points))
    x_marks = x_ticks or [(value, short(value)) for value in powers(low_x, high_x) if low_x <= value <= high_x]
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def place(x, y):
        across = (math.log(x) - math.log(low_x)) / max(math.log(high_x) - math.log(low_x), 1e-9)
        if y_is_share:
            up = y
        else:
            up = (math.log(y) - math.log(y_marks[0])) / (math.log(y_marks[-1]) - math.log(y_marks[0]))
        return LEFT + (right - LEFT) * across, bottom - (bottom - TOP) * up

    parts = [text(LEFT, 20, title, "start", 13), text((LEFT + right) / 2, HEIGHT - 8, x_label),
             text(LEFT - 6, TOP - 8, y_label, "end")]
    for mark in y_marks:
        _, y = place(low_x, mark)
        parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(text(LEFT - 6, y + 4, short(mark), "end"))
    for value, name in x_marks:
        x, _ = place(value, y_marks[0] if not y_is_share else 0)
        parts.append(text(x, bottom + 16, name))
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*place(*value)) for value in values)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        y = TOP + 8 + 18 * number
        parts.append(f'<line x1="{right + 12}" x2="{right + 32}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>')
        parts.append(text(right + 38, y + 4, name, "start"))
    body = "\n".join(parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">\n'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n')


def distribution(values, steps=200):
    """Points (microseconds, share of the values that are not above)."""
    ordered = sorted(values)
    picked = sorted({min(len(ordered) - 1, round(step / steps * (len(ordered) - 1))) for step in range(steps + 1)})
    return [(max(ordered[index], 1) / 1000, (index + 1) / len(ordered)) for index in picked]
