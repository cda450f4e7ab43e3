/* fuzz.h - what the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput: any bytes in, no crash, no leak, no
 * hang, no sanitizer report out. Linked with libFuzzer (-DSN_FUZZ=ON, clang) it searches; linked with replay.c it runs the
 * kept corpus, which every test run does.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise that must hold whatever the input is. */
#define FUZZ_PROMISE(cond) ((cond) ? (void)0 : fuzz_broken(#cond, __FILE__, __LINE__))
_Noreturn void fuzz_broken(const char *promise, const char *file, int line);

/* The input as a file: its path, valid until the next call or fuzz_file_close. For readers that map what they read. */
const char *fuzz_file(const uint8_t *data, size_t size);
void fuzz_file_close(void);

/* A folder of this process, gone when it ends, and one of its files, replaced; data NULL: no such file. */
const char *fuzz_folder(void);
void fuzz_folder_put(const char *name, const uint8_t *data, size_t size);

#endif
