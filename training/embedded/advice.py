"""Open questions as tables: advice and reasons."""

from __future__ import annotations

# A goal, and three pieces of advice.
GOALS: dict[str, tuple[str, str, str]] = {
    "sleep better": (
        "Go to bed at the same time every night.",
        "Keep your bedroom dark and quiet.",
        "Do not drink coffee in the evening.",
    ),
    "learn a language": (
        "Learn ten new words each day.",
        "Speak the language with other people every week.",
        "Listen to songs in the new language.",
    ),
    "save money": (
        "Write down everything that you spend.",
        "Put some money aside each month.",
        "Cook at home more often.",
    ),
    "get fit": ("Walk for half an hour each day.", "Take the stairs and not the lift.", "Do some sport twice a week."),
    "grow tomatoes": (
        "Plant the tomatoes in a sunny place.",
        "Water the plants every morning.",
        "Tie the plants to a stick.",
    ),
    "bake good bread": (
        "Use fresh yeast and good flour.",
        "Let the dough rest in a warm place.",
        "Bake the bread in a very hot oven.",
    ),
    "make new friends": (
        "Join a club in your town.",
        "Smile and ask people about their day.",
        "Invite people to your home for tea.",
    ),
    "prepare for an exam": (
        "Start to study two weeks before the exam.",
        "Make a plan for each day.",
        "Solve old exam questions.",
    ),
    "keep a room tidy": (
        "Put each thing back in its place.",
        "Clean a little every day.",
        "Give away things that you do not need.",
    ),
    "write a good story": (
        "Begin the story with a problem.",
        "Give your hero a clear wish.",
        "Read your story aloud when it is done.",
    ),
    "cook rice": (
        "Wash the rice in cold water first.",
        "Use two cups of water for one cup of rice.",
        "Let the rice rest for ten minutes.",
    ),
    "look after a cat": (
        "Give the cat fresh food and water.",
        "Play with your cat every day.",
        "Take the cat to the vet once a year.",
    ),
    "train a dog": ("Give the dog a treat when it obeys.", "Use short and clear words.", "Train the dog every day."),
    "read more books": (
        "Always carry a book with you.",
        "Read ten pages before you go to bed.",
        "Join a reading group.",
    ),
    "save water at home": ("Take short showers.", "Close the tap while you brush your teeth.", "Mend taps that drip."),
    "save energy at home": (
        "Turn off the lights when you leave a room.",
        "Wash your clothes in cold water.",
        "Close the windows when the heating is on.",
    ),
    "stay calm before a talk": (
        "Breathe slowly and deeply.",
        "Practise the talk with a friend.",
        "Drink some water before you speak.",
    ),
    "eat more vegetables": (
        "Add vegetables to every meal.",
        "Try one new vegetable each week.",
        "Keep cut carrots in the fridge.",
    ),
    "get up early": (
        "Go to bed one hour earlier.",
        "Put your alarm clock far from the bed.",
        "Open the curtains at once to let in light.",
    ),
    "plan a trip": (
        "Choose where you want to go and for how long.",
        "Book the train and the hotel early.",
        "Make a list of the things to pack.",
    ),
    "learn to swim": (
        "Take lessons with a good teacher.",
        "Start in water where you can stand.",
        "Practise breathing out under water.",
    ),
    "learn the piano": (
        "Practise for twenty minutes each day.",
        "Start with slow and easy songs.",
        "Learn to read notes step by step.",
    ),
    "clean a window": (
        "Use warm water with a little soap.",
        "Wipe the glass with a dry cloth.",
        "Clean the window on a cloudy day.",
    ),
    "make good tea": (
        "Use fresh and very hot water.",
        "Let the tea stand for three minutes.",
        "Warm the cup before you pour the tea.",
    ),
    "remember names": (
        "Repeat the name when you hear it.",
        "Link the name to a picture in your mind.",
        "Write the name down later.",
    ),
    "be on time": (
        "Leave the house ten minutes early.",
        "Set an alarm on your phone.",
        "Prepare your bag the night before.",
    ),
    "draw better": (
        "Draw something small every day.",
        "Look closely at simple shapes.",
        "Copy pictures that you like.",
    ),
    "plant a tree": (
        "Dig a hole that is twice as wide as the roots.",
        "Give the young tree plenty of water.",
        "Plant the tree in autumn or spring.",
    ),
    "pack a suitcase": (
        "Roll your clothes to save space.",
        "Put heavy things at the bottom.",
        "Make a list before you pack.",
    ),
    "feel less stressed": (
        "Take a short walk outside.",
        "Talk to a friend about your day.",
        "Take a break every hour.",
    ),
    "find a job": (
        "Write a short and clear letter about yourself.",
        "Ask people you know about open jobs.",
        "Practise for the interview with a friend.",
    ),
    "use my phone less": (
        "Turn off most of the messages.",
        "Leave the phone in another room at night.",
        "Read a book in your free time.",
    ),
    "ride a bicycle safely": (
        "Always wear a helmet.",
        "Use lights when it is dark.",
        "Check the brakes before you ride.",
    ),
    "make a salad": (
        "Wash the leaves and cut some tomatoes.",
        "Mix oil with a little lemon juice.",
        "Add nuts or cheese at the end.",
    ),
}

