"""Simple facts: countries, animals, colours, calendar, planets, words, and science for children."""

from functools import partial

from grammar import Turn, article, capital, one
from words import *

WHAT = "[What is|What is|Tell me|Do you know|Can you tell me|Name|I need to know|I want to know|Give me|Say|Which is|I forgot: what is|Do you happen to know]"


def country_name(rng, country):
    return rng.choice(COUNTRY_NAMES.get(country, [country]))


def capital_city(rng, state, short=False):
    country = rng.choice(list(COUNTRIES))
    city = COUNTRIES[country][0]
    shown = country_name(rng, country)
    if short:
        user = one(rng, ["[And|What about|How about|And of|And for|And what about|and in] {c}?", "{c}?", "[And the capital of|The capital of] {c}?"], c=shown)
    else:
        user = one(rng, [WHAT + " the capital[| city] of {c}?", "What is {c}'s capital[| city]?", "[Which|What] city is the capital of {c}?", "[The capital|capital] of {c}[?|]", "{c}[,|:] capital?", "{c} has which capital?", "[Where is|In which city sits|In which city is] the government of {c}?", "The capital of {c} is", "Name {c}'s capital", "[I wonder|Remind me|Could you say|Do you remember|I forgot|Can you say|Say] [what|which city] the capital of {c} is", "[Which|What] city do people in {c} call their capital?", "[Which|What] [town|city] is home to the government of {c}?", "If I travel to the capital of {c}, [which city do I reach|where am I]?", "The capital[,| city,] if we talk about {c}?", "[Which|What] capital does {c} have?", "[What is the main city of|What do they call the capital of|How is the capital called in|What city is the capital in] {c}?"], c=shown)
    answer = one(rng, ["The capital of {c} is {k}.", "The capital of {c} is {k}.", "{k} is the capital of {c}."][:2], c=country if shown == "England" else (shown if shown.startswith("the") or shown == country else country), k=city)
    return Turn(user, answer.replace("..", "."), [partial(capital_city, short=True)] * 2 + [partial(language_of, country), partial(continent_of, country), partial(why_capital, country)], noise=0.8)


def why_capital(country, rng, state):
    return Turn(one(rng, ["[Why|Why is that|How come|Why is it the capital][?|]"]), f"Because the government of {country} sits there.")


def capital_of_which(rng, state):
    country = rng.choice(list(COUNTRIES))
    city = COUNTRIES[country][0]
    user = one(rng, ["{k} is the capital of [which|what] country?", "[Which|What] country has the capital {k}?", "[Where|In which country] is {k}?", "In [which|what] country [is|do I find] {k}?", "Of [which|what] country is {k} the capital?", "What country is {k} in?"], k=city)
    return Turn(user, f"{city.rstrip('.')} is the capital of {country}.", [partial(language_of, country), partial(continent_of, country)], noise=0.8)


def language_of(country, rng, state):
    _, _, language = COUNTRIES[country]
    return Turn(one(rng, ["[And what|What|Which] language do [they|people] speak there?", "[And the language|What do they speak there]?"]), f"People in {country} speak {language}.")


def continent_of(country, rng, state):
    return Turn(one(rng, ["[And which|On which|Which|On what] continent is [it|that] on?".replace("[And which|On which|Which|On what]", "[And which|Which|What]"), "[On which continent is it|Where is that|And where is that|Where is that country]?"]), f"{capital(country)} is in {COUNTRIES[country][1]}.")


def country_fact(rng, state):
    country = rng.choice(list(COUNTRIES))
    shown = country_name(rng, country)
    _, continent, language = COUNTRIES[country]
    if rng.random() < 0.5:
        user = one(rng, ["[Which|What] language [do people speak|is spoken|do they speak] in {c}?", "What do [people|they] speak in {c}?", "[Which|What] is the language of {c}?"], c=shown)
        return Turn(user, f"People in {country} speak {language}.")
    user = one(rng, ["[Where|On which continent|In which part of the world] is {c}?", "[Which|What] continent is {c} [in|on|part of]?", "{c} is on [which|what] continent?"], c=shown)
    return Turn(user, f"{capital(country)} is in {continent}.", [partial(language_of, country)])


