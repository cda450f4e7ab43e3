/* table.h - what the parts of the table plugin share.
 *
 *   csv.c      CSV text -> cells; knows nothing of the contract
 *   codec.c    "sn.decode/1": a CSV file becomes a medium of kind "table"
 *   encoder.c  "sn.plan/1" and "sn.encode/1": a table becomes embedding rows, one for each of its rows
 *   plugin.c   the list of the two, behind the one exported symbol
 *
 * A medium of kind "table" (SN_MEDIA_DATA; this is what codec and encoder have agreed upon):
 *   width   columns, 2 to TABLE_COLUMNS        height  rows, 1 to TABLE_ROWS
 *   samples cells in reading order, each a length (one byte) and so many bytes of UTF-8
 */
#ifndef TABLE_H
#define TABLE_H

#include <sensorium/ext/decode.h>
#include <sensorium/ext/encode.h>
#include <sensorium/ext/plan.h>
#include <sensorium/host/log.h>
#include <sensorium/host/memory.h>

#define TABLE_KIND "table"

enum { TABLE_COLUMNS = 32, TABLE_ROWS = 1024, TABLE_CELL = 128 /* bytes */ };

/* What csv_read finds. bytes: of samples. */
typedef struct table_size {
	uint32_t columns, rows;
	uint64_t bytes;
} table_size;

/* Reads the whole text: RFC 4180 without line breaks inside quotes; every line has the same number of cells, and at least
 * two. Stops where a cap is passed. samples: NULL, or room for size->bytes of an earlier call over the same text. */
sn_rc csv_read(const uint8_t *text, size_t n, uint32_t max_columns, uint32_t max_rows, uint8_t *samples, table_size *size,
               sn_fault *fault);

/* Fills the fault and returns code. text: fixed wording. */
sn_rc table_fail(sn_fault *fault, sn_rc code, const char *text);

extern const sn_plugin table_codec, table_encoder;

#endif
