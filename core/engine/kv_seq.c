/* The KV of a sequence: tables of blocks, and the prefixes that sequences share. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/page_pool.h"

/* ---- tables ---- */

sn_status kv_seq_init(kv_seq *s, page_pool *pool, const kv_layout *layout, uint32_t max_rows, const hash_key *key,
                      const hash256 *root, sn_error *err)
{
	*s = (kv_seq){0};
	if (page_pool_admit(pool, layout, err))
		return SN_ERR_NOMEM;
	*s = (kv_seq){.layout = layout, .pool = pool, .max_rows = max_rows, .key = *key, .root = *root};
	for (uint32_t i = 0; i < layout->n_groups; i++) {
		const kv_group *g = &layout->groups[i];
		uint32_t n = kv_blocks_for(g, max_rows);
		s->group[i].max_blocks = n;
		s->group[i].chain = *root;
		s->group[i].blocks = calloc(n ? n : 1, sizeof(uint32_t));
		s->group[i].pages = calloc(n ? n : 1, g->n_slabs * sizeof(uint32_t));
		if (!s->group[i].blocks || !s->group[i].pages) {
			kv_seq_fini(s);
			return error_set(err, SN_ERR_NOMEM, "no memory for the block table of %u rows", max_rows);
		}
	}
	return SN_OK;
}

void kv_seq_fini(kv_seq *s)
{
	if (!s->layout)
		return;
	kv_seq_release(s);
	for (uint32_t i = 0; i < s->layout->n_groups; i++) {
		free(s->group[i].blocks);
		free(s->group[i].pages);
	}
	*s = (kv_seq){0};
}

/* b NONE: nothing is there any more. */
static void table_set(kv_seq *s, uint32_t i, uint32_t at, uint32_t b)
{
	uint32_t page = b == NONE ? KV_NO_PAGE : s->pool->blocks[b].first_page;
	s->group[i].blocks[at] = b;
	for (uint32_t slab = 0; slab < s->layout->groups[i].n_slabs; slab++) {
		s->group[i].pages[slab * s->group[i].max_blocks + at] = page;
		page = b == NONE ? KV_NO_PAGE : s->pool->next_page[page];
	}
}

static void table_push(kv_seq *s, uint32_t i, uint32_t b)
{
	table_set(s, i, s->group[i].n_blocks++, b);
}

uint32_t kv_seq_need(const kv_seq *s, uint32_t n_rows)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->layout->n_groups; i++) {
		uint32_t want = kv_blocks_for(&s->layout->groups[i], n_rows);
		if (want > s->group[i].n_blocks)
			n += (want - s->group[i].n_blocks) * s->layout->groups[i].n_slabs;
	}
	return n;
}

uint32_t kv_seq_need_to_reach(const kv_seq *s, uint32_t n_rows)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->layout->n_groups; i++) {
		uint32_t most = kv_most_blocks(s->layout, &s->layout->groups[i], n_rows), held = s->group[i].n_blocks - s->group[i].first;
		if (most > held)
			n += (most - held) * s->layout->groups[i].n_slabs;
	}
	return n;
}

uint32_t kv_seq_exclusive(const kv_seq *s)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->layout->n_groups; i++)
		for (uint32_t b = s->group[i].first; b < s->group[i].n_blocks; b++)
			if (s->pool->blocks[s->group[i].blocks[b]].refs == 1)
				n += s->layout->groups[i].n_slabs;
	return n;
}

bool kv_seq_extend(kv_seq *s, uint32_t n_rows)
{
	if (n_rows > s->max_rows || kv_seq_need(s, n_rows) > page_pool_available(s->pool))
		return false;
	for (uint32_t i = 0; i < s->layout->n_groups; i++) {
		uint32_t want = kv_blocks_for(&s->layout->groups[i], n_rows);
		while (s->group[i].n_blocks < want)
			table_push(s, i, block_take(s->pool, s->layout->groups[i].n_slabs));
	}
	return true;
}

