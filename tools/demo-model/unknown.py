"""Questions that so small a model can not answer, in great variety, so that saying so generalises."""

from grammar import Turn, capital, one
from science import DEFINITIONS
from words import BEINGS, CITIES, COUNTRIES, ENDINGS, JOBS, NAMES, SOUNDS, BABIES, SYLLABLES, THINGS

SURNAMES = "Smith Jones Miller Brown Wilson Taylor Moore Clark Lewis Walker Hall Young King Wright Hill Green Baker Adams Nelson Carter Mitchell Roberts Turner Parker Evans Collins Stewart Morris Rogers Cook Bell Murphy Bailey Cooper Einstein Newton Shakespeare Mozart Beethoven Picasso Napoleon Caesar Lincoln Washington Obama Trump Musk Gates Jobs Curie Darwin Kant Plato Goethe Bach Chopin Messi Ronaldo Federer Swift Turing Lovelace Torvalds".split()
ILLS = ["a headache", "a fever", "back pain", "a sore throat", "a cough", "a rash", "stomach pain", "chest pain", "a broken arm", "diabetes", "high blood pressure", "an allergy", "the flu", "a toothache", "cancer", "asthma", "depression"]
DRUGS = ["aspirin", "ibuprofen", "antibiotics", "paracetamol", "insulin", "vitamin D", "these pills", "penicillin", "my medicine"]
EVENTS = ["the war", "the election", "the world cup", "the Olympic games", "the revolution", "the first world war", "the second world war", "the fall of Rome", "the moon landing", "the French revolution", "the last election", "the conference", "the festival", "the big earthquake", "the strike", "the treaty", "the championship"]
SUBJECTS = """quantum physics|relativity|inflation|the stock market|bitcoin|blockchain|photosynthesis in detail|calculus|linear algebra|topology|philosophy|existentialism|
the periodic table|organic chemistry|genetics|DNA sequencing|evolution|black holes|dark matter|nuclear fusion|thermodynamics|economics|tax law|the constitution|contract law|insurance|
mortgages|politics|the parliament|feminism|capitalism|communism|religion|Buddhism|the Bible|the Koran|mythology|Zeus|Odin|Hamlet|the Odyssey|War and Peace|Harry Potter|Star Wars|
jazz|opera|techno|impressionism|the renaissance|the middle ages|the Roman empire|the Vikings|the Aztecs|ancient Egypt|the industrial revolution|the cold war|
Kubernetes|Docker|TCP|DNS|Rust|JavaScript|Haskell|compilers|cryptography|machine code|neural networks in detail|transformers|backpropagation|reinforcement learning|
archaeology|linguistics|psychology|sociology|meteorology|geology|plate tectonics|marine biology|sourdough|wine|whisky|cheese making|fashion|make-up|tattoos|
diesel engines|electric cars|airplanes|helicopters|trains in Japan|nuclear power|solar panels|wind power|climate change|recycling|plastics|steel|concrete|
the human genome|vaccines|the immune system|the liver|the kidneys|neurons|hormones|viruses|bacteria|antibiotics|the stock exchange|hedge funds|the central bank""".replace("\n", "").split("|")
LANGUAGES = "French German Spanish Italian Chinese Japanese Russian Latin Greek Arabic Dutch Polish Swedish Turkish Korean Hindi Portuguese Finnish".split()
OTHER = """Bonjour, comment allez-vous?|Hola, que tal?|Guten Tag, wie geht es dir?|Was ist Apus?|Wer bist du?|Ciao, come stai?|Quelle heure est-il?|Wie ist das Wetter?|Donde esta la biblioteca?|Ich verstehe nicht|Je ne comprends pas|Parlez-vous francais?|Sprichst du Deutsch?|Hablas espanol?|Como te llamas?|Wie heisst du?|Comment tu t'appelles?|Qual e il tuo nome?|Kannst du mir helfen?|Peux-tu m'aider?|Puedes ayudarme?|Erzahl mir eine Geschichte|Raconte-moi une histoire|Cuentame una historia|Dziekuje bardzo|Jak sie masz?|Hur mar du?|Hvordan gar det?|Hoe gaat het?|Mita kuuluu?|Merhaba, nasilsin?|Ola, tudo bem?|Obrigado|Merci beaucoup|Danke|Gracias|Grazie mille|Salve, quid agis?|Привет, как дела?|你好|こんにちは|안녕하세요|مرحبا|Γειά σου|नमस्ते|Что ты умеешь?|你叫什么名字|今日の天気は?|Bonjour|Hola|Guten Morgen|Ciao|Konnichiwa|Namaste|Was kannst du?|Que puedes hacer?|Que peux-tu faire?|Hallo, wie geht's?""".split("|")
PRODUCTS = "phone laptop car fridge washing machine camera printer television bike router heating radiator watch tablet dishwasher".split()
CODE = ["a Python function that sorts a list", "a program in C", "a web server in Go", "a regex for email addresses", "a SQL query", "an HTML page", "a bash script", "a game in JavaScript", "a sorting algorithm", "a class in Java", "a unit test", "a Dockerfile", "a quicksort", "a function that reverses a string", "a loop in Python", "fizzbuzz", "a Swift program", "code", "some code", "a script that renames files"]
LONG = ["an essay", "a long essay", "a novel", "a thesis", "a business plan", "a contract", "a cover letter", "my homework", "a speech", "a newspaper article", "a blog post", "a summary of this book", "a report", "a resume", "a press release", "a wedding speech", "a marketing plan", "a study", "a screenplay", "lyrics for a rap song", "an application"]