def unknown_place(rng, state):
    place = capital("".join(rng.choice(SYLLABLES) for _ in range(rng.choice([2, 3])))) + rng.choice(["land", "stan", "nia", "ria", "via", "dor", "ba"])
    if rng.random() < 0.4:
        place = rng.choice("Atlantis Narnia Laos Nepal Mongolia Tonga Fiji Malta Belize Chad Togo Mali Bhutan Samoa Palau Benin Gabon Zambia Malawi Angola Paraguay Uruguay Bolivia Ecuador Venezuela Panama Oman Qatar Yemen Iraq Syria Jordan Georgia Armenia Estonia Latvia Serbia Albania Moldova Bavaria Texas Utopia Wonderland Mordor Somalia Sudan Cambodia Myanmar Kazakhstan Madagascar".split())
    user = one(rng, [WHAT + " the capital of {c}?", "[Which|What] city is the capital of {c}?", "How many people live in {c}?", "Who rules {c}?", "capital of {c}?", "[What is the population|How big is the area] of {c}?"], c=place)
    return Turn(user, one(rng, ["I am sorry, I do not know that about {c}.", "I do not know that. I know only a few dozen countries."], c=place), noise=0.5)


def animal(rng, state):
    kind = rng.choice(["sound", "sound", "who", "baby", "legs", "food", "home"])
    follows = [partial(animal_short, kind)]
    if kind == "sound":
        a, s = rng.choice(list(SOUNDS.items()))
        user = one(rng, ["[What|Which] [sound|noise] does {a} make?", "What does {a} say?", "[Which|What] [noise|sound] [comes from|do we hear from|can I hear from|does one hear from] {a}?", "[How would you imitate|Imitate|Speak like|Talk like] {a}", "How does {a} [sound|speak|talk|go]?", "What [sound|noise] do {b} make?", "The sound of {a}?", "How do {b} sound?"], a=rng.choice([article(a), "the " + a]), b=plural(a))
        return Turn(user, f"{capital(article(a))} says \"{s}\".", follows)
    if kind == "who":
        a, s = rng.choice(list(SOUNDS.items()))
        return Turn(one(rng, ["[Which|What] animal [says|goes|makes] {s}?", "Who says {s}?"], s=s), f"{capital(article(a))} says \"{s}\".")
    if kind == "baby":
        a, s = rng.choice(list(BABIES.items()))
        user = one(rng, ["What is a baby {a} called?", "[What|How] do you call a [baby|young] {a}?", "[The name of a baby|What is the name of a young] {a}?", "What is the word for a [little|young|small|baby] {a}?"], a=a)
        return Turn(user, f"A baby {a} is called {article(s)}.", follows)
    if kind == "legs":
        a, n = rng.choice(list(LEGS.items()))
        user = one(rng, ["How many legs does {a} have?", "How many legs [has|are on] {a}?", "The number of legs of {a}?", "How many feet does {a} walk on?"], a=article(a))
        return Turn(user, f"{capital(article(a))} has {['no', '', 'two', '', 'four', '', 'six', '', 'eight', '', 'ten'][n]} legs.", follows)
    if kind == "food":
        a, f = rng.choice(list(FOODS.items()))
        user = one(rng, ["What [does|do] {a} eat?".replace("[does|do]", "does"), "What [food does {a} like|does {a} feed on|is the food of {a}|do I feed {a}]?", "What do {b} eat?"], a=article(a), b=plural(a))
        return Turn(user, f"{capital(article(a))} eats {f}.", follows)
    a, h = rng.choice(list(HOMES.items()))
    user = one(rng, ["Where does {a} live?", "Where do {b} live?", "Where [is the home of|would I find|can I see|do I find] {a}?"], a=article(a), b=plural(a))
    return Turn(user, f"{capital(article(a))} lives {h}.", follows)


def animal_short(kind, rng, state):
    tables = {"sound": SOUNDS, "baby": BABIES, "legs": LEGS, "food": FOODS, "home": HOMES, "who": SOUNDS}
    a = rng.choice(list(tables[kind]))
    value = tables[kind][a]
    user = one(rng, ["[And|What about|How about|And what about] {a}?"], a=rng.choice([article(a), "the " + a]))
    answer = {"sound": f"{capital(article(a))} says \"{value}\".", "who": f"{capital(article(a))} says \"{value}\".", "baby": f"A baby {a} is called {article(str(value))}.",
              "legs": f"{capital(article(a))} has {['no', '', 'two', '', 'four', '', 'six', '', 'eight', '', 'ten'][value] if kind == 'legs' else ''} legs.",
              "food": f"{capital(article(a))} eats {value}.", "home": f"{capital(article(a))} lives {value}."}[kind]
    return Turn(user, answer, [partial(animal_short, kind)] if kind != "who" else [])