static struct row_key row_key_of(const seq_row *r, const hash256 *media)
{
	struct row_key k = {r->frame, (uint32_t)r->id, r->position, r->height, r->width, r->span_end, r->with};
	if (r->media >= 0) {
		memcpy(&k.source, media[r->media].b, sizeof k.source);
		k.source |= 1;
		k.id = r->media_row;
	}
	return k;
}

static hash256 chain_hash(const kv_seq *s, uint32_t i, const hash256 *parent, const seq_row *rows, const hash256 *media,
                          uint32_t n_rows)
{
	hasher h;
	hash_begin(&h, &s->key);
	hash_add(&h, parent, sizeof *parent);
	hash_u64(&h, i);
	for (uint32_t r = 0; r < n_rows; r++) {
		struct row_key k = row_key_of(&rows[r], media);
		hash_add(&h, &k, sizeof k);
		if (rows[r].media >= 0 && (r == 0 || rows[r].media != rows[r - 1].media))
			hash_add(&h, &media[rows[r].media], sizeof(hash256));
	}
	hash256 out = hash_end(&h);
#ifdef SN_TEST_COLLIDE /* tests: two bits of hash are left, so that only comparing tells blocks apart */
	out = (hash256){.b = {out.b[0] & 3}};
#endif
	return out;
}

static bool same_rows(const page_pool *p, uint32_t b, const seq_row *rows, const hash256 *media, uint32_t n_rows)
{
	const struct row_key *have = &p->keys[(size_t)b * p->most_keys];
	if (p->blocks[b].n_rows != n_rows)
		return false;
	for (uint32_t r = 0; r < n_rows; r++) {
		struct row_key k = row_key_of(&rows[r], media);
		if (memcmp(&k, &have[r], sizeof k) != 0)
			return false;
	}
	return true;
}

/* What a block of group i is found by, beside its rows. */
struct block_id {
	hash256 hash;
	uint64_t parent;
	uint32_t index;
};

static uint32_t find_block(const kv_seq *s, uint32_t i, const struct block_id *id, const seq_row *rows, const hash256 *media,
                           uint32_t n_rows)
{
	page_pool *p = s->pool;
	for (uint32_t b = *bucket_of(p, &id->hash); b != NONE; b = p->blocks[b].bucket_next) {
		const struct block *k = &p->blocks[b];
		if (memcmp(&k->hash, &id->hash, sizeof k->hash) == 0 && k->parent == id->parent && k->group == i && k->index == id->index &&
		    memcmp(&k->root, &s->root, sizeof s->root) == 0 && same_rows(p, b, rows, media, n_rows))
			return b;
	}
	return NONE;
}

/* The block that follows group i's last hashed one. */
static struct block_id next_id(const kv_seq *s, uint32_t i, const seq_row *rows, const hash256 *media)
{
	return (struct block_id){chain_hash(s, i, &s->group[i].chain, rows, media, s->layout->groups[i].block_tokens), s->group[i].parent,
	                         s->group[i].n_hashed};
}

/* The group whose blocks prove what came before those of group i; NONE: its own. */
static uint32_t anchor_of(const kv_layout *layout, uint32_t i)
{
	for (uint32_t a = 0; a < layout->n_groups && layout->groups[i].window; a++)
		if (!layout->groups[a].window)
			return a;
	return NONE;
}

/* Block `at` of group i; its anchor's block is there and hashed. */
static struct block_id anchored_id(const kv_seq *s, uint32_t i, uint32_t anchor, uint32_t at)
{
	uint32_t last_row = (at + 1) * s->layout->groups[i].block_tokens - 1;
	const struct block *k = &s->pool->blocks[s->group[anchor].blocks[last_row / s->layout->groups[anchor].block_tokens]];
	hasher h;
	hash_begin(&h, &s->key);
	hash_add(&h, &k->hash, sizeof k->hash);
	hash_u64(&h, i);
	hash_u64(&h, at);
	struct block_id id = {hash_end(&h), k->serial, at};
#ifdef SN_TEST_COLLIDE
	id.hash = (hash256){.b = {id.hash.b[0] & 3}};
#endif
	return id;
}