DONT = ["I am sorry, I do not know that. I am only a tiny demo model.", "I do not know that, I am sorry. A bigger model could help you."]


def person(rng):
    first = rng.choice(NAMES)
    last = rng.choice(SURNAMES) if rng.random() < 0.7 else capital("".join(rng.choice(SYLLABLES) for _ in range(rng.choice([2, 3])))) + rng.choice(ENDINGS)
    return f"{first} {last}" if rng.random() < 0.75 else last


def invented(rng):
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.choice([2, 3, 3, 4]))) + rng.choice(ENDINGS)


def weather(rng):
    return one(rng, ["[What is|How is|How will be|Tell me] the weather [today|tomorrow|now|outside|like|going to be|in {c}|like in {c}|this weekend|forecast]?", "[Will it|Does it|Is it going to] [rain|snow|be sunny|be cold|be hot|be windy] [today|tomorrow|in {c}|now|this week|tonight]?", "[Is it|How] [cold|warm|hot|sunny|windy|raining] [outside|today|in {c}|now|there]?", "[Do I need an umbrella|weather today|weather|forecast for {c}|weather {c}|What is the temperature outside|What is the temperature in {c}|How many degrees is it][| today]?"], c=rng.choice(CITIES)), ["I can not see the weather, I am sorry. A look out of the window will help!", "I do not know the weather, because I have no connection to the outside."]


def news(rng):
    return one(rng, ["[What is|What are|Tell me|Give me|Show me] the [news|latest news|headlines|news today|news from {c}|sports results|lottery numbers|football results|traffic news]", "What happened [today|yesterday|this week|in {c}|in the world|last night|in politics]?", "Who won [{e}|the match|the game yesterday|the last game|the Nobel prize|the Oscar|the cup|the race]?", "[Who is the|Who was the|Name the] [president|prime minister|king|queen|chancellor|mayor|richest man|champion|best football player|boss|minister|pope|CEO] [of {k}|of {c}|now|in the world|of the company]?", "[What is the price of|How much is|What costs|How much does it cost to buy] [a bitcoin|gold|a house in {c}|a flight to {c}|gas|the stock of Apple|oil|a new {p}|a ticket to {c}]?", "When is the next [train to {c}|bus|flight|election|holiday|full moon|concert|match|eclipse|meeting]?", "[What is on|What is new on] [television|the radio|the internet|Netflix][| tonight| today]?", "[What is the exchange rate|How is the stock market|What is the dollar worth|Which team leads the league|How did {c} play]?"], c=rng.choice(CITIES), k=rng.choice(list(COUNTRIES)), e=rng.choice(EVENTS), p=rng.choice(PRODUCTS)), ["I do not know the news or what happens in the world, I am sorry.", "I can not know that: I have no news and no internet."]


def people(rng):
    return one(rng, ["[Who is|Who was|Do you know|Tell me about|Tell me something about|Have you heard of|What do you know about] {p}?", "[When|Where] was {p} born?", "[When|How] did {p} die?", "[What did|Why did] {p} [do|say|invent|write|discover|become famous|leave]?", "[Is|Was] {p} [a good person|famous|rich|still alive|married|a {j}]?", "How [old|tall|rich] is {p}?", "Who is the [wife|husband|father|mother|daughter|son|boss|teacher] of {p}?", "What [books|songs|films] [did|has] {p} [write|made|make]?"], p=person(rng), j=rng.choice(JOBS)), ["I am sorry, I do not know much about people.", "I do not know about that person, I am sorry."]


