/* pages.h - the page pool, and the KV of a sequence as tables of pages.
 *
 * One arena, cut into pages of ONE byte size. A model's layers form KV groups (same heads, head size, type, window). A
 * block is block_tokens tokens of one group: n_slabs pages, each holding slab_layers of the group's layers:
 *
 *   page of slab s: [slab_layers][K, V][n_kv_head] heads, each [block_tokens][head_dim] and, if the type has scales, [scales][block_tokens] f16
 *
 * (A head's scales stand behind its bytes, those of one token block_tokens apart, so that rows of bytes lie side by side as other types'
 * do and the scales of a key tile are one load. What a stored value means and what storing costs it: kernels.h, kn_store_kv_fn.)
 *
 * Blocks are reference-counted and shared between sequences. A full block gets a content hash, keyed and chained from its
 * parent block; unreferenced hashed blocks stay as prefix cache in LRU order and are evicted in one place when pages are
 * short. A hit is proved by comparing row keys and the parent's identity, not trusted to the hash.
 *
 * A group with a window gives blocks back as they fall out of it. So its blocks cannot prove what came before them; the first
 * group without a window, their anchor, does: they carry the identity of the anchor's block that covers their last row. A prefix
 * can then be taken where the anchor has all of it and the window only its last rows:
 *
 *   anchor   [ 0 ][ 1 ][ 2 ][ 3 ][ 4 ][ 5 ]|  the hit ends where every group has a block's end
 *   window     .    .    .    . [ 4 ][ 5 ]|   needed: the last `window` rows before it
 *
 * (A model whose layers all have windows has no anchor: its prefixes are found from the first row on, while that is cached.)
 *
 * A group may hold a part of the rows only: `limit` rows from row `base` on. That is how an encoder-decoder model's sequence
 * lies: the rows of its medium fill the group that cross-attention reads, all others stand behind them in one of their own,
 *
 *   rows    [ medium: 0 .. 1499 ][ tokens: 1500 .. ]
 *   cross   [ base 0, limit 1500 ]
 *   self                        [ base 1500 ...     and its first row is what kernels see as key 0
 *
 * (Every limit and every base is the same row, or 0.)
 * Such sequences begin with what is theirs alone, so they are not looked for in the prefix cache, and leave nothing there.
 *
 * Everything here runs on the engine thread; nothing allocates after open except kv_seq_init.
 */
#ifndef SN_ENGINE_PAGES_H
#define SN_ENGINE_PAGES_H

#include "base/hash.h"
#include "core.h"
#include "kernels.h"

enum { PAGE_BYTES = 256 * 1024, KV_MAX_GROUPS = 4, KV_MIN_BLOCK = 16, KV_MAX_BLOCK = 128, KV_MAX_BYTE_BLOCK = 256 };

/* How K and V are stored. A sequence's keys in the prefix cache depend on it (sequence.c): the same rows in another type are others.
 *
 *   f16, f32, bf16   as they are
 *   q8_0, fp8        a byte a channel, whole numbers or 8-bit floats (e4m3), times an f16 for each 32 channels of a head of a token: 17/32
 *                    of f16's bytes. Of one token and head alone, so that a row is stored the same whatever stands beside it.
 *
 * Rows of media are not K or V but what the first layer reads, a few kB each: they are rounded to media_type(type), which for the 8-bit
 * types is f16. */
enum kv_type { KV_F16, KV_F32, KV_BF16, KV_Q8_0, KV_FP8, KV_TYPES };

const char *kv_type_name(enum kv_type type); /* as --kv-cache-dtype has it */
kn_type kv_stored_as(enum kv_type type);     /* the kernels' name for it */
enum kv_type media_type(enum kv_type type);  /* KV_F16, KV_BF16 or KV_F32 */

typedef struct kv_group {
	uint32_t n_layers, n_kv_head, head_dim;
	uint32_t window; /* a row sees so many keys, itself among them; 0: all */
	uint32_t base;   /* rows before it are not in the group; indices in the group count from here */
	uint32_t limit;  /* it holds at most so many rows; 0: all from base on */
	enum kv_type type;
	/* chosen by kv_layout_plan: */
	uint32_t block_tokens, slab_layers, n_slabs;
	uint32_t token_bytes;  /* one head of one token, its scales aside */
	uint32_t head_bytes;   /* block_tokens of one head, with their scales */
	uint32_t layer_bytes;  /* K and V of one layer */
	float waste;           /* share of a block's pages that holds nothing */
} kv_group;

typedef struct kv_layout {
	uint32_t n_groups;
	kv_group groups[KV_MAX_GROUPS];
	uint32_t max_chunk; /* most rows of a sequence between two slides of its windows; 0: not known, count as if they never slid */
} kv_layout;

/* Sets the bytes of a group whose block_tokens are chosen. */
void kv_group_measure(kv_group *g);
/* Bytes of K and V of a token in all of a group's layers; what pages take beyond that is waste. */
uint32_t kv_token_bytes(const kv_group *g);

/* Picks block_tokens and slab_layers of every group so that pages waste least, and so that at most KV_MAX_BLOCK rows (KV_MAX_BYTE_BLOCK, of
 * types of a byte a channel) bring all groups without a limit to a block's end together. Fails, naming the sizes, if one layer of the smallest block is larger than a page. */
sn_status kv_layout_plan(kv_layout *layout, sn_error *err);
/* The most pages that a sequence occupies in all groups, at any time until it has n_rows rows. */
uint32_t kv_layout_pages(const kv_layout *layout, uint32_t n_rows);
/* The most rows, at most max, whose pages are no more than so many; 0: not one's. */
uint32_t kv_layout_rows(const kv_layout *layout, uint32_t n_pages, uint32_t max);
/* The most rows, at most n_rows, behind which every group has a block's end, or all the rows that it will ever have. */
uint32_t kv_whole_rows(const kv_layout *layout, uint32_t n_rows);
/* Some group holds a part of the rows only. */
bool kv_layout_is_split(const kv_layout *layout);