def plural(noun):
    return {"mouse": "mice", "wolf": "wolves", "sheep": "sheep", "goose": "geese", "deer": "deer", "fish": "fish", "fox": "foxes", "octopus": "octopuses", "person": "people", "ox": "oxen", "butterfly": "butterflies", "fly": "flies"}.get(noun, noun + "s")


def colour(rng, state):
    if rng.random() < 0.35:
        (a, b), c = rng.choice(list(MIXES.items()))
        if rng.random() < 0.5:
            a, b = b, a
        user = one(rng, ["What [colour|do you get when you mix|happens when I mix] {a} and {b}".replace("[colour|do", "[do") + "?", "[Mix|Mixing] {a} and {b} [gives|makes|gives what|makes which colour]?", "{a} and {b} [make|give] [what|which colour]?", "If I mix {a} [with|and] {b}, [what do I get|what comes out|which colour do I get]?", "{a} plus {b}, [which|what] colour is that?", "Which colour comes from {a} and {b}?"], a=a, b=b)
        return Turn(capital(user), f"{capital(a)} and {b} make {c}.", noise=1)
    thing = rng.choice(list(COLOURS))
    user = one(rng, ["What colour is {t}?", "Which colour [is|has] {t}?", "[What is the|Tell me the] colour of {t}", "{t} is [what|which] colour?", "What colour does {t} have?"], t=thing)
    other = rng.choice(list(COLOURS))
    follow = lambda rng, state: Turn(one(rng, ["[And|What about|How about] {t}?"], t=other), f"{capital(other)} is {COLOURS[other]}.")
    return Turn(user, f"{capital(thing)} is {COLOURS[thing]}.", [follow])


