/* hf_pipeline.h - the stages of a tokenizer.json around its model: normalizer, pre_tokenizer, post_processor, decoder.
 * Those that this build knows become fields of a vocab_config; the rest is refused by name. */
#ifndef SN_FORMATS_HF_PIPELINE_H
#define SN_FORMATS_HF_PIPELINE_H

#include "base/json.h"
#include "text/vocab.h"

typedef struct hf_pipeline {
	const char *pre; /* byte-level: a name of pretokenize.c; NULL: text on U+2581 */
	bool nfc, prepend, replace; /* normalizers */
	bool metaspace, split_blanks, strip_blank, byte_fallback;
	vocab_prefix prefix;
	const char *bos, *last; /* what post_processor puts first, and behind the text, or NULL */
} hf_pipeline;

/* root: the whole tokenizer.json; strings of *p point into it. */
sn_status hf_pipeline_read(hf_pipeline *p, const json_t *root, sn_error *err);

#endif
