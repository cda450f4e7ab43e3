/* unicode.h - UTF-8 and the few character properties that tokenizers and templates need. Categories and case come
 * from utf8proc (Unicode 15). */
#ifndef SN_TEXT_UNICODE_H
#define SN_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes one character of p[0..n). Returns its length (1..4); 0 when the bytes end inside a character that is well
 * formed so far (or n is 0); -k when the first k bytes are an ill-formed maximal subpart (Unicode 3.9). */
int utf8_decode(const char *p, size_t n, uint32_t *cp);
size_t utf8_encode(uint32_t cp, char out[4]);
/* Length of the character at p, ill-formed subparts counting as one; n > 0. */
size_t utf8_step(const char *p, size_t n);
/* Start of the character that ends at p[n), n > 0. */
size_t utf8_back(const char *p, size_t n);
/* Characters in p[0..n). */
size_t utf8_count(const char *p, size_t n);

bool unicode_is_letter(uint32_t cp); /* \p{L} */
bool unicode_is_number(uint32_t cp); /* \p{N} */
bool unicode_starts_word(uint32_t cp); /* [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] */
bool unicode_ends_word(uint32_t cp);   /* [\p{Ll}\p{Lm}\p{Lo}\p{M}] */
bool unicode_is_space(uint32_t cp);  /* White_Space, a regex's \s */
bool unicode_is_py_space(uint32_t cp); /* what Python's str.strip() removes: White_Space and U+001C..U+001F */
bool unicode_is_py_digit(uint32_t cp); /* Python's str.isdigit(): decimals, and digits such as superscripts */
bool unicode_is_decimal(uint32_t cp);  /* \p{Nd} */
bool unicode_is_lower(uint32_t cp);    /* Lowercase: \p{Ll} and what else looks so */
bool unicode_is_upper(uint32_t cp);
bool unicode_is_title(uint32_t cp);    /* \p{Lt} */
bool unicode_is_cased(uint32_t cp);    /* one of the three */
bool unicode_is_case_ignorable(uint32_t cp); /* stands inside a word without being a letter of it */
bool unicode_is_printable(uint32_t cp);      /* shown as it is by Python's repr() */

typedef enum unicode_case { UNICODE_LOWER, UNICODE_UPPER, UNICODE_TITLE } unicode_case;
/* The character's case mapping, up to three characters long (as "ß" to "SS"); returns how many. */
size_t unicode_map(unicode_case to, uint32_t cp, uint32_t out[3]);

#endif
