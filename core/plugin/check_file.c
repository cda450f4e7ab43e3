/* check_file.c - the file itself under `plugins --check`: what it exports, and whether its descriptors agree with themselves. */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>

#include "plugin/check.h"

/* The names that a loaded object offers to others, counted by its own tables. */
static size_t count_exports(void *so)
{
	struct link_map *map;
	const ElfW(Sym) *symbols = NULL;
	const uint32_t *gnu = NULL, *sysv = NULL;
	size_t n = 0, exported = 0;
	if (dlinfo(so, RTLD_DI_LINKMAP, &map) != 0)
		return 0;
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_SYMTAB)
			symbols = (const void *)d->d_un.d_ptr;
		if (d->d_tag == DT_GNU_HASH)
			gnu = (const void *)d->d_un.d_ptr;
		if (d->d_tag == DT_HASH)
			sysv = (const void *)d->d_un.d_ptr;
	}
	if (sysv) {
		n = sysv[1];
	} else if (gnu) { /* buckets, first symbol, words of the filter, shift; the last chain of the last bucket ends with an odd hash */
		const uint32_t *buckets = gnu + 4 + gnu[2] * (sizeof(ElfW(Addr)) / 4), *chains = buckets + gnu[0];
		for (uint32_t b = 0; b < gnu[0]; b++)
			n = buckets[b] > n ? buckets[b] : n;
		while (n >= gnu[1] && n && !(chains[n - gnu[1]] & 1))
			n++;
		n += n > 0;
	}
	for (size_t i = 1; symbols && i < n; i++)
		exported += symbols[i].st_shndx != SHN_UNDEF && symbols[i].st_shndx != SHN_ABS && ELF64_ST_BIND(symbols[i].st_info) != STB_LOCAL;
	return exported;
}

void check_file(check *c)
{
	void *so = dlopen(c->config->file, RTLD_NOW | RTLD_NOLOAD); /* it is loaded already */
	size_t n = so ? count_exports(so) : 0;
	if (n != 1)
		check_fails(c, "it exports %zu symbols, not sn_plugin_entry_1 alone (-fvisibility=hidden, -Wl,--exclude-libs,ALL)", n);
	sn_plugin_entry_fn *entry;
	*(void **)&entry = so ? dlsym(so, "sn_plugin_entry_1") : NULL;
	if (entry && entry() != c->list)
		check_fails(c, "its entry returns another list when it is asked again");
}

bool check_in_words(const char *words, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = words; at && (at = strstr(at, word)); at += n)
		if ((at == words || at[-1] == ' ') && (at[n] == 0 || at[n] == ' '))
			return true;
	return false;
}

void check_descriptors(check *c)
{
	static const char *const known[] = {SN_EXT_DECODE, SN_EXT_CLIP, SN_EXT_PLAN, SN_EXT_ENCODE, SN_EXT_WATCH, SN_EXT_WRITE, SN_EXT_TRANSCRIBE, SN_EXT_SPEAK, SN_EXT_SYNTH};
	for (uint32_t i = 0; i < c->list->n_plugins; i++) {
		const sn_plugin *d = c->list->plugins[i];
		for (uint32_t j = 0; j < i; j++)
			if (strcmp(d->id, c->list->plugins[j]->id) == 0)
				check_fails(c, "two of its plugins have the id %s", d->id);
		if (!d->license || !*d->license || !d->summary || !*d->summary)
			check_fails(c, "%s: license (SPDX) and summary are shown to users and must not be empty", d->id);
		for (size_t k = 0; k < sizeof known / sizeof *known; k++)
			if (!d->extension(known[k]) != !check_in_words(d->extensions, known[k]))
				check_fails(c, "%s: the text `extensions` and extension() disagree about %s", d->id, known[k]);
		if (d->extension("") || d->extension("sn.no-such-thing/1"))
			check_fails(c, "%s: extension() must return NULL for what it does not know", d->id);
		const sn_ext_write *writer = d->extension(SN_EXT_WRITE);
		if (writer && (!writer->kind_name || !*writer->kind_name || !*writer->media_types))
			check_fails(c, "%s: its " SN_EXT_WRITE " names no kind, or no type", d->id);
		const sn_ext_decode *codec = d->extension(SN_EXT_DECODE);
		if (codec && codec->sniff(NULL, 0))
			check_fails(c, "%s: sniff claims a file without bytes", d->id);
		const sn_ext_clip *clip = d->extension(SN_EXT_CLIP);
		if (clip && clip->sniff(NULL, 0))
			check_fails(c, "%s: its " SN_EXT_CLIP " claims a file without bytes", d->id);
	}
}
