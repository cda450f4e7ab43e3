/* ext/speak.h - "sn.speak/1": what a language model that was trained to speak has to be told, and what its tokens mean. The same
 * instance has sn.synth/1, which turns frames of codes into sound.
 *
 * A text is cut into utterances; each is one sequence of the language model. The host writes its prompt from the description
 * below, samples under the description's rules, and maps each sampled token to a code:
 *
 *   the i-th code of the utterance (0, 1, ...) is in slot s = i mod n_slots: token slots[s].first + c is code c, c below slots[s].n
 *
 * Nothing else may be sampled but, at a frame's beginning, an end token. n_slots consecutive codes are a frame, handed to
 * sn.synth/1 in that order. Texts are spelt out; the host tokenizes them, special tokens in trusted pieces only.
 */
#ifndef SENSORIUM_EXT_SPEAK_H
#define SENSORIUM_EXT_SPEAK_H

#include "../plugin.h"

#define SN_EXT_SPEAK "sn.speak/1"

typedef struct sn_voice {
	const char *name;     /* as clients select it; [a-z0-9_-], at most 63 bytes. The first one is also called "default" */
	const char *prompt;   /* what the prompt's SN_SPEAK_VOICE piece says for it */
	const char *language; /* BCP 47, "" if it speaks several */
} sn_voice;

typedef enum sn_speak_what {
	SN_SPEAK_TRUSTED = 1, /* text, special tokens that are spelt out in it are those tokens */
	SN_SPEAK_PLAIN = 2,   /* text without special tokens; joined with neighbouring plain, voice and text pieces before it is tokenized */
	SN_SPEAK_VOICE = 3,   /* the voice's prompt, as plain text */
	SN_SPEAK_TEXT = 4     /* the client's words, as plain text */
} sn_speak_what;

typedef struct sn_speak_piece {
	uint32_t what;
	uint32_t reserved;
	const char *text; /* of TRUSTED and PLAIN; NULL for others */
} sn_speak_piece;

typedef struct sn_speak_slot {
	const char *first_token; /* code 0, spelt as text: "<custom_token_10>"; the codes after it have consecutive ids */
	uint32_t n;              /* codes */
	uint32_t reserved;
} sn_speak_slot;

/* Instance data, valid until fini. */
typedef struct sn_speaker {
	uint32_t size;
	uint32_t n_voices;             /* at least 1 */
	const sn_voice *voices;
	const sn_speak_piece *prompt;  /* [n_pieces] in order */
	const sn_speak_slot *slots;    /* [n_slots] of one frame */
	const char *const *end_tokens; /* [n_end_tokens] what ends an utterance; at least 1 */
	uint32_t n_pieces, n_slots, n_end_tokens;
	uint32_t bos;                  /* 1: the vocabulary's beginning-of-sequence token stands before the first plain piece, where its tokenizer adds one */
	uint32_t max_text;             /* bytes of one utterance's text that it speaks well: longer ones are cut at sentences, clauses, words */
	uint32_t max_frames;           /* of one utterance */
	uint32_t lower_case;           /* 1: it knows lower-case words only, as the client's words are then given to it */
	uint32_t reserved;
	/* The model's usual sampling; top_k 0: all. The client's temperature and seed come before it. */
	float temperature, top_p, repetition_penalty;
	uint32_t top_k;
} sn_speaker;

typedef struct sn_ext_speak {
	uint32_t size;
	uint32_t reserved;
	const sn_speaker *(*describe)(const void *instance); /* never NULL. [any] */
} sn_ext_speak;

#endif
