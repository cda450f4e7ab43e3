/* codec.c - "sn.decode/1": a CSV file becomes a table. No state, so its instance is empty. */
#include <string.h>

#include "table.h"

/* Text, as far as the host shows it, with a comma in its first line. */
static const char *sniff(const uint8_t *bytes, size_t n)
{
	bool comma = false, first_line = true;
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] < 0x20 && bytes[i] != '\t' && bytes[i] != '\r' && bytes[i] != '\n')
			return NULL;
		first_line = first_line && bytes[i] != '\n';
		comma = comma || (first_line && bytes[i] == ',');
	}
	return comma ? "text/csv" : NULL;
}

/* The smaller of our own cap and the host's, where 0 is none. */
static uint32_t cap(uint32_t ours, uint32_t theirs)
{
	return theirs && theirs < ours ? theirs : ours;
}

static sn_rc measure(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits,
                     sn_media *media, sn_fault *fault)
{
	table_size size;
	sn_rc rc = csv_read(bytes, n, cap(TABLE_COLUMNS, limits->max_width), cap(TABLE_ROWS, limits->max_height), NULL, &size, fault);
	if (rc != SN_RC_OK)
		return rc;
	if (limits->max_bytes && size.bytes > limits->max_bytes)
		return table_fail(fault, SN_RC_TOO_LARGE, "the table has too much text");
	if (limits->max_pixels && (uint64_t)size.columns * size.rows > limits->max_pixels)
		return table_fail(fault, SN_RC_TOO_LARGE, "the table has too many cells");
	media->kind = SN_MEDIA_DATA;
	media->width = size.columns;
	media->height = size.rows;
	media->n_frames = 1;
	media->bytes = size.bytes;
	(void)instance;
	(void)call;
	return SN_RC_OK;
}

static sn_rc decode(void *instance, const sn_call *call, const uint8_t *bytes, size_t n, const sn_media_limits *limits,
                    sn_media *media, sn_fault *fault)
{
	table_size size;
	sn_media again = {.size = sizeof again};
	sn_rc rc = measure(instance, call, bytes, n, limits, &again, fault);
	if (rc != SN_RC_OK)
		return rc;
	if (!media->samples || media->width != again.width || media->height != again.height || media->bytes != again.bytes)
		return table_fail(fault, SN_RC_INTERNAL, "the media is not as measured");
	return csv_read(bytes, n, again.width, again.height, media->samples, &size, fault);
}

static const sn_ext_decode DECODE = {
    .size = sizeof DECODE,
    .kind = SN_MEDIA_DATA,
    .kind_name = TABLE_KIND,
    .media_types = "text/csv",
    .sniff = sniff,
    .measure = measure,
    .decode = decode,
};

static sn_rc init(void *instance, const sn_host *host, sn_fault *fault)
{
	(void)instance;
	(void)host;
	(void)fault;
	return SN_RC_OK;
}

static sn_rc load(void *instance, const sn_model *model, sn_fault *fault)
{
	(void)instance;
	(void)model; /* NULL: a codec serves no model */
	(void)fault;
	return SN_RC_OK;
}

static void fini(void *instance) { (void)instance; }

static const void *extension(const char *id)
{
	return strcmp(id, SN_EXT_DECODE) == 0 ? &DECODE : NULL;
}

const sn_plugin table_codec = {
    .size = sizeof table_codec,
    .instance_size = 0,
    .id = "table-codec",
    .version = "1.0.0",
    .license = "MIT",
    .summary = "CSV text as tables",
    .init = init,
    .load = load,
    .fini = fini,
    .extension = extension,
    .extensions = SN_EXT_DECODE,
};