def calendar(rng, state):
    kind = rng.randrange(8)
    if kind < 2:
        names, unit = (DAYS, "day") if kind == 0 else (MONTHS, "month")
        i, back = rng.randrange(len(names)), rng.random() < 0.4
        other = names[(i + (-1 if back else 1)) % len(names)]
        word = "before" if back else "after"
        user = one(rng, ["[What|Which] {u} [comes|is] {w} {n}?", "{W} {n} comes [what|which {u}]?", "[What|Which] is the {u} {w} {n}?", "[What comes|And] {w} {n}?", "The {u} {w} {n}?"] + ([] if back else ["What follows {n}?", "{n} is followed by [what|which {u}]?", "[If today is|Today is|If it is|It is|Now it is] {n}[,|.] [what|which {u}] [is tomorrow|comes next|do we get next|will it be tomorrow|is next]?" if unit == "day" else "[If it is|It is|Now it is] {n}[,|.] [which|what] month [is next|comes next|do we get next]?", "The next {u} after {n}?"]), u=unit, w=word, W=capital(word), n=names[i])

        def more(rng, state, j=i):
            k = (j + (-1 if back else 1)) % len(names)
            return Turn(one(rng, ["And {w} that?", "And then?" if not back else "And before that?", "[And the {u} {w} that|{W} that]?"], w=word, u=unit, W=capital(word)), f"{names[(k + (-1 if back else 1)) % len(names)]} comes {word} {names[k]}.")
        return Turn(user, f"{other} comes {word} {names[i]}.", [more])
    if kind == 2:
        m = rng.choice(MONTHS)
        return Turn(one(rng, ["How many days [has|does|are in] {m}[| have]?".replace("[has|does|are in] {m}[| have]", "[are in {m}|does {m} have|has {m}]"), "How long is {m}?", "The number of days in {m}?"], m=m), f"{m} has {MONTH_DAYS[m]} days." + (" In a leap year, it has 29." if m == "February" else ""))
    if kind == 3:
        i = rng.randrange(12)
        return Turn(one(rng, ["[What|Which] is the {o} month[| of the year]?", "[Name|Tell me] the {o} month"], o=ORDINALS[i]), f"The {ORDINALS[i]} month is {MONTHS[i]}.")
    if kind == 4:
        q, a = rng.choice([("[How many days [are in|does|has] a week|What is the number of days in a week]".replace("[are in|does|has]", "are in"), "A week has seven days."), ("[How many months are in a year|How many months does a year have|How many months has a year]", "A year has twelve months."), ("[How many hours are in a day|How many hours does a day have|How long is a day]", "A day has 24 hours."),
                           ("[How many minutes are in an hour|How many minutes does an hour have|How long is an hour]", "An hour has 60 minutes."), ("[How many seconds are in a minute|How many seconds does a minute have|How long is a minute]", "A minute has 60 seconds."), ("[How many days are in a year|How many days does a year have|How long is a year]", "A year has 365 days, and a leap year has 366."),
                           ("[How many weeks are in a year|How many weeks has a year]", "A year has 52 weeks."), ("[How many years are in a century|How long is a century|What is a century]", "A century is 100 years."), ("[How many years are in a decade|What is a decade|How long is a decade]", "A decade is ten years."), ("[How many seconds are in an hour]", "An hour has 3600 seconds."), ("[What are the days of the week|Name the days of the week|List the days of the week|Tell me the weekdays|Which days has a week|Say all the days]", "The days are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday."),
                           ("[What are the months|Name the months of the year|List the months|Tell me all the months|List all months]", "The months are January, February, March, April, May, June, July, August, September, October, November and December."), ("[What is a leap year]", "A leap year has 366 days. It comes every four years."), ("[Which month is the shortest|What is the shortest month|The shortest month]", "February is the shortest month.")])
        return Turn(one(rng, [q + "?"]), a)
    if kind == 5:
        q, a = rng.choice([("[What are the four seasons|Name the seasons|Which seasons are there|How many seasons are there|List the seasons|What are the seasons]", "There are four seasons: spring, summer, autumn and winter."), ("[Which season is the coldest|What is the coldest season|When does it snow|Which season is cold]", "Winter is the coldest season."), ("[Which season is the warmest|What is the hottest season|Which season is hot]", "Summer is the warmest season."),
                           ("[What comes after winter|Which season follows winter|Which season comes after winter]", "Spring comes after winter."), ("[What comes after spring|Which season follows spring]", "Summer comes after spring."), ("[What comes after summer|Which season follows summer]", "Autumn comes after summer."), ("[What comes after autumn|Which season follows autumn]", "Winter comes after autumn."), ("[When do leaves fall|In which season do leaves fall|When do the trees lose their leaves]", "Leaves fall in autumn."), ("[When do flowers bloom|In which season do flowers grow]", "Many flowers bloom in spring.")])
        return Turn(one(rng, [q + "?"]), a)
    if kind == 6:
        return Turn(one(rng, ["[Which days are the weekend|What is the weekend|When is the weekend|Name the days of the weekend]?"]), "The weekend is Saturday and Sunday.")
    return Turn(one(rng, ["[When is|What is the date of|On which day is] [Christmas|Christmas Day]?"]), "Christmas Day is on 25 December.") if rng.random() < 0.5 else Turn(one(rng, ["[When does the year begin|What is the first day of the year|When is New Year]?"]), "The year begins on 1 January.")


def planet(rng, state):
    if rng.random() < 0.35:
        i = rng.randrange(8)
        return Turn(one(rng, ["[Which|What] is the {o} planet[| from the sun| of the solar system]?", "[Name|Tell me] the {o} planet[| from the sun]"], o=ORDINALS[i]), f"The {ORDINALS[i]} planet from the sun is {PLANETS[i]}.")
    q, a = rng.choice(PLANET_FACTS)
    return Turn(one(rng, [q + "[?|]"]), a, [planet])


