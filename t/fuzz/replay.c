// SPDX-License-Identifier: BSD-2-Clause
/*
 * Stands in for libFuzzer in `make check`: gives each file of t/fuzz/corpus/NAME to the target once
 * and says so in TAP.  A crash is the failure.  Arguments are files to replay instead.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Copied to memory of exactly its size, behind which AddressSanitizer stands. */
static void replay(const char *path)
{
	FILE *file = fopen(path, "rb");
	static uint8_t buffer[1 << 20];
	uint8_t *data;
	size_t size;

	if (!file) {
		perror(path);
		exit(1);
	}
	size = fread(buffer, 1, sizeof(buffer), file);
	fclose(file);
	data = malloc(size);
	if (size)
		memcpy(data, buffer, size);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* fuzz_NAME, wherever it lies, has its corpus in t/fuzz/corpus/NAME. */
static char *corpus_of(const char *program)
{
	const char *tree = getenv("PC_SRCDIR"), *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;

	ASSERT(slice_starts(slice_of(name), "fuzz_"));
	return xasprintf("%s/t/fuzz/corpus/%s", tree ? tree : ".", name + strlen("fuzz_"));
}

static int replay_corpus(const char *folder)
{
	struct dirent **entries;
	int count = scandir(folder, &entries, is_visible, alphasort);

	if (count <= 0) {
		fprintf(stderr, "%s: no corpus\n", folder);
		return 1;
	}
	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		char *path = xasprintf("%s/%s", folder, entries[i]->d_name);

		replay(path);
		printf("ok %d - %s\n", i + 1, entries[i]->d_name);
		free(path);
		free(entries[i]);
	}
	free(entries);
	return 0;
}

int main(int argc, char **argv)
{
	char *folder;
	int status;

	alarm(300); /* an endless loop is a failure, too */
	/* A crash must not take the names of those before it along. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	if (argc > 1)
		return 0;
	folder = corpus_of(argv[0]);
	status = replay_corpus(folder);
	free(folder);
	return status;
}
