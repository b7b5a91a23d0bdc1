"""True facts as tables: one relation per kind of fact, one row per fact."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """One kind of fact and the sentences that ask for it and state it.

    `direct` are whole questions, `clause` what can follow "Tell me"; `full` and `terse` are answers. In all of
    them {s} is the subject of a row, {a} its answer and {x} its extra (empty where the table has none).
    `kind` is the kind of pair it makes, `about` what one row is about in words.
    """

    name: str
    kind: str
    direct: tuple[str, ...]
    clause: tuple[str, ...]
    full: tuple[str, ...]
    terse: tuple[str, ...]
    about: str
    table: str

    def rows(self) -> list[tuple[str, str, str]]:
        """(subject, answer, extra) of every fact, in the table's order."""
        cells = [[cell.strip() for cell in row.split(":")] for row in self.table.split(",")]
        return [(row[0], row[1], row[2] if len(row) > 2 else "") for row in cells]


IT_IS = ("{a}.", "It is {a}.", "That is {a}.")

RELATIONS = (
    Relation(
        "capital",
        "question",
        ("What is the capital of {s}?", "What is the capital city of {s}?", "Which city is the capital of {s}?"),
        ("the capital of {s}", "the capital city of {s}", "which city is the capital of {s}"),
        (
            "The capital of {s} is {a}.",
            "{a} is the capital of {s}.",
            "The capital city of {s} is {a}.",
            "The capital of {s}, a country in {x}, is {a}.",
        ),
        IT_IS,
        "{s}",
        "France:Paris:Europe, Spain:Madrid:Europe, Italy:Rome:Europe, Germany:Berlin:Europe, Austria:Vienna:Europe,"
        "Portugal:Lisbon:Europe, Greece:Athens:Europe, Poland:Warsaw:Europe, Norway:Oslo:Europe,"
        "Sweden:Stockholm:Europe, Finland:Helsinki:Europe, Denmark:Copenhagen:Europe, Ireland:Dublin:Europe,"
        "Belgium:Brussels:Europe, Hungary:Budapest:Europe, Romania:Bucharest:Europe, Bulgaria:Sofia:Europe,"
        "Iceland:Reykjavik:Europe, Croatia:Zagreb:Europe, Thailand:Bangkok:Asia, Japan:Tokyo:Asia, China:Beijing:Asia,"
        "India:New Delhi:Asia, Vietnam:Hanoi:Asia, Mongolia:Ulaanbaatar:Asia, Nepal:Kathmandu:Asia,"
        "South Korea:Seoul:Asia, Malaysia:Kuala Lumpur:Asia, Jordan:Amman:Asia, Qatar:Doha:Asia,"
        "Egypt:Cairo:Africa, Kenya:Nairobi:Africa, Morocco:Rabat:Africa, Ghana:Accra:Africa, Senegal:Dakar:Africa,"
        "Ethiopia:Addis Ababa:Africa, Tunisia:Tunis:Africa, Uganda:Kampala:Africa, Zambia:Lusaka:Africa,"
        "Canada:Ottawa:North America, Mexico:Mexico City:North America, Cuba:Havana:North America,"
        "Jamaica:Kingston:North America, Brazil:Brasilia:South America, Peru:Lima:South America,"
        "Chile:Santiago:South America, Argentina:Buenos Aires:South America, Colombia:Bogota:South America,"
        "Uruguay:Montevideo:South America, New Zealand:Wellington:Oceania, Australia:Canberra:Oceania",
    ),
    Relation(
        "continent",
        "question",
        ("Which continent is {s} in?", "On which continent is {s}?", "Where in the world is {s}?"),
        ("which continent {s} is in", "the continent of {s}", "where in the world {s} is"),
        ("{s} is a country in {a}.", "{s} is in {a}.", "The country of {s} lies in {a}."),
        ("{a}.", "It is in {a}.", "In {a}."),
        "{s}",
        "France:Europe, Spain:Europe, Poland:Europe, Norway:Europe, Greece:Europe, Ireland:Europe, Romania:Europe,"
        "Thailand:Asia, Japan:Asia, India:Asia, Vietnam:Asia, Nepal:Asia, Mongolia:Asia, Jordan:Asia, Egypt:Africa,"
        "Kenya:Africa, Ghana:Africa, Zambia:Africa, Tunisia:Africa, Uganda:Africa, Canada:North America,"
        "Cuba:North America, Mexico:North America, Brazil:South America, Peru:South America, Chile:South America,"
        "Colombia:South America, Bolivia:South America",
    ),
    Relation(
        "language",
        "question",
        ("Which language do most people in {s} speak?", "What is the main language of {s}?"),
        ("which language most people in {s} speak", "the main language of {s}", "what people in {s} speak"),
        ("Most people in {s} speak {a}.", "The main language of {s} is {a}.", "People in {s} mostly speak {a}."),
        IT_IS,
        "{s}",
        "France:French, Brazil:Portuguese, Germany:German, Italy:Italian, Japan:Japanese, Thailand:Thai, Egypt:Arabic,"
        "Mexico:Spanish, Poland:Polish, Greece:Greek, Hungary:Hungarian, Sweden:Swedish, Norway:Norwegian,"
        "Denmark:Danish, Finland:Finnish, Vietnam:Vietnamese, Australia:English, South Korea:Korean",
    ),
    Relation(
        "money",
        "question",
        ("What money do people use in {s}?", "What is the currency of {s}?", "How do people pay in {s}?"),
        ("the currency of {s}", "what money people use in {s}"),
        ("People in {s} pay with the {a}.", "The currency of {s} is the {a}.", "The money of {s} is called the {a}."),
        ("The {a}.", "It is the {a}.", "That is the {a}."),
        "the money of {s}",
        "Japan:yen, India:rupee, Brazil:real, Mexico:peso, Thailand:baht, China:yuan, Poland:zloty, Sweden:krona,"
        "Norway:krone, France:euro, Canada:dollar, Switzerland:franc, South Korea:won, South Africa:rand, Egypt:pound",
    ),
    Relation(
        "symbol",
        "question",
        ("What is the chemical symbol for {s}?", "Which symbol stands for {s} in chemistry?"),
        ("the chemical symbol for {s}", "which symbol stands for {s}", "how chemists write {s}"),
        ("The chemical symbol for {s} is {a}.", "Chemists write {s} as {a}.", "The symbol {a} stands for {s}."),
        IT_IS,
        "{s}",
        "gold:Au, silver:Ag, iron:Fe, copper:Cu, lead:Pb, tin:Sn, zinc:Zn, helium:He, oxygen:O, hydrogen:H, carbon:C,"
        "nitrogen:N, sodium:Na, calcium:Ca, sulfur:S, nickel:Ni, mercury:Hg, neon:Ne, aluminium:Al, potassium:K",
    ),
    Relation(
        "young",
        "question",
        ("What is a young {s} called?", "What do we call a baby {s}?", "What is the name for a baby {s}?"),
        ("what a young {s} is called", "the name for a baby {s}", "what we call a young {s}"),
        ("A young {s} is called a {a}.", "A baby {s} is called a {a}.", "We call a young {s} a {a}."),
        ("A {a}.", "It is a {a}.", "It is called a {a}."),
        "the {s}",
        "cat:kitten, dog:puppy, cow:calf, horse:foal, sheep:lamb, goat:kid, pig:piglet, duck:duckling, eagle:eaglet,"
        "goose:gosling, swan:cygnet, lion:cub, deer:fawn, kangaroo:joey, frog:tadpole, butterfly:caterpillar,"
        "hare:leveret, owl:owlet",
    ),
    Relation(
        "sound",
        "question",
        ("What sound does a {s} make?", "What does a {s} do to make noise?", "How does a {s} sound?"),
        ("what sound a {s} makes", "how a {s} sounds"),
        ("A {s} {a}.", "The sound of a {s} is easy to know, because a {s} {a}.", "You can hear that a {s} {a}."),
        ("It {a}.", "A {s} {a}."),
        "the {s}",
        "dog:barks, cat:meows, cow:moos, horse:neighs, duck:quacks, lion:roars, bee:buzzes, snake:hisses,"
        "rooster:crows, frog:croaks, owl:hoots, mouse:squeaks, sheep:bleats, pig:grunts",
    ),
    Relation(
        "colour",
        "question",
        ("What colour is {s}?", "Which colour does {s} have?"),
        ("the colour of {s}", "what colour {s} is", "which colour {s} has"),
        ("The colour of {s} is {a}.", "The usual colour of {s} is {a}.", "You will find that {s} is {a}."),
        ("{a}.", "It is {a}.", "Mostly {a}."),
        "{s}",
        "grass:green, snow:white, coal:black, blood:red, the clear sky:blue, a ripe lemon:yellow, a carrot:orange,"
        "milk:white, a ripe tomato:red, a crow:black, a flamingo:pink, chocolate:brown, a cucumber:green,"
        "an elephant:grey, spinach:green, a lavender flower:purple, salt:white, butter:yellow",
    ),
    Relation(
        "sum",
        "question",
        ("What is {s}?", "How much is {s}?", "What do you get for {s}?"),
        ("how much {s} is", "the result of {s}", "what {s} is"),
        ("The result of {s} is {a}.", "If you work it out, {s} is {a}.", "The answer is that {s} is {a}."),
        ("{a}.", "It is {a}.", "That is {a}."),
        "{s}",
        "two plus three:five, four plus four:eight, five plus six:eleven, seven plus two:nine, three plus seven:ten,"
        "six plus six:twelve, eight plus five:thirteen, nine plus five:fourteen, seven plus eight:fifteen,"
        "nine plus nine:eighteen, ten plus ten:twenty, two plus two:four, nine minus three:six, ten minus seven:three,"
        "eight minus six:two, twelve minus five:seven, two times three:six, three times three:nine,"
        "four times five:twenty, three times five:fifteen, two times seven:fourteen, four times four:sixteen,"
        "half of ten:five, half of sixteen:eight",
    ),
    Relation(
        "count",
        "question",
        ("How many {s}?",),
        ("the number of {x}", "the right number of {x}"),
        ("There are {a} {x}.", "The right number is {a}, because there are {a} {x}.", "You can count {a} {x}."),
        ("{a}.", "It is {a}.", "There are {a}."),
        "numbers",
        "days are in a week:seven:days in a week, months are in a year:twelve:months in a year,"
        "hours are in a day:twenty-four:hours in a day, minutes are in an hour:sixty:minutes in an hour,"
        "legs does a spider have:eight:legs on a spider, legs does an insect have:six:legs on an insect,"
        "legs does a dog have:four:legs on a dog, sides does a triangle have:three:sides on a triangle,"
        "sides does a square have:four:sides on a square, wheels does a bicycle have:two:wheels on a bicycle,"
        "strings does a violin have:four:strings on a violin, planets are in the solar system:eight:planets in the"
        " solar system, colours are in a rainbow:seven:colours in a rainbow,"
        "seasons are in a year:four:seasons in a year, letters are in the alphabet:twenty-six:letters in the alphabet,"
        "players are in a football team:eleven:players in a football team,"
        "arms does an octopus have:eight:arms on an octopus, years are in a century:one hundred:years in a century",
    ),
    Relation(
        "author",
        "question",
        ("Who wrote {s}?", "Who is the author of {s}?", "Which writer wrote {s}?"),
        ("who wrote {s}", "the author of {s}", "which writer wrote {s}"),
        ("The book {s} was written by {a}.", "{a} wrote {s}.", "The author of {s} is {a}."),
        ("{a}.", "It was {a}.", "That was {a}."),
        "the book {s}",
        "Hamlet:William Shakespeare, Emma:Jane Austen, Oliver Twist:Charles Dickens, Jane Eyre:Charlotte Bronte,"
        "Dracula:Bram Stoker, Moby Dick:Herman Melville, Don Quixote:Miguel de Cervantes, Frankenstein:Mary Shelley,"
        "Faust:Johann Goethe, War and Peace:Leo Tolstoy, Les Miserables:Victor Hugo, Peter Pan:James Barrie,"
        "Treasure Island:Robert Stevenson, Tom Sawyer:Mark Twain, The Jungle Book:Rudyard Kipling,"
        "The Odyssey:Homer",
    ),
    Relation(
        "use",
        "question",
        ("What is {s} used for?", "What do people do with {s}?", "Why do people need {s}?"),
        ("what {s} is used for", "what people do with {s}", "the use of {s}"),
        ("You use {s} to {a}.", "People use {s} to {a}.", "The main use of {s} is to {a}."),
        ("To {a}.", "It is used to {a}."),
        "{s}",
        "a hammer:drive nails into wood, a saw:cut wood, a broom:sweep the floor, a needle:sew clothes,"
        "an oven:bake bread, a kettle:boil water, a clock:tell the time, a ruler:measure lines, a pen:write letters,"
        "a map:find the way, an umbrella:stay dry in the rain, a ladder:reach high places, a spade:dig holes,"
        "a camera:take pictures, a thermometer:measure heat, a telescope:look at the stars, soap:wash hands,"
        "a fridge:keep food cold, a lamp:light a room, a key:open a lock, a paintbrush:paint walls, a bell:call people,"
        "a scale:weigh things, a microscope:look at tiny things",
    ),
    Relation(
        "made",
        "question",
        ("What is {s} made from?", "What do people make {s} from?"),
        ("what {s} is made from", "what people make {s} from"),
        ("People make {s} from {a}.", "Most {s} is made from {a}.", "To make {s}, people start with {a}."),
        ("From {a}.", "It is made from {a}."),
        "{s}",
        "bread:flour, cheese:milk, wine:grapes, paper:wood, glass:sand, chocolate:cocoa beans, wool:the coat of sheep,"
        "silk:the threads of silkworms, ketchup:tomatoes, tofu:soy beans, steel:iron, leather:animal skin,"
        "cider:apples, popcorn:maize, honey:nectar",
    ),
    Relation(
        "opposite",
        "instruction",
        ("Give the opposite of {s}.", "Write the opposite of {s}.", "Find a word that means the opposite of {s}."),
        ("the opposite of {s}", "a word that means the opposite of {s}"),
        (
            "The opposite of {s} is {a}.",
            "A word that means the opposite of {s} is {a}.",
            "The words {s} and {a} are opposites.",
        ),
        IT_IS,
        "the word {s}",
        "hot:cold, big:small, fast:slow, high:low, old:young, rich:poor, hard:soft, wet:dry, full:empty, alive:dead,"
        "early:late, strong:weak, heavy:light, open:closed, loud:quiet, clean:dirty, near:far, deep:shallow,"
        "long:short, wide:narrow, happy:sad, up:down, left:right, first:last, before:after, brave:afraid,"
        "sweet:sour, thick:thin, cheap:expensive, sharp:blunt, buy:sell, begin:end, push:pull, day:night",
    ),
    Relation(
        "plural",
        "instruction",
        ("Write the plural of {s}.", "Give the plural form of {s}.", "Turn {s} into a plural."),
        ("the plural of {s}", "the plural form of {s}"),
        ("The plural of {s} is {a}.", "We say one {s} and two {a}.", "One {s} becomes many {a}."),
        IT_IS,
        "the word {s}",
        "mouse:mice, child:children, foot:feet, tooth:teeth, man:men, woman:women, leaf:leaves, knife:knives,"
        "wolf:wolves, city:cities, baby:babies, box:boxes, potato:potatoes, person:people, ox:oxen, loaf:loaves,"
        "story:stories, dish:dishes, fox:foxes, cherry:cherries",
    ),
    Relation(
        "past",
        "instruction",
        ("Write the past tense of {s}.", "Give the past tense of {s}.", "Put the verb {s} into the past tense."),
        ("the past tense of {s}", "the past form of {s}"),
        ("The past tense of {s} is {a}.", "Today I {s}, and yesterday I {a}.", "The past form of {s} is {a}."),
        IT_IS,
        "the verb {s}",
        "go:went, see:saw, eat:ate, run:ran, write:wrote, sing:sang, swim:swam, take:took, give:gave, buy:bought,"
        "think:thought, teach:taught, speak:spoke, break:broke, drink:drank, fly:flew, grow:grew, know:knew,"
        "draw:drew, sleep:slept, find:found, build:built",
    ),
    Relation(
        "spanish",
        "instruction",
        ("Translate the word {s} into Spanish.", "Say {s} in Spanish.", "Write the Spanish word for {s}."),
        ("the Spanish word for {s}", "how to say {s} in Spanish"),
        ("The Spanish word for {s} is {a}.", "In Spanish you say {a} for {s}.", "In Spanish, {s} is {a}."),
        IT_IS,
        "the word {s}",
        "water:agua, house:casa, dog:perro, cat:gato, book:libro, sun:sol, moon:luna, friend:amigo, milk:leche,"
        "bread:pan, fish:pescado, table:mesa, red:rojo, white:blanco, green:verde, night:noche, school:escuela,"
        "street:calle, tree:arbol, flower:flor, thank you:gracias, hello:hola",
    ),
)
