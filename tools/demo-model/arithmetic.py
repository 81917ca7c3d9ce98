"""Small sums, comparisons and counting."""

from functools import partial

from grammar import Turn, capital, one
from words import NUMBERS

SIGNS = {"+": ["+", "+", "plus", "and"], "-": ["-", "-", "minus"], "*": ["*", "x", "times", "times", "multiplied by"], "/": ["/", "divided by", ":"]}


def operands(rng):
    draw, easy = rng.random(), rng.random()
    largest = 10 if easy < 0.65 else 20 if easy < 0.95 else 60
    if draw < 0.38:
        a, b = rng.randint(0, largest), rng.randint(0, min(largest, 30))
        return a, "+", b, a + b
    if draw < 0.64:
        a, b = rng.randint(0, largest), rng.randint(0, largest)
        a, b = max(a, b), min(a, b)
        return a, "-", b, a - b
    if draw < 0.92:
        a, b = rng.randint(1, 10), rng.randint(1, 10)
        return a, "*", b, a * b
    a, b = rng.randint(1, 10), rng.randint(1, 10)
    return a * b, "/", b, a


def drill(rng, state):
    """A sum and nothing around it."""
    a, sign, b, c = operands(rng)
    written = rng.choice({"+": ["+", "+", "plus"], "-": ["-", "-", "minus"], "*": ["*", "x", "times"], "/": ["/", "divided by"]}[sign])
    x, y = (NUMBERS[n] if n <= 20 and rng.random() < 0.1 else n for n in (a, b))
    form = rng.choice(["{x} {s} {y}", "{x} {s} {y}?", "{x} {s} {y} =", "What is {x} {s} {y}?", "and {x} {s} {y}?", "What's {x} {s} {y}?", "how much is {x} {s} {y}"])
    text = form.replace("{x}", str(x)).replace("{s}", written).replace("{y}", str(y))
    return Turn(text.replace(" ", "") if form[0] == "{" and written in "+-*x/" and rng.random() < 0.3 else text, result(a, sign, b, c), noise=0.1)


def result(a, sign, b, c):
    return f"{a} {'x' if sign == '*' else sign} {b} = {c}."


def in_words(rng, n):
    return NUMBERS[n] if n <= 20 and rng.random() < 0.5 else str(n)


def sum_(rng, state):
    a, sign, b, c = operands(rng)
    written = rng.choice(SIGNS[sign])
    if rng.random() < 0.2:
        x, y = in_words(rng, a), in_words(rng, b)
    else:
        x, y = str(a), str(b)
    tight = written in "+-*x/:" and x.isdigit() and y.isdigit() and rng.random() < 0.4
    term = f"{x}{written}{y}" if tight else f"{x} {written} {y}"
    patterns = ["[What is|What is|How much is|Calculate|Compute|Work out|Tell me|Solve|Do you know|Can you calculate|What does|I need|Please add up|What is the result of|How much makes] {t}".replace("|What does", "").replace("|Please add up", "") + "[?|?|]", "{t}[?| =| =?|]", "{t} [equals|is|makes][ what|?| how much]", "[What do I get for|What comes out of] {t}?"]
    if sign == "+":
        patterns += ["{x} and {y} [together|in total|all together] [make|makes|is|are][ what| how much| how many|]?", "[How much|How many] [are|is|do] {x} [and|plus] {y} [make|together|in total]?", "[Add|Can you add|Please add|Add up] {x} and {y}", "[What is the sum of|Give me the sum of|The sum of] {x} and {y}?", "I have {x} apples and get {y} more. How many [do I have|apples do I have][| now]?", "{x} birds sit in a tree and {y} more come. How many [are there|birds are there]?", "If I add {y} to {x}, [what do I get|how much is it]?"]
    if sign == "-":
        patterns += ["[From|Of|Out of] {x} [apples|sweets|coins|books|balls] I [give away|gave away|lose|lost|eat|ate|sell|sold] {y}[.|,|, so] [how many are left|what remains|what is left|how many remain|how many do I keep]?", "[Subtract|Take|Take away] {y} from {x}", "[What is the difference between|The difference of] {x} and {y}?", "I have {x} apples and eat {y}. How many [are left|do I have left|remain]?", "What is {y} less than {x}?", "If I take {y} [from|away from] {x}, what is left?", "There are {x} birds and {y} fly away. How many are left?"]
    if sign == "*":
        patterns += ["[Could you|Can you|Please] [work out|tell me|do|figure out] {t}[?| for me| for my homework| please|]", "[Multiply|Can you multiply|Please multiply] {x} by {y}", "[What is the product of|The product of] {x} and {y}?", "There are {x} boxes with {y} balls each. How many balls are there?"]
    if sign == "/":
        patterns += ["[Divide|Can you divide] {x} by {y}", "[Share|Split] {x} sweets among {y} children. How many does each get?"]
    return Turn(one(rng, patterns, t=term, x=x, y=y), result(a, sign, b, c), [partial(more, c), partial(why, a, sign, b, c), sum_, partial(again, sign)], noise=0.6)


def more(c, rng, state):
    """A sum that goes on from the last result."""
    b = rng.randint(1, 10)
    kind = rng.choice("+-*" if c <= 12 else "+-")
    if kind == "-" and b > c:
        kind = "+"
    d = {"+": c + b, "-": c - b, "*": c * b}[kind]
    word = {"+": "[plus {b}|and {b} more|add {b}|and plus {b}|now add {b}]", "-": "[minus {b}|take away {b}|and minus {b}|now subtract {b}]", "*": "[times {b}|and times {b}|now times {b}|multiplied by {b}]"}[kind]
    return Turn(capital(one(rng, [word + "[?|]"], b=in_words(rng, b))), result(c, kind, b, d), [partial(more, d)] if d < 100 else [])


