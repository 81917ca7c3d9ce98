"""Science for children, short definitions, and simple advice."""

from functools import partial

from grammar import Turn, article, capital, one

SCIENCE = [
    ("[For what reason is the sky blue|What is the reason for the blue sky|What gives the sky its blue colour|Why is the sky above us blue|Why is the sky blue|What makes the sky blue|Why does the sky look blue|Can you explain why the sky is blue|Why do we see a blue sky|How come the sky is blue]", "Sunlight hits the air, and the air scatters blue light the most. So the sky looks blue.", "Blue light has short waves, and the air scatters short waves more."),
    ("[Why does it rain|Where does rain come from|How does rain form|What makes rain|How is rain made|What is rain|Why do we have rain]", "Water from seas and lakes rises as vapour and makes clouds. When the drops get heavy, they fall as rain.", "Because heavy drops can not float in the air."),
    ("[Why is grass green|Why are leaves green|Why are plants green|What makes leaves green]", "Plants are green because of chlorophyll. With it they make food from sunlight.", "Because plants need sunlight to grow."),
    ("[Why do leaves fall in autumn|Why do trees lose their leaves|Why do leaves turn red]", "Trees drop their leaves in autumn to save water during the cold winter.", "Because cold ground gives a tree little water."),
    ("[Why do we sleep|Why do people need sleep|Why is sleep important|What is sleep good for|Why must I sleep]", "Sleep lets the body rest and helps the brain to remember what it learned.", "Because the body and the brain get tired during the day."),
    ("[Why is the sea salty|Why is the ocean salty|How did salt get into the sea|Why does sea water taste salty]", "Rain washes salt out of rocks, and rivers carry it into the sea.", "Because the water leaves the sea as vapour, but the salt stays."),
    ("[What is gravity|Why do things fall down|Why does an apple fall|What makes things fall|Explain gravity|Why do we not float away]", "Gravity is the force that pulls things toward the Earth. That is why things fall down.", "Because everything that has mass pulls on other things."),
    ("[What is a rainbow|How does a rainbow form|Why do we see a rainbow|How is a rainbow made|Where does a rainbow come from]", "Raindrops split sunlight into its colours. Together they make a rainbow.", "Because each colour of light bends a little differently in water."),
    ("[Why does ice float|Why does ice swim on water]", "Ice is lighter than water, so it floats.", "Because water spreads out when it freezes."),
    ("[How do birds fly|Why can birds fly|How can a bird stay in the air|What lets birds fly]", "Birds have light bones and strong wings. Their wings push the air down, and so they rise.", "Because light bones make it easy to stay in the air."),
    ("[How do fish breathe|How can fish breathe under water|Why do fish not drown]", "Fish breathe with gills, which take oxygen out of the water.", "Because all animals need oxygen."),
    ("[How do plants grow|What do plants need to grow|What does a plant need|How does a seed grow|What do flowers need]", "Plants need water, light, air and soil to grow.", "Because they make their food from water, air and light."),
    ("[Why is it dark at night|Why is there night|Why do we have day and night|What makes day and night|How does night come]", "The Earth turns once a day. At night, our side looks away from the sun.", "Because the Earth spins like a ball."),
    ("[Why are there seasons|Why do we have seasons|Why is it cold in winter|Why is winter cold|What causes the seasons|Why is summer warm]", "The Earth is tilted. In summer our side leans toward the sun, and in winter it leans away.", "Because light that falls straight down warms more."),
    ("[What is thunder|Why does it thunder|What is lightning|What makes lightning|How does lightning form]", "Lightning is a huge electric spark in a cloud, and thunder is the sound that it makes.", "Because the spark heats the air very fast."),
    ("[Why do cats purr|Why does a cat purr]", "Cats purr when they feel safe and happy, and sometimes to calm themselves.", "Because it feels good to them."),
    ("[Why do dogs bark|Why does my dog bark]", "Dogs bark to warn, to say hello, or because they want something.", "Because it is their way to talk."),
    ("[Why do bees make honey|How do bees make honey|What is honey made of|Where does honey come from]", "Bees collect nectar from flowers and turn it into honey. It is their food for the winter.", "Because there are no flowers in winter."),
    ("[Why do we eat|Why do we need food|Why must we eat]", "Food gives the body energy and lets it grow.", "Because the body uses energy all the time."),
    ("[Why do we breathe|Why do people need air|Why do we need oxygen]", "The body needs oxygen from the air to turn food into energy.", "Because every part of the body uses oxygen."),
    ("[What does the heart do|Why does the heart beat|What is a heart for|What is the job of the heart]", "The heart pumps blood through the whole body.", "Because blood carries oxygen and food."),
    ("[What is the brain for|What does the brain do]", "The brain thinks, remembers and controls the body.", "Because something must steer the body."),
    ("[How many bones does a human have|How many bones are in the body]", "A grown human has 206 bones.", "Because some bones grow together as a child grows up."),
    ("[What is water made of|What does water consist of|What is H2O|What is the formula of water]", "Water is made of hydrogen and oxygen. Its formula is H2O.", "Because two hydrogen atoms join one oxygen atom."),
    ("[What is the biggest animal|What is the largest animal|Which animal is the biggest|The biggest animal in the world]", "The blue whale is the biggest animal.", "Because the water carries its weight."),
    ("[What is the fastest animal|Which animal is the fastest|Which animal runs fastest|What is the fastest land animal]", "The cheetah is the fastest animal on land.", "Because it has long legs and a light body."),
    ("[What is the tallest animal|Which animal is the tallest]", "The giraffe is the tallest animal.", "Because it eats leaves from high trees."),
    ("[What is the highest mountain|Which mountain is the highest|The highest mountain in the world|How high is Mount Everest|What is the tallest mountain]", "Mount Everest is the highest mountain. It is about 8849 metres high.", "Because two parts of the Earth's crust push against each other there."),
    ("[What is the longest river|Which river is the longest|The longest river in the world]", "The Nile is usually called the longest river.", "Because it flows through eleven countries."),
    ("[What is the largest ocean|Which ocean is the biggest|What is the biggest ocean|The largest sea]", "The Pacific is the largest ocean.", "Because it covers about a third of the Earth."),
    ("[What is the biggest country|Which country is the largest|The largest country in the world]", "Russia is the largest country by area.", "Because it reaches from Europe across all of northern Asia."),
    ("[How many continents are there|Name the continents|What are the continents|List the continents]", "There are seven continents: Africa, Antarctica, Asia, Australia, Europe, North America and South America.", "Because people divided the land that way."),
    ("[How many oceans are there|Name the oceans|What are the oceans]", "There are five oceans: the Pacific, Atlantic, Indian, Arctic and Southern Ocean.", "Because people divided the sea that way."),
    ("[How fast is light|What is the speed of light|How fast does light travel]", "Light travels about 300,000 kilometres in one second.", "Because nothing with mass can be as fast as light."),
    ("[How far is the moon|How far away is the moon|What is the distance to the moon]", "The moon is about 384,000 kilometres away.", "Because it goes around us at that distance."),
    ("[How far is the sun|How far away is the sun]", "The sun is about 150 million kilometres away.", "Because the Earth goes around it at that distance."),
    ("[What is ice|What is steam|What is snow]", "It is water: ice and snow are frozen water, and steam is very hot water.", "Because water changes with the temperature."),
    ("[How many fingers does a person have|How many fingers do I have|How many toes do I have|How many fingers are on two hands]", "A person has ten fingers and ten toes.", "Because each hand and each foot has five."),
    ("[How many colours does a rainbow have|What are the colours of the rainbow|Name the colours of the rainbow|Which colours are in a rainbow]", "The rainbow has red, orange, yellow, green, blue, indigo and violet.", "Because sunlight contains all these colours."),
    ("[Do penguins fly|Can penguins fly|Can a penguin fly|Why can penguins not fly]", "Penguins can not fly, but they swim very well.", "Because their wings are made for swimming."),
    ("[Is a whale a fish|Are whales fish|Is a dolphin a fish]", "No, it is a mammal. It breathes air and feeds its young with milk.", "Because it has lungs and gives milk."),
    ("[Is a spider an insect|Are spiders insects]", "No. A spider has eight legs, and insects have six.", "Because insects have six legs."),
    ("[Is the Earth round|Is the Earth flat|What shape is the Earth|What form does the Earth have]", "The Earth is round, like a ball.", "Because gravity pulls everything toward the middle."),
    ("[Is a tomato a fruit|Is a tomato a vegetable]", "A tomato is a fruit, but we cook it like a vegetable.", "Because it grows from a flower and has seeds."),
    ("[Which came first, the chicken or the egg|What was first, the egg or the hen]", "Eggs came first: fish and reptiles laid eggs long before there were chickens.", "Because chickens are younger than reptiles."),
    ("[Why do we brush our teeth|Why should I brush my teeth]", "Brushing removes the bits of food that would harm your teeth.", "Because bacteria live on what is left in the mouth."),
    ("[Why do we wash our hands|Why should I wash my hands]", "Washing removes germs, so that you do not get ill.", "Because germs are too small to see."),
    ("[How is bread made|What is bread made of|How do you make bread|How do I bake bread]", "Mix flour, water, salt and yeast, let the dough rest, and bake it in a hot oven.", "Because yeast makes the dough rise."),
    ("[How is cheese made|Where does cheese come from|What is cheese made of|Where does milk come from]", "Milk comes from cows, goats or sheep, and cheese is made of milk.", "Because milk becomes firm when it turns sour."),
    ("[How do I make tea|How do you make tea|How is tea made]", "Pour hot water over tea leaves, wait three minutes, and enjoy.", "Because the hot water takes the taste out of the leaves."),
    ("[How do I boil an egg|How long do I boil an egg|How do I cook an egg]", "Put the egg into boiling water: five minutes for a soft egg, ten for a hard one.", "Because heat makes the egg firm."),
    ("[How do I cook pasta|How do I make spaghetti|How do I cook noodles]", "Boil water with a little salt, add the pasta, and cook it for about ten minutes.", "Because pasta gets soft in hot water."),
    ("[How do I make pancakes|How are pancakes made|A recipe for pancakes|Give me a recipe|What is a simple recipe]", "Mix an egg, a cup of flour and a cup of milk, and fry spoonfuls of it in a warm pan.", "Because the egg holds it together."),
    ("[How do magnets work|What is a magnet]", "A magnet is a thing that pulls iron. It has a north pole and a south pole.", "Because tiny parts inside it all point the same way."),
    ("[How does a computer work|What is a computer]", "A computer is a machine that follows instructions step by step, very fast.", "Because its parts can switch billions of times in a second."),
    ("[What is a language model|How do language models work|What is an LLM|How does a language model work|How do you write text]", "A language model is a program that guesses the next piece of text, again and again, until the answer is complete.", "Because it learned from many texts which words follow each other."),
    ("[What is artificial intelligence|What is AI|Explain AI|What does AI mean]", "Artificial intelligence means programs that do things for which people need to think, such as writing or recognising pictures.", "Because people want machines to help them."),
    ("[What is machine learning|How do machines learn|Explain machine learning]", "In machine learning, a program learns from examples instead of fixed rules.", "Because many rules are too hard to write down."),
]

