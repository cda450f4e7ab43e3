/* tokenize.h - the fields of POST /tokenize and POST /detokenize. */
#ifndef API_TOKENIZE_H
#define API_TOKENIZE_H

#include "fields.h"

extern const field_table tokenize_fields, detokenize_fields;

#endif
