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
 *
 * A language model whose architecture has a code predictor says the rest of a frame with it: n_slots is then 1, the frame is the sampled
 * code and n_predicted more, and the row that follows is the sum of all their embeddings and of one of the text (the "flow"):
 *
 *   prompt   [ text + with ] [ text + with ] ... | answer  [ codes of frame 0 + flow 0 ] [ codes of frame 1 + flow 1 ] ...
 *
 * flow i is the i-th token of the client's words that the prompt left out (sn_speak_piece.most), behind them flow_end once, then flow_rest
 * for good.
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
	SN_SPEAK_TEXT = 4,    /* the client's words, as plain text */
	SN_SPEAK_INSTRUCTIONS = 5, /* how they are to be said, in the client's words, as plain text */
	SN_SPEAK_REFERENCE = 6     /* the rows that the instance's own sn.encode/1 made of the client's recording */
} sn_speak_what;

typedef struct sn_speak_piece {
	uint32_t what;
	uint32_t most;    /* of TEXT: at most so many tokens are rows of the prompt, the others flow; 0: all are */
	const char *text; /* of TRUSTED and PLAIN; NULL for others */
	const char *with; /* a token, spelt: its embedding is added to each of the piece's rows; NULL: nothing is. Pieces with one are tokenized alone */
} sn_speak_piece;

typedef struct sn_speak_slot {
	const char *first_token; /* code 0, spelt as text: "<custom_token_10>"; the codes after it have consecutive ids */
	uint32_t n;              /* codes */
	uint32_t reserved;
} sn_speak_slot;

typedef struct sn_speak_language {
	const char *name; /* as clients select it, in lower case: "english" */
	const char *code; /* or so: BCP 47, "en" */
} sn_speak_language;

/* Instance data, valid until fini. */
typedef struct sn_speaker {
	uint32_t size;
	uint32_t n_voices;             /* at least 1 */
	const sn_voice *voices;
	const sn_speak_piece *prompt;  /* [n_pieces] in order; not looked at where compose is */
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
	uint32_t n_predicted;  /* codes of a frame that the model's code predictor says; 0: it has none */
	uint32_t min_frames;   /* of an utterance: no end before */
	const sn_speak_language *languages; /* [n_languages] that clients may ask for; none: the voice has its own */
	uint32_t n_languages;
	uint32_t instructions; /* 1: it follows instructions */
	uint32_t reference;    /* 1: it speaks in the voice of a recording; the instance has sn.plan/1 and sn.encode/1 for it */
	/* The code predictor's usual sampling; where the client's temperature is 0 it is greedy too. */
	float predictor_temperature, predictor_top_p;
	uint32_t predictor_top_k;
	uint32_t n_values;     /* of each predicted code */
} sn_speaker;

enum { SN_SPEAK_MAX_PIECES = 64 };

/* What a client asked for, as far as the prompt depends on it. */
typedef struct sn_speak_ask {
	uint32_t size;
	uint32_t voice;            /* index */
	uint32_t language;         /* index + 1; 0: none was named */
	uint32_t has_instructions; /* 1: there are some */
	uint32_t has_reference;    /* 1: there is a recording; the voice is then the first, and does not count */
	uint32_t reserved;
} sn_speak_ask;

typedef struct sn_speak_prompt {
	uint32_t size;
	uint32_t n_pieces;
	sn_speak_piece pieces[SN_SPEAK_MAX_PIECES]; /* their texts are instance data; one TEXT, and INSTRUCTIONS and REFERENCE once if there are such */
	const char *flow_end, *flow_rest; /* tokens, spelt; NULL: none, nothing is added */
} sn_speak_prompt;

typedef struct sn_ext_speak {
	uint32_t size;
	uint32_t reserved;
	const sn_speaker *(*describe)(const void *instance); /* never NULL. [any] */
	/* The prompt where it depends on more than the voice; NULL: it is the description's. A wish that cannot be had with others is
	 * SN_RC_UNSUPPORTED, blamed on the input, by name. [any] */
	sn_rc (*compose)(const void *instance, const sn_speak_ask *ask, sn_speak_prompt *out, sn_fault *fault);
} sn_ext_speak;

/* What every sn_ext_speak has; compose came later. */
#define SN_EXT_SPEAK_MIN_SIZE offsetof(sn_ext_speak, compose)

#endif