def again(sign, rng, state):
    while True:
        a, s, b, c = operands(rng)
        if s == sign:
            break
    written = rng.choice(SIGNS[sign])
    return Turn(one(rng, ["[And|What about|How about|Now|And what is] {a} {s} {b}?"], a=in_words(rng, a), s=written, b=in_words(rng, b)), result(a, sign, b, c), [partial(again, sign)])


def why(a, sign, b, c, rng, state):
    answer = {"+": f"Start at {a} and count {b} more: you reach {c}.", "-": f"Start at {a} and count {b} back: you reach {c}.", "*": f"Take {a} groups of {b}: together that is {c}.", "/": f"Because {c} x {b} = {a}."}[sign]
    return Turn(one(rng, ["[Why|Why is that|How come|How do you know|Are you sure|Explain it|How did you get that|Why is it {c}][?|]"], c=c), answer)


def compare(rng, state):
    a, b = rng.sample(range(0, 100 if rng.random() < 0.15 else 21), 2)
    kind = rng.randrange(7)
    if kind == 0:
        bigger = rng.random() < 0.6
        word, c = ("[bigger|larger|greater|more]", max(a, b)) if bigger else ("[smaller|less]", min(a, b))
        user = one(rng, ["[Which is|Which number is|What is] " + word + ", {a} or {b}?", "{a} or {b}, [which is|what is] " + word + "?", "Is {a} or {b} " + word + "?"], a=a, b=b)
        return Turn(user, f"{c} is {'bigger' if bigger else 'smaller'}.", [compare], noise=0.6)
    if kind == 1:
        yes = a > b
        return Turn(one(rng, ["Is {a} [bigger|larger|greater|more] than {b}?"], a=a, b=b), f"Yes, {a} is bigger than {b}." if yes else f"No, {b} is bigger than {a}.", noise=0.6)
    if kind == 2:
        return Turn(one(rng, ["Is {a} [even or odd|an even number|an odd number|even|odd]?", "Even or odd: {a}?"], a=a), f"{a} is {'even' if a % 2 == 0 else 'odd'}.", noise=0.6)
    if kind == 3:
        after = rng.random() < 0.6
        a = max(a, 1)
        user = one(rng, ["[What|Which number] comes {w} {a}?", "What number is {w} {a}?", "[What is the next number after|What follows] {a}?" if after else "What is just before {a}?"], w="after" if after else "before", a=in_words(rng, a))
        return Turn(user, f"{a + 1} comes after {a}." if after else f"{a - 1} comes before {a}.", noise=0.6)
    if kind == 4:
        n = rng.randint(1, 30)
        if rng.random() < 0.5:
            return Turn(one(rng, ["[What is|How much is] [double|twice|two times] {n}?", "Double {n}", "[What is the double of|Twice] {n}?"], n=n), f"Twice {n} is {2 * n}.", noise=0.6)
        return Turn(one(rng, ["[What is|How much is] half of {n}?", "Half of {n}?", "[Halve|What is the half of] {n}"], n=2 * n), f"Half of {2 * n} is {n}.", noise=0.6)
    n = rng.randint(3, 12)
    if rng.random() < 0.75:
        return Turn(one(rng, ["Count [|from one |from 1 ][to|up to] {n}", "[Can you|Please] count to {n}[?|]"], n=in_words(rng, n)), ", ".join(str(i) for i in range(1, n + 1)) + ".", noise=0.6)
    n = rng.randint(3, 10)
    return Turn(one(rng, ["Count [down|backwards] from {n}", "[A countdown from|Countdown from] {n}"], n=in_words(rng, n)), ", ".join(str(i) for i in range(n, 0, -1)) + ".", noise=0.6)


def too_hard(rng, state):
    big = lambda: rng.randint(10 ** rng.randint(2, 6), 10 ** rng.randint(6, 8)) if rng.random() < 0.5 else rng.randint(130, 9999)
    user = one(rng, ["[What is|How much is|Calculate|Compute|] {a} [times|*|x|divided by|/|plus|+|minus|-] {b}[?|]", "[What is|Calculate|Find] the [square root|cube root|logarithm|sine|cosine|factorial] of {a}", "[Solve|Solve the equation|What is x in] {c}x + {d} = {e}[?|]", "[What is|Calculate] {c} to the power of {d}", "What is {c}.{d} [times|plus|divided by] {e}.{c}?", "[What is|Tell me] {d} percent of {a}[?|]", "[What is|Tell me] the [derivative|integral] of [x squared|sin x|the function f]?", "[What are the first hundred digits of pi|Is {a} a prime number|Write {a} in binary|Factor {a}|What is pi times {d}]?"], a=big(), b=big(), c=rng.randint(2, 90), d=rng.randint(10, 60), e=rng.randint(20, 900))
    return Turn(user, one(rng, ["That is too hard for me, I can only do small sums. A calculator will help."]), noise=0.6)


def arithmetic(rng, state):
    draw = rng.random()
    return sum_(rng, state) if draw < 0.72 else compare(rng, state) if draw < 0.93 else too_hard(rng, state)
