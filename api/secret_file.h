/* secret_file.h - files that hold secrets, and are read only if nobody else can: API keys, the key of a certificate. */
#ifndef API_SECRET_FILE_H
#define API_SECRET_FILE_H

#include "core.h"

/* *text: [*size] and a NUL, for secret_file_free; NULL if it fails. flag: who asks for it, for the error. */
int secret_file_read(char **text, size_t *size, const char *path, size_t max, const char *flag, sn_error *err);
void secret_file_free(char **text, size_t size); /* overwrites it */
/* The same for what is no secret. */
int public_file_read(char **text, size_t *size, const char *path, size_t max, const char *flag, sn_error *err);

#endif