# Direct question, clause, reason, the reason in other words.
REASONS: tuple[tuple[str, str, str, str], ...] = (
    (
        "Why is the sky blue?",
        "why the sky is blue",
        "Air scatters blue light more than red light.",
        "Blue light from the sun is scattered most by the air.",
    ),
    (
        "Why do leaves fall in autumn?",
        "why leaves fall in autumn",
        "Trees drop their leaves to save water in the cold months.",
        "Trees lose their leaves because they need little water in winter.",
    ),
    (
        "Why do we have day and night?",
        "why we have day and night",
        "The earth turns around itself once a day.",
        "The earth turns, so each side faces the sun for a part of the day.",
    ),
    (
        "Why do birds fly south in winter?",
        "why birds fly south in winter",
        "Birds fly south to find food and warm weather.",
        "There is more food in the warm south.",
    ),
    (
        "Why does ice float on water?",
        "why ice floats on water",
        "Ice is lighter than the same amount of water.",
        "Water grows when it freezes, so ice is lighter than water.",
    ),
    (
        "Why is the sea salty?",
        "why the sea is salty",
        "Rivers carry salt from the rocks into the sea.",
        "Rain washes salt out of the rocks, and rivers carry it to the sea.",
    ),
    (
        "Why do we need sleep?",
        "why we need sleep",
        "Sleep gives the body and the mind time to rest.",
        "The body repairs itself and the mind rests while we sleep.",
    ),
    (
        "Why do bees visit flowers?",
        "why bees visit flowers",
        "Bees visit flowers to collect nectar and pollen.",
        "Bees find nectar in flowers and make honey from it.",
    ),
    (
        "Why do plants need light?",
        "why plants need light",
        "Plants use light to make their food.",
        "With light, plants turn air and water into food.",
    ),
    (
        "Why does bread rise?",
        "why bread rises",
        "Yeast makes small bubbles of gas in the dough.",
        "The gas that yeast makes lifts the dough.",
    ),
    (
        "Why do cats purr?",
        "why cats purr",
        "Cats often purr when they feel safe and happy.",
        "A cat that feels safe and calm will often purr.",
    ),
    (
        "Why should we wash our hands?",
        "why we should wash our hands",
        "Soap and water remove germs that make us ill.",
        "Clean hands keep germs away from us and from others.",
    ),
    (
        "Why is exercise good for us?",
        "why exercise is good for us",
        "Exercise makes the heart and the muscles strong.",
        "Moving often keeps the heart strong and the mood good.",
    ),
    (
        "Why do we see lightning before thunder?",
        "why we see lightning before thunder",
        "Light travels much faster than sound.",
        "Sound is slower than light, so the thunder comes later.",
    ),
    (
        "Why does the moon shine?",
        "why the moon shines",
        "The moon shines because it reflects the light of the sun.",
        "The light of the moon comes from the sun.",
    ),
    (
        "Why do we have seasons?",
        "why we have seasons",
        "The axis of the earth is tilted as it goes around the sun.",
        "The earth is tilted, so each half gets more sun for a part of the year.",
    ),
    (
        "Why do people read books?",
        "why people read books",
        "People read books to learn and to enjoy a good story.",
        "Books teach us new things and tell good stories.",
    ),
    (
        "Why do camels have humps?",
        "why camels have humps",
        "The humps store fat for long trips without food.",
        "Camels keep fat in their humps and live on it when there is no food.",
    ),
)