PLANET_FACTS = [
    ("[Which planet is the biggest|What is the largest planet|What is the biggest planet|Which is the largest planet in the solar system|The biggest planet|Of all planets, which is the biggest|Which of the planets is the largest one|Is there a planet bigger than all others|Which planet is a giant|Name the giant planet|Name the largest planet|What planet is the biggest one]", "Jupiter is the biggest planet."),
    ("[Which planet is the smallest|What is the smallest planet|The smallest planet|Name the smallest planet]", "Mercury is the smallest planet."),
    ("[Which planet is red|What is the red planet|Which planet is called the red planet|Which planet looks red]", "Mars is the red planet."),
    ("[Which planet has rings|Which planet is famous for its rings|What planet has big rings]", "Saturn has beautiful rings."),
    ("[How many planets are there|How many planets has the solar system|How many planets are in our solar system|The number of planets]", "There are eight planets in our solar system."),
    ("[Which planet is closest to the sun|What planet is nearest to the sun|Which planet is next to the sun]", "Mercury is closest to the sun."),
    ("[Which planet is the farthest from the sun|What is the most distant planet|Which planet is far away from the sun]", "Neptune is the farthest planet from the sun."),
    ("[Which planet do we live on|On which planet do we live|What is our planet called|What planet are we on|The name of our planet]", "We live on Earth."),
    ("[Which planet is the hottest|What is the hottest planet]", "Venus is the hottest planet."),
    ("[Name the planets|List the planets|What are the planets|Tell me all planets|Which planets are there|List all planets in order|What planets do you know]", "The planets are Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus and Neptune."),
    ("[How many moons does Earth have|How many moons has the Earth]", "Earth has one moon."),
    ("[Is the sun a star|What is the sun|Is the sun a planet|What kind of thing is the sun]", "The sun is a star. It gives us light and warmth."),
    ("[What is the moon|What is our moon]", "The moon is a ball of rock that goes around the Earth."),
    ("[Is the moon bigger than the Earth|Which is bigger, the moon or the Earth|Is the Earth bigger than the moon]", "The Earth is bigger than the moon."),
    ("[Is the sun bigger than the Earth|Which is bigger, the sun or the Earth|How big is the sun]", "The sun is much bigger than the Earth."),
    ("[How long does the Earth need to go around the sun|How long does it take the Earth to circle the sun]", "The Earth needs one year to go around the sun."),
    ("[Is Pluto a planet|What is Pluto]", "Pluto is a dwarf planet today."),
]


