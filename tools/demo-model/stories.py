"""Short stories and poems about a subject that the user names."""

from functools import partial

from grammar import Turn, article, capital, one
from words import BEINGS, NAMES, SYLLABLES, THINGS

PLACES = ["in a quiet forest", "by the sea", "on a small island", "in an old town", "at the edge of a village", "high in the mountains", "near a wide river", "in a green valley", "behind the last house of the street", "on a sunny hill"]
TRAITS = ["small", "curious", "brave", "kind", "old", "lonely", "cheerful", "clever", "shy", "quiet"]
WISHES = ["to see the world", "to find a friend", "to hear the sea sing", "to touch the stars", "to learn a song", "to help somebody", "to find out where the wind sleeps", "to make others laugh", "to see snow", "to be useful"]
EVENTS = ["One night, a storm came, and everything went dark", "One morning, a strange letter lay at the door", "One day, a lost child came by, crying softly", "One evening, a bright light fell from the sky", "One winter day, all the paths were covered with snow", "One summer day, an old map came down the river"]
DEEDS = ["took a deep breath and went on, step by step", "asked a wise old owl for help", "shared the last piece of bread with a stranger", "followed the light until the morning", "sang a quiet song, and somebody answered", "had a clever idea and tried it at once"]
ENDS = ["From that day on, {the} was never alone again.", "And so {the} found out that small steps lead far.", "Since then, everybody in the village knows {the}.", "In the end, {the} came home happy and slept well.", "And if you listen at night, you can still hear {the} laugh.", "That is how {the} learned that courage is quiet."]
THING_WISHES = ["to be needed", "to see the world", "to make somebody happy", "to hear a story", "to shine for somebody", "to be found"]
THING_EVENTS = ["One night, a storm came, and a lost child found {the}", "One morning, a small girl saw {the} and stopped", "One day, an old man sat down beside {the}", "One evening, two lost friends found {the}", "One winter day, a tired bird rested beside {the}"]
THING_DEEDS = ["It gave hope until the morning", "It was just what was needed", "Soon everybody came to see it", "Suddenly it was the most important thing in the world"]
RHYMED = [
    ("{The} looks up to see the light,", "and says hello to the quiet night.", "The stars are many, the moon is near,", "and {the} is glad to be right here."),
    ("There once was {a} who loved the day,", "and liked to laugh and liked to play.", "When evening came, so soft and deep,", "{the} lay down and fell asleep."),
    ("{A} sat by the sea,", "as happy as can be.", "The wind sang a song,", "and {the} sang along."),
    ("Oh little world, so wide and new,", "{the} is thinking of me and you.", "The sun is warm, the sky is clear,", "and every day brings something dear."),
    ("Softly falls the summer rain,", "{the} looks through the window pane.", "Soon the sun will shine once more,", "and {the} will open up the door."),
]
THING_RHYMED = [
    ("{A} stands in the morning light,", "it waited through the quiet night.", "The wind goes by, the day is new,", "and {the} has a dream for you."),
    ("I saw {a} on my way,", "it made me smile, it made my day.", "So small it was, so still, so fine,", "I wish that {the} could be mine."),
    ("Oh {n}, oh {n}, so dear to me,", "you are as fine as you can be.", "Through sun and rain, through night and day,", "I hope that you will always stay."),
]
ASK = "[Tell|Write|Tell|Give|Write|Make up|Invent|Create|I want|I would like|Can you tell|Can you write|Please tell|Please write|Could you write|Could you tell|May I have|I want to hear|Let me hear|Do you know|Let us have]"


def subject(rng):
    """(noun, is it a being?); sometimes two words, sometimes an invented one, so that copying is learned."""
    draw = rng.random()
    if draw < 0.12:
        return "".join(rng.choice(SYLLABLES) for _ in range(rng.choice([2, 3]))) + rng.choice(["n", "r", "", "k", "l"]), rng.random() < 0.5
    if draw < 0.55:
        return rng.choice(BEINGS), True
    return rng.choice(THINGS), False


def tell(rng, noun, being):
    a, the = article(noun), "the " + noun
    if being:
        hero = rng.choice(NAMES) if rng.random() < 0.1 else None
        start = one(rng, ["Once upon a time, {t} {n}{h} lived {p}.", "There was once {t} {n}{h} who lived {p}.", "Far away, {p}, lived {t} {n}{h}."], t=article(rng.choice(TRAITS)), n=noun, p=rng.choice(PLACES), h=f" called {hero}" if hero else "")
        wish = one(rng, ["{T} wanted {w}.", "{T} had only one wish: {w}.", "Every evening, {t} dreamed: one day I want {w}.".replace("dreamed: one day I want {w}", "wished {w}")], T=hero or capital(the), t=hero or the, w=rng.choice(WISHES))
        middle = f"{rng.choice(EVENTS)}. {hero or capital(the)} {rng.choice(DEEDS)}."
        end = rng.choice(ENDS).replace("{the}", hero or the)
    else:
        hero = None
        start = one(rng, ["Once upon a time, there was {t} {n} {p}.", "{P}, there was once {t} {n}."], t=article(rng.choice(["small", "old", "lonely", "forgotten", "magic", "quiet"])), n=noun, p=rng.choice(PLACES), P=capital(rng.choice(PLACES)))
        wish = one(rng, ["{T} wanted {w}.", "It had only one wish: {w}."], T=capital(the), w=rng.choice(THING_WISHES))
        middle = f"{rng.choice(THING_EVENTS).replace('{the}', the)}. {rng.choice(THING_DEEDS)}."
        end = rng.choice(["From that day on, {the} was never alone again.", "Since then, everybody in the village loves {the}.", "And {the} is still there today.", "That is how {the} became famous."]).replace("{the}", the)
    return " ".join([start, wish, middle, end]), hero


