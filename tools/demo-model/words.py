"""Word lists: names, things, countries, animals and whatever else the grammar puts into its patterns."""

NAMES = """Anna Ben Clara David Emma Felix Grace Henry Ida Jack Kate Leo Maria Noah Olivia Paul Quinn Rosa Sam Tom Uma Victor Wendy
Xavier Yara Zoe Alice Bob Carol Daniel Eva Frank Gina Hugo Isla James Karen Liam Mia Nora Oscar Peter Rachel Simon Tina Ursula Vera
Will Alex Bella Chris Diana Eric Fiona George Hannah Ivan Julia Kevin Laura Max Nina Otto Pia Robert Sara Theo Lucy Mark Amy John
Lisa Mike Jane Adam Lena Marco Sofia Lucas Elena Jonas Marta Nadia Omar Priya Ravi Sven Tara Yusuf Aisha Chen Mei Hiro Yuki Carlos
Luis Ana Pedro Ines Pablo Olga Igor Lars Astrid Erik Freya Bjorn Sean Maeve Rory Ailsa Amir Leila Hassan Fatima Kofi Ama Zara Nico
Iris Ruby Violet Dylan Ethan Mason Chloe Ella Lily Harry Charlie Ellen Martin Stefan Monika Karl Greta Anton Milan Petra Jana Tim
Susan Linda Steve Kim Pat Dana Robin Jamie Taylor Jordan Morgan Casey Andy Tony Maya Nathan Aaron Toby Oliver Amelia Arthur Edith
Bruno Chiara Dario Emil Flora Gustav Helga Inga Jules Klaus Lotte Mateo Nils Odette Pascal Rita Silvia Thomas Vincent Wanda Zach""".split()

SYLLABLES = "ba be bo da de di do fa fe ka ke ki ko la le li lo ma me mi mo na ne ni no pa pe po ra re ri ro sa se so ta te ti to va ve vi za ze zo".split()
ENDINGS = ["n", "r", "s", "l", "th", "", "", "m", "x", "k"]

# Subjects of stories and poems: living beings first, then things.
BEINGS = """fox rabbit robot dragon cat dog bear mouse owl wolf penguin elephant lion tiger turtle frog bee ant whale dolphin horse pony
donkey sheep goat cow pig duck goose swan crow sparrow parrot hedgehog squirrel badger deer moose otter beaver seal crab octopus snail
spider butterfly dragonfly firefly monkey giraffe zebra camel kangaroo koala panda hamster lizard snake eagle raven peacock lobster
knight wizard witch pirate sailor baker gardener fisherman shepherd king queen prince princess giant dwarf fairy ghost monster mermaid
unicorn astronaut inventor painter musician teacher farmer doctor postman clown child girl boy grandmother captain detective scientist
engineer alien snowman scarecrow puppet troll gnome elf captain nurse librarian cook tailor shoemaker clockmaker lighthouse keeper""".replace("lighthouse keeper", "").split() + ["lighthouse keeper", "polar bear", "train driver", "little star"]
THINGS = """lighthouse castle boat ship train bicycle clock lamp candle kite balloon tree flower river mountain island cloud star moon sun
garden forest bridge tower mill house door key book letter map mirror ring hat shoe umbrella piano violin drum bell teapot cup spoon
bread cake apple pumpkin pear seed acorn leaf stone shell pearl feather button needle chair table bed window roof chimney kettle
computer telescope rocket car bus truck tractor wheel engine snowflake raindrop rainbow storm wind fire shadow dream song wish
library school market village lake ocean desert cave volcano museum bakery carrot potato cheese pizza sandwich guitar camera
suitcase pencil notebook sock scarf mitten blanket pillow lantern compass anchor windmill submarine spaceship satellite sea sky night winter summer spring autumn morning evening cottage street field farm beach""".split()

