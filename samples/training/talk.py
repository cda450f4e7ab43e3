"""Text-only conversations for the sample model: small talk, sums, and what can be asked about a quoted text.

Every exchange is a template filled at random; words of the held-out 5 % of the dictionary never occur in training
(see data.is_held_out).  For every character of an answer it is known on which characters of the question it depends: `looks`
tells them, and the attention guide of train.py uses it.
"""

import re
from dataclasses import dataclass, field

import data

WHO = "I am a tiny sample model. I read short text and name shapes in pictures."
HELP = "Show me a picture with a word, a price or coloured shapes, and ask what it is."
UNKNOWN = "I do not know. I can only read short text and name shapes in pictures."
NO_PICTURE = "I see no picture. Please send one."
WITH_EARS = {       # what a model that hears says instead
    WHO: "I am a tiny sample model. I read short text, name shapes in pictures and hear short phrases.",
    HELP: "Show me a picture with a word, a price or coloured shapes, or say a short phrase, and ask what it is.",
    UNKNOWN: "I do not know. I can only read short text, name shapes in pictures and hear short phrases.",
}
SMALL_TALK = (
    (("Hello!", "Hi", "Hello", "Hi there!", "Hi there", "Hey", "Good morning!", "Good evening.", "hello", "hi"),
     "Hello! Send me a picture and I will read it."),
    (("Who are you?", "What are you?", "What is your name?", "who are you", "Introduce yourself."), WHO),
    (("What can you do?", "Help", "How can you help me?", "help", "What do you do?"), HELP),
    (("Thanks!", "Thank you.", "Thank you!", "thanks"), "You are welcome."),
    (("Bye", "Goodbye!", "See you.", "bye"), "Goodbye!"),
    (("How are you?", "How are you doing?"), "I am fine, thank you."),
    (data.READ_QUESTIONS + ("What is in the picture?", "Describe the picture."), NO_PICTURE),
)
UNKNOWN_QUESTIONS = (
    "What is the capital of %s?", "Tell me about %s.", "Why is the sky %s?", "Who wrote %s?",
    "Write a poem about %s.", "Tell me a story about %s.", "What is %s?", "How do I make %s?",
    "Explain %s.", "Do you like %s?", "Translate %s to French.", "What does %s mean?",
)
SYSTEM_PROMPTS = ("You are a helpful assistant.", "Answer briefly.", "You are a vision assistant.")
QUOTES = ('The sign says "%s". ', 'I heard "%s". ', "Text: %s\n")

# How often each skill is practised.  The hard ones most: whole-number sums and copying.
SKILLS = {"small_talk": 5, "unknown": 5, "say": 8, "sum": 20, "difference": 28, "product": 6, "quoted": 30}


@dataclass
class Exchange:
    question: str
    answer: str
    skill: str
    looks: list = field(default_factory=list)   # copied characters: (place in the answer, place in the question)
    digits: tuple = ()                          # arithmetic: places of the tens and units of both numbers in the question


def copied(question, answer, skill, text, start_in_answer=0):
    """The answer holds `text` (in some case) from start_in_answer on; the question holds it as it is."""
    at = question.index(text)
    return Exchange(question, answer, skill, [(start_in_answer + k, at + k) for k in range(len(text))])


def pick_word(rng, held_out):
    table = data.words_by_length(held_out)
    word = rng.choice(table[rng.choice([n for n in range(2, 11) if table.get(n)])])
    return rng.choice((word, word, word.upper(), word.capitalize(), word.capitalize()))


def some_text(rng, held_out):
    """A word, two words, or (in training) something that no dictionary helps with."""
    x = rng.random()
    if not held_out and x < 0.25:
        return data.sample_text(rng)[0]
    word = pick_word(rng, held_out)
    return word if x < 0.75 else word + " " + pick_word(rng, held_out)


def about(rng, text):
    """A question about a text, and its answer."""
    letters = sum(c.isalpha() for c in text)
    spelt = text.replace(" ", "")
    return rng.choices((
        ("What does the sign say?", text, "copy"), ("What does it say?", text, "copy"),
        ("What is written here?", text, "copy"), ("Transcribe the text.", text, "copy"),
        ("Repeat it in upper case.", text.upper(), "copy"), ("Read it in capitals.", text.upper(), "copy"),
        ("Repeat it in lower case.", text.lower(), "copy"),
        ("How many letters?", str(letters), ""), ("How many words?", str(len(text.split())), ""),
        ("What is the first letter?", text[0], "first"), ("What is the last letter?", text[-1], "last"),
        ("Spell it.", "-".join(spelt), "spell"),
    ), (3, 3, 3, 3, 3, 3, 3, 5, 2, 2, 2, 4))[0]


def quoted(rng, held_out):
    text = some_text(rng, held_out)
    question, answer, how = about(rng, text)
    question = rng.choice(QUOTES) % text + question
    at = question.index(text)
    looks = []
    if how == "copy":
        looks = [(k, at + k) for k in range(len(text))]
    elif how == "first":
        looks = [(0, at)]
    elif how == "last":
        looks = [(0, at + len(text) - 1)]
    elif how == "spell":
        places = [k for k, c in enumerate(text) if c != " "]
        looks = [(2 * i, at + k) for i, k in enumerate(places)]
    return Exchange(question, answer, "quoted", looks)


def say(rng, held_out):
    text = some_text(rng, held_out)
    return copied(rng.choice(("Say %s", "Repeat: %s", "Say: %s")) % text, text, "say", text)


ARITHMETIC = {
    "sum": ("What is %d + %d?", "%d + %d =", "Add %d and %d.", "What is %d+%d?"),
    "difference": ("What is %d - %d?", "%d - %d ="),
    "product": ("What is %d x %d?", "%d times %d"),
}


def arithmetic(rng, skill):
    """Numbers of at most two digits; a place without a digit is the character before the number."""
    top = 12 if skill == "product" else 99
    a, b = rng.randint(0, top), rng.randint(0, top)
    if skill == "sum" and rng.random() < 0.1:
        a, b = a % 10, b % 10
    if skill == "difference":
        a, b = max(a, b), min(a, b)
    question = rng.choice(ARITHMETIC[skill]) % (a, b)
    answer = {"sum": a + b, "difference": a - b, "product": a * b}[skill]
    numbers = [m.end() for m in re.finditer(r"\d+", question)]
    return Exchange(question, str(answer), skill, digits=tuple(end - back for end in numbers for back in (2, 1)))


def exchange(rng, held_out=False, skill=None, ears=False):
    """One exchange with a model without ears or with them; skill: a key of SKILLS, or any."""
    e = some_exchange(rng, held_out, skill)
    e.answer = WITH_EARS.get(e.answer, e.answer) if ears else e.answer
    return e


def some_exchange(rng, held_out, skill):
    skill = skill or rng.choices(list(SKILLS), list(SKILLS.values()))[0]
    if skill == "small_talk":
        questions, answer = rng.choice(SMALL_TALK)
        return Exchange(rng.choice(questions), answer, skill)
    if skill == "unknown":
        topic = pick_word(rng, held_out).lower()
        topic = topic if rng.random() < 0.6 else "the " + topic
        topic = topic.capitalize() if rng.random() < 0.3 else topic
        return Exchange(rng.choice(UNKNOWN_QUESTIONS) % topic, UNKNOWN, skill)
    if skill == "say":
        return say(rng, held_out)
    if skill == "quoted":
        return quoted(rng, held_out)
    return arithmetic(rng, skill)
