// SPDX-License-Identifier: BSD-2-Clause
/* postkick: wakes a service up through its socket or FIFO, as scripts have always done. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "cmd/programs.h"
#include "cmd/queue_client.h"
#include "log/log.h"

#define KICK_LIMIT_MS 10000

int main(int argc, char **argv)
{
	const struct postfix_params *params;
	const char *dir = NULL;
	char *name;
	int opt;

	programs_standard_files();
	log_command("postkick");
	while ((opt = getopt(argc, argv, "+c:v")) != -1)
		if (opt == 'c')
			dir = optarg;
		else if (opt != 'v') /* our messages say all that we know */
			optind = argc;
	if (argc - optind != 3)
		queue_client_fatal("usage: postkick [-c config_dir] [-v] class service request");
	params = queue_client_params(dir);
	if (chdir(params->queue_directory) == -1)
		queue_client_fatal("chdir %s: %s", params->queue_directory, strerror(errno));
	name = xasprintf("%s/%s", argv[optind], argv[optind + 1]);
	if (queue_trigger(name, slice_of(argv[optind + 2]), deadline_in(KICK_LIMIT_MS)) == -1) {
		log_warning("%s %s: %s",
		    errno == ENOENT ? "unable to look up" : "unable to connect to", name,
		    strerror(errno));
		log_warning("Cannot contact class %s service %s - perhaps the mail system is down",
		    argv[optind], argv[optind + 1]);
		free(name);
		return 1;
	}
	free(name);
	queue_client_end();
	return 0;
}