def medicine(rng):
    return one(rng, ["[I have|My child has|My wife has|My husband has|My father has] {i}. [What should I do|What can I take|What is it|Is that bad|Do I need a doctor|What helps|Help]?", "[What helps against|How do I treat|How do I cure|What are the symptoms of|What causes|Is there a cure for|What is the best medicine for|How dangerous is] {i}?", "[How much|How many] {d} [should I take|can I take|may I take|is too much|can a child take]?", "[Is|Are] {d} [safe|dangerous|good for me|addictive]?", "Can I take {d} [with alcohol|every day|with coffee|while pregnant]?", "[Am I ill|Am I pregnant|Do I have cancer|Should I see a doctor|My head hurts|My stomach hurts|My tooth hurts|I feel sick|I feel dizzy|It hurts|I cut my finger|My knee hurts|I broke my leg|I have pain]", "[Diagnose me|Give me medical advice|Which doctor do I need for] {i}"], i=rng.choice(ILLS), d=rng.choice(DRUGS)), ["I can not give medical advice, I am sorry. Please ask a doctor.", "Please ask a doctor about that. I am only a tiny demo model."]


def money_law(rng):
    return one(rng, ["[Should I|Can I|Must I] [buy|sell] [bitcoin|shares|gold|a house|stocks|a car|insurance][| now]?", "[Can I sue|How do I sue|May I fire|Is it legal to|Do I have to pay taxes|How much tax do I pay|How do I get a divorce|What does the law say about] [my neighbour|my landlord|my boss|my bank|record a call|park here|a contract|on my rent]?", "[What will happen to|How do I invest|Where do I invest] [my money|1000 euros|the stock market|the economy]?", "How do I [get rich|get a loan|make a will|fill in my tax form|open a company]?"]), ["I can not give advice on money or law, I am sorry.", ]


def study(rng):
    s = rng.choice(SUBJECTS)
    return one(rng, ["[Explain|Tell me about|What is|Describe|What do you know about|Teach me|How does one understand|Can you explain|I want to learn about|Summarise|Give me an overview of|I need help with|Do you know anything about] {s}[?||.]", "[Who invented|Who discovered|What is the history of|Why is it important to know|What is the future of|What are the basics of|What is your opinion on|What do experts say about|What are the problems of|Compare the theories of|How does it work:] {s}?", "[When|Why|Where|How] did {e} [begin|end|start|happen|take place]?", "[What caused|Who lost|Who fought in|How long was|What were the results of] {e}?", "[What is the difference between|How are they related:] {s} and {t}?"], s=s, t=rng.choice(SUBJECTS), e=rng.choice(EVENTS)), DONT


def code(rng):
    return one(rng, ["[Write|Write me|Give me|Show me|Can you write|Program|Please write|Code|Make|Create|I need|Generate|Help me to write] {c}[|.|?]", "[Fix|Debug|Explain|Review|Refactor|Translate to Rust|Optimise] [this code|my code|this function|this program][: for i in x|: x = y + 1|: print(a)|: if (a) b();|]", "How do I [sort a list|read a file|parse JSON|open a socket|make a loop|use pointers|write a class|center a div|undo a git commit|merge branches] in [Python|C|Java|Rust|Go|JavaScript|CSS|git|PHP]?", "[What does this error mean: |Why do I get ][segmentation fault|null pointer exception|index out of range|undefined is not a function|syntax error near line 3]"], c=rng.choice(CODE)), ["I am too small to write code, I am sorry. Please load a bigger model for that: `apus serve MODEL.gguf`.", ]


def writing(rng):
    return one(rng, ["[Write|Write me|Can you write|Please write|Help me with|I need|Make|Create|Draft] {l} [about {s}|for my boss|for school||.|please|for my {j}|on {s}]", "[Summarise|Proofread|Correct|Improve|Shorten|Rewrite|Translate] [this text|the following text|my text|this article|this email|this sentence][: The cat sat on the mat.|: I has a dog.|: hello world|.|: it was a dark night|]"], l=rng.choice(LONG), s=rng.choice(SUBJECTS), j=rng.choice(JOBS)), ["That is too much for a model as small as I am. Please load a bigger one: `apus serve MODEL.gguf`.", ]


def other_language(rng):
    if rng.random() < 0.6:
        return rng.choice(OTHER), ["I am sorry, I understand only English."]
    return one(rng, ["[Translate|How do you say|Say|What is|Please translate|Can you translate] [hello|good morning|thank you|I love you|the house|dog|water|my name is Tom|how are you|cat|tree|friend|where is the station] [in|into|to] {l}[?|]", "[Speak|Answer in|Answer me in|Write in|Talk to me in|Now in|Continue in|Reply in] {l}[| please]"], l=rng.choice(LANGUAGES)), ["I am sorry, I know only English."]