COUNTRIES = {  # country: (capital, continent, language)
    "France": ("Paris", "Europe", "French"), "Germany": ("Berlin", "Europe", "German"), "Italy": ("Rome", "Europe", "Italian"),
    "Spain": ("Madrid", "Europe", "Spanish"), "Portugal": ("Lisbon", "Europe", "Portuguese"), "Austria": ("Vienna", "Europe", "German"),
    "Poland": ("Warsaw", "Europe", "Polish"), "Greece": ("Athens", "Europe", "Greek"), "Sweden": ("Stockholm", "Europe", "Swedish"),
    "Norway": ("Oslo", "Europe", "Norwegian"), "Denmark": ("Copenhagen", "Europe", "Danish"), "Finland": ("Helsinki", "Europe", "Finnish"),
    "Ireland": ("Dublin", "Europe", "English and Irish"), "Belgium": ("Brussels", "Europe", "Dutch, French and German"),
    "Switzerland": ("Bern", "Europe", "German, French, Italian and Romansh"), "Hungary": ("Budapest", "Europe", "Hungarian"),
    "the Netherlands": ("Amsterdam", "Europe", "Dutch"), "the United Kingdom": ("London", "Europe", "English"),
    "Ukraine": ("Kyiv", "Europe", "Ukrainian"), "Russia": ("Moscow", "Europe and Asia", "Russian"), "Turkey": ("Ankara", "Asia and Europe", "Turkish"),
    "Iceland": ("Reykjavik", "Europe", "Icelandic"), "the Czech Republic": ("Prague", "Europe", "Czech"), "Romania": ("Bucharest", "Europe", "Romanian"),
    "Croatia": ("Zagreb", "Europe", "Croatian"), "Bulgaria": ("Sofia", "Europe", "Bulgarian"),
    "Japan": ("Tokyo", "Asia", "Japanese"), "China": ("Beijing", "Asia", "Chinese"), "India": ("New Delhi", "Asia", "Hindi and English"),
    "South Korea": ("Seoul", "Asia", "Korean"), "Thailand": ("Bangkok", "Asia", "Thai"), "Vietnam": ("Hanoi", "Asia", "Vietnamese"),
    "Egypt": ("Cairo", "Africa", "Arabic"), "Kenya": ("Nairobi", "Africa", "Swahili and English"), "Morocco": ("Rabat", "Africa", "Arabic and Berber"),
    "Ghana": ("Accra", "Africa", "English"), "Nigeria": ("Abuja", "Africa", "English"), "Ethiopia": ("Addis Ababa", "Africa", "Amharic"),
    "Canada": ("Ottawa", "North America", "English and French"), "Mexico": ("Mexico City", "North America", "Spanish"),
    "the United States": ("Washington, D.C.", "North America", "English"), "Cuba": ("Havana", "North America", "Spanish"),
    "Brazil": ("Brasilia", "South America", "Portuguese"), "Argentina": ("Buenos Aires", "South America", "Spanish"),
    "Chile": ("Santiago", "South America", "Spanish"), "Peru": ("Lima", "South America", "Spanish"), "Colombia": ("Bogota", "South America", "Spanish"),
    "Australia": ("Canberra", "Australia", "English"), "New Zealand": ("Wellington", "Oceania", "English and Maori"),
}
COUNTRY_NAMES = {"the United Kingdom": ["the UK", "the United Kingdom", "England", "Britain", "Great Britain"], "the United States": ["the USA", "the United States", "the US", "America", "USA"],
                 "the Netherlands": ["the Netherlands", "Holland", "Netherlands"], "the Czech Republic": ["the Czech Republic", "Czechia"]}

SOUNDS = {"cow": "moo", "dog": "woof", "cat": "meow", "duck": "quack", "sheep": "baa", "pig": "oink", "horse": "neigh", "rooster": "cock-a-doodle-doo",
          "owl": "hoot", "frog": "croak", "lion": "roar", "bee": "buzz", "snake": "hiss", "mouse": "squeak", "wolf": "howl", "crow": "caw",
          "hen": "cluck", "goat": "bleat", "donkey": "hee-haw", "turkey": "gobble", "pigeon": "coo", "bear": "growl", "elephant": "trumpet", "bird": "tweet"}
