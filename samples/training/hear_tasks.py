"""What is asked about a sound, and what the sample model answers.

Typed questions ask for the words; a sound without a typed question is itself the question or the order.
"""

from dataclasses import dataclass, field

import sounds
import talk

TRANSCRIBE = ("Transcribe.", "Transcribe the audio.", "What was said?", "What did you hear?")     # the first one is what POST /v1/audio/transcriptions asks
ANSWER = ("", "", "Answer the question.")
TASKS = {"transcribe": 60, "upper": 5, "count": 7, "first": 3, "last": 3, "answer": 22}


@dataclass
class Task:
    question: str
    answer: str
    skill: str
    looks: list = field(default_factory=list)       # (place in the answer, place in the transcript) of what is repeated
    sound_last: bool = False                        # the typed question comes before the sound

    def become(self, question, answer, skill):
        self.question, self.answer, self.skill, self.looks = question, answer, skill, []


def small_talk(text):
    """The answer of talk.py to a spoken phrase, or None."""
    for questions, answer in talk.SMALL_TALK:
        if text in map(sounds.plain, questions):
            return talk.WITH_EARS.get(answer, answer)
    return None


def value(words):
    """The number that some words say (the inverse of sounds.number)."""
    n = 0
    for w in words:
        if w in sounds.ONES:
            n += sounds.ONES.index(w)
        elif w in sounds.TENS:
            n += 10 * sounds.TENS.index(w)
        elif w == "hundred":
            n *= 100
        else:
            raise ValueError(w)
    return n


def sum_of(text):
    """What a spoken sum comes to."""
    words = text.replace("what is ", "").split()
    if words[0] == "add":
        a, b = words[1:words.index("and")], words[words.index("and") + 1:]
        return value(a) + value(b)
    how = next(w for w in words if w in sounds.SUMS)
    a, b = value(words[:words.index(how)]), value(words[words.index(how) + 1:])
    return {"plus": a + b, "minus": a - b, "times": a * b}[how]


def reply(text, kind):
    """What is answered to something said, with no word typed: (answer, looks)."""
    if kind == "sum":
        return str(sum_of(text)), []
    if kind == "say":
        word = text.split()[-1]
        return word, [(k, len(text) - len(word) + k) for k in range(len(word))]
    answer = small_talk(text) if kind in ("talk", "picture") else None
    if answer:
        return answer, []
    start = len("I heard: ")
    return "I heard: " + text, [(start + k, k) for k in range(len(text))]


def make(skill, text, kind, question, sound_last=False):
    words, copy = text.split(), [(k, k) for k in range(len(text))]
    if skill == "transcribe":
        return Task(question, text, skill, copy, sound_last)
    if skill == "upper":
        return Task("Repeat it in upper case.", text.upper(), skill, copy, sound_last)
    if skill == "count":
        return Task("How many words?", str(len(words)), skill, [], sound_last)
    if skill == "first":
        return Task("What is the first word?", words[0], skill, copy[:len(words[0])], sound_last)
    if skill == "last":
        word, start = words[-1], len(text) - len(words[-1])
        return Task("What is the last word?", word, skill, [(k, start + k) for k in range(len(word))], sound_last)
    answer, looks = reply(text, kind)
    return Task(question, answer, skill, looks, sound_last)


def sample(rng, utterance, skill=None):
    """A task about an utterance (a list of clips)."""
    text = " ".join(c.text for c in utterance)
    kind = utterance[0].kind if len(utterance) == 1 else "words"
    skill = skill or rng.choices(list(TASKS), list(TASKS.values()))[0]
    question = rng.choice(ANSWER) if skill == "answer" else rng.choice(TRANSCRIBE[:1] * 4 + TRANSCRIBE)
    return make(skill, text, kind, question, rng.random() < 0.3)