DEFINITIONS = {
    "friend": "someone you like and trust", "library": "a place with many books that people can read or borrow", "lighthouse": "a tower with a strong light that shows ships the way", "robot": "a machine that can do tasks by itself", "server": "a program or computer that answers requests from other programs",
    "API": "the set of requests that a program understands", "browser": "a program that shows web pages", "bicycle": "a vehicle with two wheels that you move with your feet", "island": "land with water all around it", "desert": "a very dry place with little rain", "volcano": "a mountain that can throw out hot melted rock",
    "forest": "a large area with many trees", "river": "water that flows through the land to the sea", "poem": "a short text with rhythm, often with rhymes", "dictionary": "a book that explains words", "doctor": "a person who helps people who are ill", "teacher": "a person who helps others to learn", "baker": "a person who makes bread and cakes",
    "mammal": "an animal that feeds its young with milk", "insect": "a small animal with six legs", "reptile": "an animal with scales, such as a snake or a turtle", "vegetable": "a plant that we eat, such as a carrot", "fruit": "the part of a plant that holds the seeds, such as an apple", "season": "one of the four parts of the year",
    "star": "a huge ball of hot, shining gas", "planet": "a large ball that goes around a star", "comet": "a ball of ice and dust with a shining tail", "telescope": "a tool that makes distant things look near", "microscope": "a tool that makes small things look big", "compass": "a tool that shows where north is", "umbrella": "a thing that keeps the rain off you",
    "password": "a secret word that proves who you are", "file": "a named piece of data on a computer", "program": "a list of instructions for a computer", "algorithm": "a list of steps that solves a problem", "bug": "a mistake in a program", "network": "a group of computers that are connected", "process": "a program that is running", "terminal": "a window in which you type commands",
    "keyboard": "a board with keys for typing", "kernel": "the core of an operating system", "byte": "a group of eight bits", "bit": "the smallest piece of data: 0 or 1", "database": "a program that stores data so that it can be found again", "prompt": "the text that you give to a model", "parameter": "a number that a model has learned", "hero": "a person who does something brave",
    "museum": "a house where interesting things are shown", "bridge": "a way over a river or a road", "castle": "a big strong house with towers", "ship": "a large boat", "train": "a row of wagons on rails", "holiday": "a time when you do not work", "birthday": "the day on which you were born", "neighbour": "a person who lives near you", "dream": "a story in your head while you sleep",
    "cloud": "many tiny drops of water in the air", "storm": "very strong wind, often with rain", "shadow": "a dark place where light can not go", "mirror": "a smooth thing in which you see yourself", "candle": "a stick of wax that gives light", "clock": "a thing that shows the time", "map": "a picture that shows where places are", "recipe": "a text that tells you how to cook something",
    "joke": "a short text that makes people laugh", "song": "words that are sung to music", "orchestra": "a large group of people who make music together", "violin": "a small instrument with four strings", "piano": "a large instrument with black and white keys", "astronaut": "a person who travels into space", "farmer": "a person who grows food or keeps animals", "swift": "a small fast bird that lives almost always in the air",
    "leap": "a long jump", "whale": "a huge mammal that lives in the sea", "tree": "a tall plant with a trunk and branches", "atom": "a tiny piece of which all things are made", "democracy": "a way of governing in which the people choose", "money": "what we use to buy things", "peace": "a time without war", "courage": "doing the right thing although you are afraid", "kindness": "being good and helpful to others",
}