/* ---- prefixes ---- */

/* Cached blocks of one group from the root on, referenced into the table, at most max_rows rows. */
static uint32_t match_group(kv_seq *s, uint32_t i, const seq_row *rows, const hash256 *media, uint32_t max_rows)
{
	uint32_t t = s->layout->groups[i].block_tokens;
	while ((s->group[i].n_blocks + 1) * t <= max_rows) {
		const seq_row *at = rows + (size_t)s->group[i].n_blocks * t;
		struct block_id id = next_id(s, i, at, media);
		uint32_t b = find_block(s, i, &id, at, media, t);
		if (b == NONE)
			break;
		block_ref(s->pool, b);
		table_push(s, i, b);
		s->group[i].n_hashed++;
		s->group[i].chain = id.hash;
		s->group[i].parent = s->pool->blocks[b].serial;
	}
	return s->group[i].n_blocks * t;
}

/* Drops the group's blocks from index `keep` on; the chain goes back to the last hashed block kept. */
static void drop_blocks(kv_seq *s, uint32_t i, uint32_t keep)
{
	while (s->group[i].n_blocks > keep && s->group[i].n_blocks > s->group[i].first)
		block_unref(s->pool, s->group[i].blocks[--s->group[i].n_blocks]);
	if (keep <= s->group[i].first) /* nothing is left */
		s->group[i].n_blocks = s->group[i].first = keep = 0;
	if (s->group[i].n_hashed > keep) {
		s->group[i].n_hashed = keep;
		const struct block *last = keep ? &s->pool->blocks[s->group[i].blocks[keep - 1]] : NULL;
		s->group[i].chain = last ? last->hash : s->root;
		s->group[i].parent = last ? last->serial : 0;
	}
}

/* Writes down which blocks of an anchored group are cached; they are not referenced yet. */
static void look_up_window(kv_seq *s, uint32_t i, uint32_t anchor, const seq_row *rows, const hash256 *media, uint32_t n_rows)
{
	uint32_t t = s->layout->groups[i].block_tokens;
	for (uint32_t at = 0; at < n_rows / t; at++) {
		struct block_id id = anchored_id(s, i, anchor, at);
		s->group[i].blocks[at] = find_block(s, i, &id, rows + (size_t)at * t, media, t);
	}
}

static bool window_is_there(const kv_seq *s, uint32_t i, uint32_t n_rows)
{
	const kv_group *g = &s->layout->groups[i];
	for (uint32_t at = kv_first_seen(g, n_rows); at < n_rows / g->block_tokens; at++)
		if (s->group[i].blocks[at] == NONE)
			return false;
	return true;
}

/* The longest prefix of at most `hit` rows that is whole blocks in every group, with the windows before its end, and cuts no span. */
static uint32_t servable(const kv_seq *s, const seq_row *rows, uint32_t hit)
{
	const kv_layout *l = s->layout;
	uint32_t common = kv_common_rows(l);
	for (uint32_t before = NONE; before != hit && hit;) {
		before = hit;
		hit -= hit % common;
		while (hit && rows[hit - 1].span_end > hit)
			hit--;
		for (uint32_t i = 0; i < l->n_groups && hit && hit % common == 0; i++)
			if (anchor_of(l, i) != NONE && !window_is_there(s, i, hit))
				hit--;
	}
	return hit;
}

static void take_window(kv_seq *s, uint32_t i, uint32_t n_rows)
{
	const kv_group *g = &s->layout->groups[i];
	uint32_t first = kv_first_seen(g, n_rows), n = n_rows / g->block_tokens;
	for (uint32_t at = 0; at < n; at++) {
		uint32_t b = at < first ? NONE : s->group[i].blocks[at];
		if (b != NONE)
			block_ref(s->pool, b);
		table_set(s, i, at, b);
	}
	s->group[i].first = first;
	s->group[i].n_blocks = s->group[i].n_hashed = n;
}

