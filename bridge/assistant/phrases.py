"""The assistant's fixed sentences, and the reasons that the team reads."""

ASKED = "I've asked the team to join. You can keep writing."
ASKED_BEFORE = "The team knows that you are waiting. You can keep writing."

SORRY = "I'm sorry, I can't answer right now."
STOPPED = "I stopped before I had an answer. Ask me again whenever you like."

FAILED = f"{SORRY} I've asked the team to join."
FAILED_AGAIN = f"{SORRY} The team knows that you are waiting."

COULD_NOT_ANSWER = "The AI assistant could not answer."
BUDGET_USED_UP = "The AI assistant has used up its budget."
PERSON_WANTED = "The visitor needs a person."
NO_ASSISTANT = "A visitor is waiting for an answer."
ASKED_IN_WORDS = "The visitor asked for a person."