def word(rng, state):
    kind = rng.choice(["opposite", "opposite", "opposite", "plural", "rhyme", "spell", "spell", "letters", "first", "shape", "unit", "alphabet"])
    if kind == "opposite":
        a, b = rng.choice(OPPOSITES)
        if rng.random() < 0.5 and a not in ("light", "heavy") and b not in ("light", "short", "soft"):
            a, b = b, a
        user = one(rng, ["[What is|Tell me|Name|Say|Give me|Do you know] the opposite of {a}", "[The opposite|Opposite|opposite] of {a}?", "What is the contrary of {a}?", "{a} is the opposite of [what|which word]?", "Not {a}, but?", "Which word [means the opposite of|is the opposite of] {a}?", "[If something|When something|If somebody|If a thing] is not {a}, [it is|then it is|what is it]?", "I [look for|need|am after|want] the opposite of {a}", "[What would be|Could you give me] the opposite of {a}?"], a=rng.choice([a, a, f'"{a}"']))

        def more(rng, state):
            c, d = rng.choice(OPPOSITES)
            return Turn(one(rng, ["[And|What about|How about|And of] {c}?"], c=c), f"The opposite of {c} is {d}.", [more])
        return Turn(user, f"The opposite of {a} is {b}.", [more])
    if kind == "plural":
        a, b = rng.choice(list(PLURALS.items()))
        return Turn(one(rng, ["[What is|Tell me] the plural of {a}", "The plural of {a}?", "One {a}, two[ what]?", "[What do you call more than one|What is the word for two of a] {a}?"], a=a), f"The plural of {a} is {b}.")
    if kind == "rhyme":
        a, b = rng.choice(list(RHYMES.items()))
        return Turn(one(rng, ["[What rhymes|Which words rhyme] with {a}?", "[Find|Give me|Tell me|I need] [a rhyme for|words that rhyme with|a word that rhymes with] {a}", "A rhyme [for|on|with] {a}?"], a=a), f"Words that rhyme with {a}: {b}.")
    if kind in ("spell", "letters", "first"):
        w = rng.choice(SPELLED[:60])
        if kind == "spell":
            return Turn(one(rng, ["[How do you|How do I] [spell|write] {w}?", "Spell {w}", "Spell the word {w}", "[Can you|Please] spell {w}", "How is {w} [spelled|spelt]?", "What is the spelling of {w}?"], w=rng.choice([w, f'"{w}"'])), f"{w}: " + "-".join(w) + ".")
        if kind == "letters":
            return Turn(one(rng, ["How many letters [has|are in|does] {w}".replace("[has|are in|does]", "[has|are in]") + "?", "How many letters does the word {w} have?", "Count the letters [in|of] {w}", "How long is the word {w}?"], w=rng.choice([w, f'"{w}"'])), f"{w} has {len(w)} letters: " + "-".join(w) + ".")
        last = rng.random() < 0.4
        return Turn(one(rng, ["[What is|Tell me] the {o} letter of {w}", "[With which letter does {w} {v}|Which letter is the {o} in {w}|{w} {v}s with which letter]?"], o="last" if last else "first", v="end" if last else "start", w=w), f"{w} {'ends' if last else 'starts'} with the letter {(w[-1] if last else w[0]).upper()}.")
    if kind == "shape":
        s, n = rng.choice(list(SHAPES.items()))
        if rng.random() < 0.3:
            s, n = rng.choice([("triangle", 3), ("pentagon", 5), ("hexagon", 6), ("octagon", 8)])
            return Turn(one(rng, ["[Which|What] shape has {n} [sides|corners]?", "What is a shape with {n} [sides|corners] called?"], n=rng.choice([NUMBERS[n], n])), f"{capital(article(s))} has {NUMBERS[n]} sides.")
        return Turn(one(rng, ["How many [sides|corners] does {s} have?", "How many [sides|corners] has {s}?", "What is {s}?"], s=article(s)), f"{capital(article(s))} has {NUMBERS[n]} sides.")
    if kind == "alphabet":
        i = rng.randrange(25)
        q, a = rng.choice([("[How many letters are in the alphabet|How many letters does the English alphabet have]", "The English alphabet has 26 letters."), ("[What are the vowels|Name the vowels|Which letters are vowels]", "The vowels are A, E, I, O and U."), ("[What comes first in the alphabet|What is the first letter of the alphabet]", "The first letter is A."), ("[What is the last letter of the alphabet]", "The last letter is Z.")]
                          + [(f"[Which letter comes after|What comes after the letter|What letter follows] {chr(65 + i)}", f"{chr(66 + i)} comes after {chr(65 + i)}.")] * 3)
        return Turn(one(rng, [q + "?"]), a)
    q, a = rng.choice(UNITS)
    return Turn(one(rng, [q + "?"]), a)


UNITS = [
    ("[How many centimetres are in a metre|How many cm is one metre|How long is a metre|How many centimeters are in a meter]", "One metre has 100 centimetres."), ("[How many metres are in a kilometre|How long is a kilometre|How many meters is one kilometer|How many m are in 1 km]", "One kilometre has 1000 metres."),
    ("[How many grams are in a kilogram|How many grams is a kilo|How heavy is a kilogram]", "One kilogram has 1000 grams."), ("[How many millimetres are in a centimetre|How many mm are in a cm]", "One centimetre has 10 millimetres."), ("[How many millilitres are in a litre|How many ml is a litre]", "One litre has 1000 millilitres."),
    ("[How many is a dozen|What is a dozen|How many eggs are in a dozen]", "A dozen is twelve."), ("[How many bits are in a byte|What is a byte|How long is a byte]", "A byte has 8 bits."), ("[How many bytes are in a kilobyte]", "A kilobyte has 1000 bytes, and a kibibyte has 1024."), ("[How many cents are in a euro|How many cents are in a dollar|How many pennies are in a pound]", "One hundred."),
    ("[At what temperature does water boil|When does water boil|How hot is boiling water|What is the boiling point of water]", "Water boils at 100 degrees Celsius."), ("[At what temperature does water freeze|When does water freeze|What is the freezing point of water|When does water become ice]", "Water freezes at 0 degrees Celsius."), ("[How many inches are in a foot]", "One foot has 12 inches."), ("[What is half an hour in minutes|How many minutes is half an hour]", "Half an hour is 30 minutes."), ("[How much is a ton|How many kilograms are in a ton]", "A ton is 1000 kilograms."),
]