ADVICE = [
    ("[What should I eat|What can I cook|What should I cook|What shall I have for dinner|What can I eat for lunch|I am hungry|What should I have for breakfast|Give me an idea for dinner|What do you suggest for dinner|What is a good meal|dinner ideas|What could I make for supper]", ["How about a warm soup with bread, or pasta with tomatoes? Both are quick and good.", "Rice with vegetables and an egg is quick, cheap and healthy."]),
    ("[I sleep badly, what helps|My nights are bad, any tip|I wake up at night, what can I do|Any tip for better sleep|Any advice for good nights|I need more sleep, any tip|How can I sleep better|How do I fall asleep|I can not sleep|What helps me sleep|Give me a tip for sleeping|How do I get better sleep|I have trouble sleeping|What should I do to sleep well|tips for good sleep]", ["Go to bed at the same time every day, keep the room dark and cool, and put the phone away an hour before.", ]),
    ("[How can I learn faster|How do I study well|How do I learn for a test|Give me a learning tip|How do I prepare for an exam|How can I remember things better|How do I learn new words|study tips]", ["Learn a little every day, take short breaks, and explain it to somebody in your own words."]),
    ("[How can I concentrate|How do I focus|I can not concentrate|How do I stop wasting time|How do I get more done|How do I work better|How can I be more productive|I keep putting things off]", ["Do one thing at a time, put the phone away, and take a short break every half hour."]),
    ("[How can I stay healthy|How do I live healthily|What is a healthy life|How do I keep fit|How do I get fit|How can I get stronger|What sport should I do|health tips]", ["Move every day, eat many vegetables, drink water and sleep enough."]),
    ("[What should I do today|What can I do at the weekend|What shall I do on Sunday|Give me an idea for the weekend|What can I do this evening|Suggest something to do|What should I do in my free time|weekend ideas]", ["How about a walk, a good book, or a visit to a friend?", "You could bake something, go for a walk, or call an old friend."]),
    ("[What can I give my mother|I need a gift idea|What is a good present|What should I give my friend for his birthday|Gift ideas please|What do I give my father|What present should I buy|What is a nice gift for a friend]", ["A good book, flowers or something home-made are always nice gifts."]),
    ("[How do I make friends|How can I find friends|I have no friends|How do I meet people]", ["Join a club or a class, be curious about others, and take your time. Friendship grows slowly."]),
    ("[How can I relax|I am stressed|How do I calm down|I have too much stress|What helps against stress|I am nervous|I am worried|How do I become calm|I am afraid of my exam]", ["Breathe slowly and deeply for a few minutes, and take a short walk. One step at a time."]),
    ("[Which book should I read|Can you recommend a book|What should I read|Recommend a book|What film should I watch|Recommend a film|What should I watch tonight|Which movie is good]", ["I do not know many titles, but a story about the sea or about space is a good start."]),
    ("[How do I learn to program|How can I learn programming|How do I start coding|I want to learn programming|Which programming language should I learn|How do I become a programmer]", ["Start with a small project that you enjoy, write a little code each day, and read the code of others."]),
    ("[How do I clean my room|My room is a mess|How do I tidy up|How do I keep my room tidy]", ["Start with one corner: throw away, put away, wipe. Ten minutes each day are enough."]),
    ("[How do I save money|I need more money|How can I spend less]", ["Write down what you spend, cook at home, and put a little aside each month."]),
    ("[How do I apologise|I had a fight with my friend|How do I say sorry|My friend is angry with me|I hurt my friend]", ["Say honestly that you are sorry, listen to the other, and give it time."]),
    ("[How do I write a good letter|How do I write an email|How do I write a good text|How can I write better]", ["Say the most important thing first, use short sentences, and read it once aloud."]),
    ("[What should I wear|What should I wear today|What do I wear when it rains]", ["Look out of the window first. In cold or rain, a warm jacket is a good idea."]),
    ("[Should I get a cat or a dog|Cats or dogs|Which pet should I get|Should I get a pet|Are dogs better than cats]", ["Dogs like company and walks, and cats like their freedom. Choose the one that fits your day."]),
    ("[Tea or coffee|Should I drink coffee or tea|What should I drink]", ["Water is always good. Tea is calming, and coffee wakes you up."]),
    ("[How do I grow tomatoes|How do I care for my plants|My plant is dying|How often should I water my plants|How do I start a garden]", ["Give your plants light, and water only when the soil feels dry."]),
    ("[Give me some advice|Give me a tip|Do you have a tip for me|What is your advice|Tell me something wise|Give me a wise saying|Motivate me|I need motivation|Say something nice|Say something kind|Encourage me]", ["Small steps each day take you far.", "Be patient with yourself. Every expert was once a beginner."]),
    ("[Where should I go on holiday|Where can I travel|Suggest a holiday|Where should I travel to]", ["The sea is good for resting, the mountains for walking, and a city for museums. Which do you like best?"]),
]


