/* languages.h - languages of speech: ISO 639 codes as speech models write them, and their English names as OpenAI's answers have them. */
#ifndef API_LANGUAGES_H
#define API_LANGUAGES_H

/* "english" of "en"; the code itself if it is not known, "english" of "" (a model that knows one language only). */
const char *language_name(const char *code);

#endif
