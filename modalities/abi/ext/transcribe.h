/* ext/transcribe.h - "sn.transcribe/1": what a model that was trained to write down recordings has to be told, beside the
 * sn.plan/1 and sn.encode/1 of the same instance.
 *
 * A recording is cut into windows; each is one medium to plan and encode, and one sequence. The host writes its prompt from
 * the description below:
 *
 *   [previous, the client's own words,] opening, language token, task token, [no_stamps]
 *
 * and samples under the description's rules. Texts are special tokens spelt out; the host tokenizes them as trusted text.
 */
#ifndef SENSORIUM_EXT_TRANSCRIBE_H
#define SENSORIUM_EXT_TRANSCRIBE_H

#include "../media.h"

#define SN_EXT_TRANSCRIBE "sn.transcribe/1"

typedef struct sn_language {
	const char *code;  /* ISO 639-1 where there is one: "en" */
	const char *token; /* "<|en|>" */
} sn_language;

/* Instance data, valid until fini. A text that the model does not have is NULL. */
typedef struct sn_transcriber {
	uint32_t size;
	uint32_t max_previous;    /* tokens of the client's words, the last ones kept */
	const char *previous;     /* before the client's words: "<|startofprev|>" */
	const char *opening;      /* "<|startoftranscript|>" */
	const sn_language *languages; /* [n_languages]; none: the model knows one language, and is not told */
	uint32_t n_languages;
	uint32_t max_tokens;      /* of one window's answer */
	const char *transcribe;   /* task tokens; translate: into English */
	const char *translate;
	/* Stamps: tokens for times, in order, step_ms apart, the first one 0. They come in pairs around what is said. */
	const char *no_stamps;    /* the answer is to be without */
	const char *first_stamp;  /* "<|0.00|>" */
	uint32_t n_stamps, step_ms;
	uint32_t max_first_stamp; /* the answer's first stamp is at most this one; n_stamps: no such rule */
	/* Silence: the probability of this token right after `opening`. */
	const char *no_speech;
	const int32_t *suppress;       /* [n_suppress] token ids that are never sampled */
	const int32_t *begin_suppress; /* [n_begin_suppress] and those not sampled first */
	uint32_t n_suppress, n_begin_suppress;
	/* {layer, head} of the cross-attention whose weights follow what is said: for the times of words. None: not known. */
	const uint32_t (*alignment_heads)[2]; /* [n_alignment_heads] */
	uint32_t n_alignment_heads;
} sn_transcriber;

typedef struct sn_ext_transcribe {
	uint32_t size;
	uint32_t reserved;
	/* NULL: this instance's model has to be asked in a chat. [any] */
	const sn_transcriber *(*describe)(const void *instance);
	/* The end (exclusive) of the window of media that begins at sample `first`: at most what the model takes at once, at a quiet
	 * place if the recording goes on. Above first. Needs samples. [any] */
	uint64_t (*cut)(const void *instance, const sn_media *media, uint64_t first);
} sn_ext_transcribe;

#endif