uint32_t kv_seq_match(kv_seq *s, const seq_row *rows, const hash256 *media, uint32_t max_hit)
{
	const kv_layout *l = s->layout;
	uint32_t hit = max_hit;
	if (kv_layout_is_split(l))
		return 0;
	for (uint32_t i = 0; i < l->n_groups; i++)
		if (anchor_of(l, i) == NONE) {
			uint32_t n = match_group(s, i, rows, media, max_hit);
			hit = n < hit ? n : hit;
		}
	for (uint32_t i = 0; i < l->n_groups; i++)
		if (anchor_of(l, i) != NONE)
			look_up_window(s, i, anchor_of(l, i), rows, media, hit);
	hit = servable(s, rows, hit);
	for (uint32_t i = 0; i < l->n_groups; i++) {
		if (anchor_of(l, i) == NONE)
			drop_blocks(s, i, hit / l->groups[i].block_tokens);
		else
			take_window(s, i, hit);
	}
	kv_seq_slide(s, hit);
	return hit;
}

/* Block `at` of group i is full: it becomes findable, or gives way to one that is the same. */
static void publish(kv_seq *s, uint32_t i, uint32_t at, const struct block_id *id, const seq_row *rows, const hash256 *media)
{
	page_pool *p = s->pool;
	uint32_t t = s->layout->groups[i].block_tokens, b = s->group[i].blocks[at];
	uint32_t found = find_block(s, i, id, rows, media, t);
	if (found == b) /* a fork of ours did it */
		return;
	if (found != NONE) {
		block_ref(p, found);
		table_set(s, i, at, found);
		block_unref(p, b);
		return;
	}
	struct block *k = &p->blocks[b];
	k->hash = id->hash;
	k->root = s->root;
	k->group = i;
	k->parent = id->parent;
	k->index = id->index;
	k->n_rows = t;
	for (uint32_t j = 0; j < t; j++)
		p->keys[(size_t)b * p->most_keys + j] = row_key_of(&rows[j], media);
	uint32_t *bucket = bucket_of(p, &id->hash);
	k->bucket_next = *bucket;
	*bucket = b;
}

static void commit_chain(kv_seq *s, uint32_t i, const seq_row *rows, const hash256 *media, uint32_t n_computed)
{
	uint32_t t = s->layout->groups[i].block_tokens;
	/* A block that slid away before it had its hash ends the chain for good. */
	while ((s->group[i].n_hashed + 1) * t <= n_computed && s->group[i].n_hashed >= s->group[i].first) {
		uint32_t at = s->group[i].n_hashed;
		const seq_row *r = rows + (size_t)at * t;
		struct block_id id = next_id(s, i, r, media);
		publish(s, i, at, &id, r, media);
		s->group[i].n_hashed++;
		s->group[i].chain = id.hash;
		s->group[i].parent = s->pool->blocks[s->group[i].blocks[at]].serial;
	}
}

static void commit_window(kv_seq *s, uint32_t i, uint32_t anchor, const seq_row *rows, const hash256 *media, uint32_t n_computed)
{
	uint32_t t = s->layout->groups[i].block_tokens, proven = s->group[anchor].n_hashed * s->layout->groups[anchor].block_tokens;
	if (s->group[i].n_hashed < s->group[i].first)
		s->group[i].n_hashed = s->group[i].first;
	for (; (s->group[i].n_hashed + 1) * t <= (proven < n_computed ? proven : n_computed); s->group[i].n_hashed++) {
		struct block_id id = anchored_id(s, i, anchor, s->group[i].n_hashed);
		publish(s, i, s->group[i].n_hashed, &id, rows + (size_t)s->group[i].n_hashed * t, media);
	}
}