BABIES = {"dog": "puppy", "cat": "kitten", "cow": "calf", "horse": "foal", "sheep": "lamb", "pig": "piglet", "duck": "duckling", "hen": "chick", "goat": "kid",
          "bear": "cub", "lion": "cub", "kangaroo": "joey", "frog": "tadpole", "swan": "cygnet", "owl": "owlet", "deer": "fawn", "goose": "gosling", "elephant": "calf", "whale": "calf"}
LEGS = {"dog": 4, "cat": 4, "cow": 4, "horse": 4, "bird": 2, "chicken": 2, "duck": 2, "spider": 8, "ant": 6, "bee": 6, "snake": 0, "fish": 0, "octopus": 8, "crab": 10,
        "elephant": 4, "butterfly": 6, "fly": 6, "person": 2, "frog": 4, "beetle": 6, "worm": 0, "lion": 4, "mouse": 4, "penguin": 2, "horse ": 4}
LEGS.pop("horse ")
FOODS = {"cow": "grass", "rabbit": "grass, leaves and vegetables", "lion": "meat", "cat": "meat and fish", "panda": "bamboo", "bee": "nectar and pollen", "horse": "grass and hay",
         "bear": "berries, fish and honey", "squirrel": "nuts and seeds", "mouse": "seeds and grain", "owl": "mice", "penguin": "fish", "elephant": "leaves, grass and fruit", "koala": "eucalyptus leaves",
         "giraffe": "leaves from tall trees", "frog": "insects", "spider": "insects", "seal": "fish", "monkey": "fruit and leaves", "caterpillar": "leaves", "wolf": "meat", "goat": "grass and leaves"}
HOMES = {"bee": "in a hive", "bird": "in a nest", "fish": "in water", "rabbit": "in a burrow", "bear": "in forests and caves", "dog": "with people, or in a kennel", "penguin": "in the cold south",
         "camel": "in the desert", "polar bear": "in the Arctic", "kangaroo": "in Australia", "panda": "in China", "spider": "in a web", "ant": "in an anthill", "fox": "in a den", "lion": "in Africa",
         "whale": "in the ocean", "frog": "near ponds", "owl": "in trees", "monkey": "in the jungle", "cow": "on a farm", "koala": "in Australia", "shark": "in the ocean", "tiger": "in Asia"}
COLOURS = {"the sky": "blue", "grass": "green", "a banana": "yellow", "snow": "white", "a tomato": "red", "coal": "black", "an orange": "orange", "a lemon": "yellow", "blood": "red", "chocolate": "brown",
           "a strawberry": "red", "a carrot": "orange", "milk": "white", "the sun": "yellow", "a leaf": "green", "a pumpkin": "orange", "a flamingo": "pink", "a frog": "green", "an elephant": "grey", "a crow": "black",
           "a cucumber": "green", "the sea": "blue", "a cherry": "red", "a polar bear": "white", "an aubergine": "purple", "a plum": "purple", "cheese": "yellow", "ketchup": "red", "a fire engine": "red", "gold": "yellow",
           "silver": "grey", "a raven": "black", "broccoli": "green", "a blueberry": "blue", "a lime": "green", "salt": "white", "a penguin": "black and white", "a zebra": "black and white", "a panda": "black and white"}
MIXES = {("red", "yellow"): "orange", ("blue", "yellow"): "green", ("red", "blue"): "purple", ("black", "white"): "grey", ("red", "white"): "pink", ("blue", "white"): "light blue", ("red", "green"): "brown"}
OPPOSITES = [("hot", "cold"), ("big", "small"), ("up", "down"), ("fast", "slow"), ("day", "night"), ("happy", "sad"), ("open", "closed"), ("old", "young"), ("tall", "short"), ("full", "empty"), ("light", "dark"),
             ("wet", "dry"), ("hard", "soft"), ("loud", "quiet"), ("early", "late"), ("rich", "poor"), ("near", "far"), ("left", "right"), ("in", "out"), ("good", "bad"), ("true", "false"), ("start", "end"),
             ("strong", "weak"), ("heavy", "light"), ("clean", "dirty"), ("high", "low"), ("thick", "thin"), ("easy", "difficult"), ("love", "hate"), ("win", "lose"), ("push", "pull"), ("summer", "winter"),
             ("first", "last"), ("above", "below"), ("black", "white"), ("long", "short"), ("wide", "narrow"), ("yes", "no"), ("always", "never"), ("buy", "sell"), ("friend", "enemy"), ("sweet", "sour"), ("brave", "afraid"), ("inside", "outside"), ("new", "old"), ("warm", "cool"), ("laugh", "cry"), ("before", "after"), ("safe", "dangerous"), ("awake", "asleep")]
