/* sn_architectures: what runs, out of the architectures' rows, the directory reader's families and the kernels' table. README.md has a copy. */
#include <string.h>

#include "core.h"
#include "formats/hf_config.h"
#include "kernels.h"
#include "model/arch.h"

/* The types of its container whose products are computed. */
static void print_types(FILE *out, bool gguf, bool f8)
{
	static const uint32_t plain[] = {KN_F32, KN_F16, KN_BF16};
	kn_table ref;
	kn_select(&ref, KN_ISA_REF);
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		fprintf(out, "%s%s", i ? ", " : "", storage_type_find(plain[i])->name);
	for (uint32_t t = 0; gguf && t < STORAGE_OTHERS; t++)
		if (t != KN_F32 && t != KN_F16 && t != KN_BF16 && kn_linear_of(&ref, (kn_type)t))
			fprintf(out, ", %s", storage_type_find(t)->name);
	if (f8)
		fprintf(out, ", %s", storage_type_find(STORAGE_F8_E4M3)->name);
}

static void print_row(FILE *out, const arch *a)
{
	const char *gguf, *name;
	bool f8, any = false;
	fprintf(out, a->directories ? "| %s | - |" : "| %s | `%s` |", a->models, a->name);
	for (size_t i = 0; (name = hf_family(i, &gguf, &f8)); i++)
		if (strcmp(gguf, a->name) == 0) {
			fprintf(out, "%s `%s`%s", any ? "," : "", name, f8 ? "" : " \\*");
			any = true;
		}
	fprintf(out, any ? " |\n" : " - |\n");
}

void sn_architectures(FILE *out)
{
	fprintf(out, "| models | GGUF: `general.architecture` | directory: `architectures` |\n|---|---|---|\n");
	for (size_t i = 0; arch_row(i); i++)
		print_row(out, arch_row(i));
	fprintf(out, "\nWeights in GGUF: ");
	print_types(out, true, false);
	fprintf(out, ".\nWeights in directories: ");
	print_types(out, false, true);
	fprintf(out, " (with its scales, as compressed-tensors, DeepSeek and Qwen write them; \\* without).\n");
}