void kv_seq_commit(kv_seq *s, const seq_row *rows, const hash256 *media, uint32_t n_computed)
{
	const kv_layout *l = s->layout;
	if (kv_layout_is_split(l))
		return;
	for (uint32_t i = 0; i < l->n_groups; i++)
		if (anchor_of(l, i) == NONE)
			commit_chain(s, i, rows, media, n_computed);
	for (uint32_t i = 0; i < l->n_groups; i++)
		if (anchor_of(l, i) != NONE)
			commit_window(s, i, anchor_of(l, i), rows, media, n_computed);
}

void kv_seq_slide(kv_seq *s, uint32_t n_computed)
{
	uint32_t n = kv_whole_rows(s->layout, n_computed); /* where a fork would begin */
	for (uint32_t i = 0; i < s->layout->n_groups; i++) {
		uint32_t first = kv_first_seen(&s->layout->groups[i], n);
		for (; s->group[i].first < first && s->group[i].first < s->group[i].n_blocks; s->group[i].first++) {
			block_unref(s->pool, s->group[i].blocks[s->group[i].first]);
			table_set(s, i, s->group[i].first, NONE);
		}
	}
}

/* What rows from n on see is still there. */
static bool windows_reach(const kv_seq *s, uint32_t n)
{
	for (uint32_t i = 0; i < s->layout->n_groups; i++)
		if (kv_first_seen(&s->layout->groups[i], n) < s->group[i].first)
			return false;
	return true;
}

uint32_t kv_seq_truncate(kv_seq *s, uint32_t n_rows)
{
	for (uint32_t before = NONE; before != n_rows;) {
		before = n_rows;
		if (!windows_reach(s, n_rows))
			n_rows = 0;
		for (uint32_t i = 0; i < s->layout->n_groups; i++) {
			const kv_group *g = &s->layout->groups[i];
			uint32_t n = kv_rows_in(g, n_rows), tail = n / g->block_tokens;
			if (n % g->block_tokens == 0 || n == g->limit || tail >= s->group[i].n_blocks || tail < s->group[i].first)
				continue;
			const struct block *k = &s->pool->blocks[s->group[i].blocks[tail]];
			if (k->refs > 1 || k->n_rows)
				n_rows = g->base + tail * g->block_tokens;
		}
	}
	for (uint32_t i = 0; i < s->layout->n_groups; i++)
		if (kv_blocks_for(&s->layout->groups[i], n_rows) < s->group[i].n_blocks)
			drop_blocks(s, i, kv_blocks_for(&s->layout->groups[i], n_rows));
	return n_rows;
}

uint32_t kv_seq_fork(kv_seq *dst, const kv_seq *src, uint32_t n_rows)
{
	n_rows = kv_whole_rows(src->layout, n_rows);
	if (n_rows == 0 || !windows_reach(src, n_rows))
		return 0;
	for (uint32_t i = 0; i < src->layout->n_groups; i++) {
		const kv_group *g = &src->layout->groups[i];
		uint32_t first = kv_first_seen(g, n_rows), n = kv_blocks_for(g, n_rows);
		for (uint32_t at = 0; at < n; at++) {
			uint32_t b = at < first ? NONE : src->group[i].blocks[at];
			if (b != NONE)
				block_ref(src->pool, b);
			table_push(dst, i, b);
		}
		dst->group[i].first = first;
		const struct block *last = src->group[i].n_hashed > n ? &src->pool->blocks[src->group[i].blocks[n - 1]] : NULL;
		dst->group[i].n_hashed = last ? n : src->group[i].n_hashed;
		dst->group[i].chain = last ? last->hash : src->group[i].chain;
		dst->group[i].parent = last ? last->serial : src->group[i].parent;
	}
	return n_rows;
}

void kv_seq_release(kv_seq *s)
{
	for (uint32_t i = 0; i < s->layout->n_groups; i++)
		drop_blocks(s, i, 0);
}