PLURALS = {"mouse": "mice", "child": "children", "foot": "feet", "tooth": "teeth", "man": "men", "woman": "women", "goose": "geese", "sheep": "sheep", "fish": "fish", "leaf": "leaves", "wolf": "wolves", "box": "boxes",
           "baby": "babies", "city": "cities", "person": "people", "knife": "knives", "potato": "potatoes", "dog": "dogs", "cat": "cats", "bus": "buses", "story": "stories", "house": "houses", "ox": "oxen", "apple": "apples", "tree": "trees"}
RHYMES = {"cat": "hat, mat, bat", "dog": "log, frog, fog", "sun": "fun, run, bun", "tree": "bee, sea, free", "house": "mouse, blouse", "star": "car, far, jar", "night": "light, bright, kite", "moon": "spoon, soon, June", "rain": "train, plane, chain",
          "day": "play, say, way", "ball": "tall, wall, fall", "blue": "true, shoe, new", "red": "bed, bread, head", "fox": "box, socks, rocks", "cake": "lake, snake, make", "book": "cook, look, hook", "bear": "chair, hair, pear", "king": "ring, sing, wing", "boat": "goat, coat, float", "love": "dove, glove, above"}
SPELLED = """cat dog sun moon star tree fish bird house apple book water table chair happy green blue red hello world friend school music
garden river mountain flower summer winter spring bread milk cheese mouse horse sheep lion tiger robot train plane boat ship king queen
castle dragon rabbit yellow orange purple light night day week year family mother father sister brother banana lemon cake cookie
pencil paper window door kitchen ocean island cloud rain snow wind fire stone people because beautiful together computer server model""".split()
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
MONTH_DAYS = dict(zip(MONTHS, [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]))
PLANETS = ["Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune"]
ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"]
SHAPES = {"triangle": 3, "square": 4, "rectangle": 4, "pentagon": 5, "hexagon": 6, "octagon": 8, "heptagon": 7, "decagon": 10}
NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty""".split()
FAVOURITES = {"colour": "blue green red yellow purple orange black white pink brown grey turquoise".split(), "food": "pizza pasta soup rice bread cheese chocolate salad curry noodles pancakes sushi tacos apples".split(),
              "animal": "cat dog horse owl fox dolphin elephant penguin turtle panda wolf bear lion rabbit".split(), "season": "spring summer autumn winter".split(), "sport": "football tennis swimming running chess cycling climbing skiing hockey basketball".split(),
              "drink": "tea coffee water juice milk lemonade cocoa".split(), "fruit": "apples bananas cherries pears grapes mangoes plums".split()}
HOBBIES = """reading chess football painting cooking baking gardening swimming running cycling music singing dancing drawing hiking climbing fishing
photography astronomy programming knitting sewing skiing sailing writing travelling films history maths trains maps cats dogs horses birds tea coffee""".split()
CITIES = """Paris London Berlin Rome Madrid Oslo Vienna Prague Lisbon Dublin Tokyo Seoul Sydney Toronto Boston Chicago Munich Hamburg Milan Turin Porto Seville
Lyon Geneva Zurich Bergen Tampere Krakow Riga Vilnius Tallinn Athens Cairo Nairobi Lima Quito Delhi Mumbai Osaka Kyoto Leeds York Bristol Cork""".split()
JOBS = """teacher nurse doctor baker engineer programmer gardener student cook driver farmer painter writer musician lawyer librarian carpenter plumber
pilot designer scientist waiter photographer shopkeeper""".split()