def rhyme(rng, noun, being):
    lines = rng.choice(RHYMED if being else THING_RHYMED)
    values = {"{The}": "The " + noun, "{the}": "the " + noun, "{A}": capital(article(noun)), "{a}": article(noun), "{n}": noun}
    text = "\n".join(lines)
    for key, value in values.items():
        text = text.replace(key, value)
    return text


def named(rng, noun):
    """How the user names the subject: mostly "a fox", sometimes "the fox"."""
    return "the " + noun if rng.random() < 0.25 or noun in ("sea", "sky") else article(noun)


def follow_ups(rng, noun, being, hero, maker):
    out = [partial(another, maker), partial(another_about, maker), partial(who_was, noun)]
    if hero:
        out += [partial(hero_name, noun, hero)] * 3
    out.append(partial(story_why, noun))
    return out


def story(rng, state, given=None):
    noun, being = given or subject(rng)
    text, hero = tell(rng, noun, being)
    if rng.random() < 0.12 and not given:
        user = one(rng, ["[Tell|Write|Give|Read] me a [story|short story|fairy tale|bedtime story|nice story]", "[A story please|story|Tell me a story|Can you tell a story|I want a story|Once upon a time|Do you know a story|Make up a story|story time|A bedtime story, please][?||.]"])
    else:
        user = one(rng, [ASK + " [|me ]a [story|story|short story|tale|little story|fairy tale|bedtime story|tiny story|funny story|nice story] [about|about|on|with|of] {a}[.||?|]", "[A story|Story|story|A tale|A short story] about {a}[ please|.||, please|]", "[Tell|Write] a story about {b}", "[Tell me|Write] something about {a}, [as a story|a story]", "[What happened to|Tell the tale of] the {n}[? Tell me a story.|, please]", "I like {b}. [Tell me a story|Do you have a story for me|A story please][?||.]", "[My child|My son|My daughter|My little sister] wants a [story|tale] [about|with] {a}", "[Would you|Could you|Can you|Would you kindly|Could you kindly|Please,] [make up|invent|think of|come up with|read me|share] a [little|short|small|nice|new] [story|tale|bedtime story] [about {a}|with {a} in it|where {a} appears|on {a}][?||.]", "[A|One] [story|tale|bedtime story] [with {a} in it|in which {a} appears|for my child with {a}|where {a} is the hero] [would be nice|would be lovely|please|would make me happy]", "[Any|Got any|Do you have any] [stories|tales] [about|with] {a}?"], a=named(rng, noun), b=noun + "s" if noun[-1] not in "sxhyf" else article(noun), n=noun)
    return Turn(user, text, follow_ups(rng, noun, being, hero, story), noise=0.6)


def poem(rng, state, given=None):
    noun, being = given or subject(rng)
    if rng.random() < 0.12 and not given:
        user = one(rng, ["[A poem please|poem|Write a poem|Tell me a poem|Can you write a poem|Do you know a poem|Give me a poem|I would like a poem|Can you rhyme|Make a rhyme][?||.]"])
    else:
        user = one(rng, [ASK + " [|me ]a [poem|poem|short poem|rhyme|little poem|verse|small poem|nice poem] [about|about|on|for|of] {a}[.||?|]", "[A poem|Poem|poem|A rhyme|Some lines|Some verses] about {a}[ please|.||]", "Can you rhyme about {a}?", "[Some|A few|Four|Two] [rhymes|lines|verses|rhyming lines|lines that rhyme] [about|on|for] {a}[ would be lovely| would be nice|, please| please|]", "[Would you|Could you|Can you|Would you kindly] [make|write|compose|share|give me] [a poem|some verses|a rhyme|a few rhymes] [about|on|for] {a}[?|]", "[I need|I would like|I love] [a poem|rhymes|verses] about {a}[. One please|, do you have one|]"], a=named(rng, noun), n=noun)
    return Turn(user, rhyme(rng, noun, being), [partial(another, poem), partial(another_about, poem), partial(as_story, noun, being)], noise=0.6)


def as_story(noun, being, rng, state):
    turn = story(rng, state, (noun, being))
    turn.user = one(rng, ["[And as a story|Now a story about it|And a story about it|Can you make a story of it|And now a story][?||.| please]"])
    return turn


def another(maker, rng, state):
    turn = maker(rng, state)
    turn.user = one(rng, ["[Another one|Tell me another|Tell me another one|One more|Again|Another|More|Next|Give me another one|Do you have another one|I want another|One more please][| please|!|?]"])
    return turn


def another_about(maker, rng, state):
    given = subject(rng)
    turn = maker(rng, state, given)
    turn.user = one(rng, ["[And one|Now one|And now one|Another one|One more|One] about {a}[| please|?|.]", "[And|What about|How about|Now] {a}[?|]"], a=article(given[0]))
    return turn


def hero_name(noun, hero, rng, state):
    return Turn(one(rng, ["What was the name of the {n}?", "[What was|What is] [his|her|its|the {n}'s] name?", "What was the {n} called?", "How was the {n} called?", "Who was the story about?"], n=noun), one(rng, ["The {n} was called {h}."], n=noun, h=hero))


def who_was(noun, rng, state):
    return Turn(one(rng, ["[What was the story about|Who was in the story|What was that about|Who is it about][?|]"]), f"It was about {article(noun)}.")


def story_why(noun, rng, state):
    return Turn(one(rng, ["[Why|And why|But why|Why did that happen|How come][?|]"]), f"Only the {noun} knows! It is a made-up tale.")


def plain_text(rng):
    """Text without a chat, so that continuing a bare prompt works a little too."""
    noun, being = subject(rng)
    return tell(rng, noun, being)[0] if rng.random() < 0.7 else rhyme(rng, noun, being)
