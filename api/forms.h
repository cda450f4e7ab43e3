/* forms.h - the JSON of choices, as OpenAI has it for each of the two (answer.h). */
#ifndef API_FORMS_H
#define API_FORMS_H

#include "answer.h"

extern const answer_form chat_form;       /* chat.completion, chat.completion.chunk */
extern const answer_form completion_form; /* text_completion, whole or in pieces */

#endif