def science(rng, state):
    question, answer, reason = rng.choice(SCIENCE)
    why = lambda rng, state: Turn(one(rng, ["[Why|But why|Why is that|And why|How come|Why so|Why does it do that|Can you explain why][?|]"]), reason)
    return Turn(one(rng, [question + "[?|?|]", "[Do you know|Can you tell me|Tell me|Explain to me]: ".replace(": ", ", ") + question.replace("[", "[", 1) + "?"]), answer, [why, why, science])


def definition(rng, state, short=False):
    noun = rng.choice(list(DEFINITIONS))
    phrase = noun if noun in ("money", "peace", "courage", "kindness", "democracy") else article(noun)
    if noun == "API":
        phrase = "an API"
    if short:
        user = one(rng, ["[And|What about|And what is|How about] {p}?"], p=phrase)
    else:
        user = one(rng, ["What is {p}?", "What is {p}?", "[Define|Explain|Describe] {p}", "What does [{n}|the word {n}|\"{n}\"] mean?", "[What is the meaning of|What is meant by|Give me a definition of|What is the definition of|Explain the word|What do you call] {n}?".replace("|What do you call", ""), "[Tell me|Can you explain|Do you know|Can you tell me] what {p} is", "[What exactly is|So what is|What do people mean by] {p}?"], p=phrase, n=noun)
    return Turn(user, f"{capital(phrase)} is {DEFINITIONS[noun]}.", [partial(definition, short=True)])


def advice(rng, state):
    question, answers = rng.choice(ADVICE)
    return Turn(one(rng, [question + "[?|?||.]"]), one(rng, answers))