def things(rng):
    x = invented(rng)
    return one(rng, ["[What is|What are|Explain|Tell me about|What does one do with|Define|Have you heard of|Who is|Where is|How do I use|What is the meaning of|Do you know] [a |the |]{x}[?||s?|s]", "[How|Why|When|Where|What|Who] [did|does|is|was|will|can] [the |a |my |our |]{x} [work|come|go|happen|do|be|say|live|break|grow][?|]", "[My|The|Our] {p} [does not work|is broken|makes a noise|is too slow|fell into the water|does not start|is lost]. [What now|What should I do|Help|How do I fix it|Why]?", "[Where is my|Where did I put my|Can you find my|Who took my] [key|wallet|phone|dog|bag|book|glasses|ticket]?", "How [many|much|far|long|high|deep|old|heavy] is [the river|the tower|the bridge|the lake|the castle|it|the building|the road|the mountain|a {x}] [in {c}|from {c}||to {c}]?", "[Where can I|Where do I|How do I] [eat in {c}|park in {c}|get to {c}|stay in {c}|buy {x}|find a {j}|rent a car in {c}|meet a {j}]?", "[What is the phone number of|What is the address of|How do I contact|When does it open:] [the bank|the museum in {c}|the {j}|{n}|the station|the shop|my school|city hall]?", "[How many|How much] [people live in|hotels are in|rain falls in|bridges are in] {c}?", "[Who will win|What will happen in|Predict|What comes in] [the next election|ten years|the future|the lottery|my life|next year|the game]?", "[Guess|Do you know|Tell me] [my age|what I think|my favourite number|what I did yesterday|what is in my pocket|who I voted for|my password|my bank account]", "[What is the best|Recommend a|Which is the best] [restaurant|phone|car|laptop|university|hotel|game|band|TV show|brand|school|football club][| in {c}]?", "[Play|Let us play|Can we play] [chess|a game|hangman|tic tac toe|twenty questions|cards|a word game]", "[Explain|Why is|Tell me why] [the {x} theory|life so hard|everyone so rude|the bus late|my boss angry|music beautiful|time passing so fast][?|]"], x=x, p=rng.choice(PRODUCTS), c=rng.choice(CITIES), j=rng.choice(JOBS), n=person(rng)), DONT


UNDEFINED = [noun for noun in BEINGS + THINGS if noun not in DEFINITIONS and noun not in ("moon", "sun", "rainbow", "snowflake")]
UNHEARD = [noun for noun in "giraffe zebra fox rabbit squirrel hedgehog dolphin whale crab snail camel panda koala lizard octopus butterfly ant spider deer badger otter moose penguin swan shark worm kangaroo".split() if noun not in SOUNDS]


def nouns(rng):
    """Things that the definitions and the animal facts do not cover."""
    if rng.random() < 0.3:
        return one(rng, ["[What|Which] [sound|noise] does [a|the] {n} make?", "What does [a|the] {n} say?", "[How fast|How old|How heavy] [can|does|is] [a|the] {n} [run|get|become|grow]?", "How many [eggs|teeth|babies|eyes] does [a|the] {n} have?"], n=rng.choice(UNHEARD)), DONT
    return one(rng, ["[What is|Define|What exactly is|Tell me what is] [a|the] {n}?", "[What does|What is the meaning of the word] {n}[ mean|]?".replace("[What does|What is the meaning of the word] {n}[ mean|]", "[What is the meaning of|What is meant by] {n}"), "[Who invented|Who discovered|Who built] the [first |]{n}?", "[How do I|How does one] [build|make|repair|sell|draw|catch] a {n}?", "[How much does|What does] a {n} [cost|weigh]?", "[When|Where] was the first {n} [made|built|seen|found]?"], n=rng.choice(UNDEFINED)), DONT


def danger(rng):
    return one(rng, ["[How do I|Tell me how to|Can you help me to|I want to] [build a bomb|hack a bank|steal a car|kill somebody|make a virus|break into a house|make drugs|buy a weapon|hurt someone|crack a password|poison my neighbour]"]), ["I will not help with that."]


MAKERS = [(weather, 4), (news, 5), (people, 6), (medicine, 4), (money_law, 1.5), (study, 6), (code, 3), (writing, 2.5), (other_language, 4), (things, 7), (nouns, 4), (danger, 0.7)]


def unknown(rng, state):
    maker = rng.choices([m for m, _ in MAKERS], [w for _, w in MAKERS])[0]
    user, answers = maker(rng)
    return Turn(capital(user), one(rng, answers), [why])


def why(rng, state):
    return Turn(one(rng, ["[Why|Why not|How come|Why is that|But why|Why do you not know|Why can you not][?|]"]), "Because I am a tiny demo model with a small memory. A real model knows far more.")
