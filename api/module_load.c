#include "module_load.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "models_json.h"

/* Beside the program (a build tree), else where an installation puts it. */
static bool find_file(char out[PATH_MAX], const char *file)
{
	static const char *const places[] = {"lib", "../lib/sensorium"};
	char folder[PATH_MAX];
	struct stat st;
	if (!program_folder(folder, sizeof folder))
		return false;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		int n = snprintf(out, PATH_MAX, "%s/%s/%s", folder, places[i], file);
		if (n > 0 && n < PATH_MAX && lstat(out, &st) == 0)
			return S_ISREG(st.st_mode) && !(st.st_mode & S_IWOTH) && (st.st_uid == 0 || st.st_uid == geteuid());
	}
	return false;
}

int module_load(void **entry, const char *file, const char *symbol, const char *flag, sn_error *err)
{
	char path[PATH_MAX];
	if (!find_file(path, file))
		return fault_set(err, SN_ERR_INVALID, NULL, "%s: lib/%s is missing, or others may write it", flag, file);
	void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	void *found = so && symbol ? dlsym(so, symbol) : NULL;
	if (!so || (symbol && !found))
		return fault_set(err, SN_ERR_INVALID, NULL, "%s: lib/%s is of another version, or its libraries are missing", flag, file);
	if (symbol)
		*entry = found;
	return SN_OK;
}