/* One row of a sequence: what it is and where. Also what the prefix cache compares. */
typedef struct seq_row {
	int32_t id;        /* token id; for media rows the token that stands for them */
	int32_t media;     /* index into the sequence's media, -1 for tokens */
	uint32_t media_row;
	uint32_t position;
	int32_t height, width; /* where a model counts positions on three axes: a row of a picture's on the second and the third, less `position`; else 0 */
	uint32_t span_end; /* rows of one both-ways span: index after its last row; 0: causal */
	uint32_t with;     /* 1 + a token whose embedding is added; 0: none */
	uint64_t frame;    /* leading bytes of the keyed hash of what its frame's other codes are, whose embeddings are added; 0: none are */
} seq_row;

/* The largest of its positions. */
static inline uint32_t seq_row_last(const seq_row *r)
{
	int32_t most = r->height > r->width ? r->height : r->width;
	return most > 0 ? r->position + (uint32_t)most : r->position;
}

typedef struct page_pool page_pool;

size_t page_pool_bytes(size_t bytes); /* the pages of such a pool, and its tables */
/* Room in the tables for blocks of this layout, which kv_seq_init makes too. At load, so that it is known before anything runs. */
sn_status page_pool_admit(page_pool *pool, const kv_layout *layout, sn_error *err);
size_t page_pool_more(uint32_t n_pages, const kv_layout *layout); /* by how much the tables of a pool of n_pages are larger then */
sn_status page_pool_open(page_pool **out, size_t bytes, sn_error *err);
void page_pool_close(page_pool **pool);
uint8_t *page_pool_arena(const page_pool *pool); /* page p lies at arena + p * PAGE_BYTES */
uint32_t page_pool_total(const page_pool *pool);
uint32_t page_pool_available(const page_pool *pool); /* free + evictable */
uint32_t page_pool_cached(const page_pool *pool);    /* evictable */

#define KV_NO_PAGE UINT32_MAX /* stands where a block has been given back: nobody may look there */

/* The KV of one sequence. */
typedef struct kv_seq {
	const kv_layout *layout;
	page_pool *pool;
	uint32_t max_rows;
	struct {
		uint32_t *blocks;    /* [n_blocks] block handles */
		uint32_t *pages;     /* [n_slabs][max_blocks] page numbers, what kernels read */
		uint32_t max_blocks;
		uint32_t first;      /* blocks before it were given back: KV_NO_PAGE in pages */
		uint32_t n_blocks;   /* one past the last, counted from the first row */
		uint32_t n_hashed;   /* blocks before it carry a hash or were given back */
		hash256 chain;       /* of the last hashed block, or the root */
		uint64_t parent;     /* serial of the last hashed block, 0 at the root */
	} group[KV_MAX_GROUPS];
	hash_key key;
	hash256 root;
} kv_seq;

/* root: whatever the rows depend on beside themselves (model, KV type, salt). max_rows bounds the sequence. */
sn_status kv_seq_init(kv_seq *s, page_pool *pool, const kv_layout *layout, uint32_t max_rows, const hash_key *key,
                      const hash256 *root, sn_error *err);
void kv_seq_fini(kv_seq *s); /* releases its blocks */

/* Pages that must be taken so that rows up to n_rows have room beside those held now. */
uint32_t kv_seq_need(const kv_seq *s, uint32_t n_rows);
/* The most pages that must be taken on the way there, in chunks of at most the layout's. */
uint32_t kv_seq_need_to_reach(const kv_seq *s, uint32_t n_rows);
/* Pages that only this sequence holds: what giving it up would make available. */
uint32_t kv_seq_exclusive(const kv_seq *s);
/* Takes them, evicting cached blocks as needed. False, nothing taken, if the pool cannot give that many. */
bool kv_seq_extend(kv_seq *s, uint32_t n_rows);
/* Takes the longest cached prefix of rows that every group can serve, at most max_hit rows, not ending inside a span.
 * The sequence must be empty. Returns how many rows it got: none where the layout is split. media: [..] content keys of the rows' media. */
uint32_t kv_seq_match(kv_seq *s, const seq_row *rows, const hash256 *media, uint32_t max_hit);
/* Rows [0, n_computed) are stored for good: blocks that became full get their hash. Where another sequence has the same block
 * already, that one is shared and ours given back. Nothing happens where the layout is split. */
void kv_seq_commit(kv_seq *s, const seq_row *rows, const hash256 *media, uint32_t n_computed);
/* Rows before n_computed are computed, and none of them will be again: groups with a window give back the blocks that no later
 * row sees. What a fork at n_computed needs is kept. */
void kv_seq_slide(kv_seq *s, uint32_t n_computed);
/* Keeps at most the first n rows. Returns how many it kept: less than n when row n lies in a block that others may read
 * (shared or hashed), which is then given up whole; none when the window before row n has been given back. */
uint32_t kv_seq_truncate(kv_seq *s, uint32_t n_rows);
/* dst (empty, same layout) shares the full blocks of src's first n_rows rows (and a group's last one, if it has all its rows).
 * Returns how many rows that is: none when the window before them has been given back. */
uint32_t kv_seq_fork(kv_seq *dst, const kv_seq *src, uint32_t n_rows);
/* Gives all blocks back; hashed ones stay cached. */
void kv_seq_release(kv_seq *s);

/* Checks the pool's invariants against themselves (tests): counts, lists and references agree. */
bool page_pool_consistent(const page_pool *pool);

#endif
