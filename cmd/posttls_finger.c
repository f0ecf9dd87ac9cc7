// SPDX-License-Identifier: BSD-2-Clause
/* posttls-finger: options, and which servers are asked how often. */
#include "cmd/posttls_finger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "log/log.h"
#include "net/dns.h"
#include "server/tls_params.h"

#define OPTIONS		"a:A:cCd:fF:g:h:H:k:K:l:L:m:M:o:p:P:r:s:St:T:vwx"
#define MAX_OPTIONS	64
#define RECONNECTED_LOG (TLS_LOG_CACHE | TLS_LOG_SUMMARY)

static const char *const level_names[] = { "none", "may", "encrypt", "fingerprint", "dane",
	"dane-only", "verify", "secure" };

struct options {
	struct postfix_override overrides[MAX_OPTIONS];
	size_t override_count;
	const char *chains[MAX_OPTIONS + 1], *anchors[MAX_OPTIONS + 1];
	size_t chain_count, anchor_count;
	const char *ca_file, *ca_path, *digest, *cert, *key, *level, *log;
};

static _Noreturn void usage(void)
{
	fprintf(stderr,
	    "usage: posttls-finger [-acCfSvwx] [-t conn_tmout] [-T cmd_tmout] [-L logopts] \\\n"
	    "\t[-h host_lookup] [-l level] [-d mdalg] [-g grade] [-p protocols] \\\n"
	    "\t[-A tafile] [-F CAfile.pem] [-P CApath/] [-s servername] \\\n"
	    "\t[ [-H chainfiles] | [-k certfile [-K keyfile]] ] \\\n"
	    "\t[-m count] [-r delay] [-o name=value] destination [match ...]\n");
	exit(1);
}

static long number_of(int option, const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || number < 0 || number > 1000000)
		fatal("bad '-%c' option value: %s", option, text);
	return number;
}

static void set_family(struct finger *f, const char *text)
{
	if (strcmp(text, "ipv4") == 0)
		f->family = AF_INET;
	else if (strcmp(text, "ipv6") == 0)
		f->family = AF_INET6;
	else if (strcmp(text, "any") != 0)
		fatal("bad '-a' option value: %s", text);
}

static void set_lookup(struct finger *f, const char *text)
{
	if (strcasecmp(text, "native") == 0)
		f->native = true;
	else if (strcasecmp(text, "dns") != 0)
		fatal("bad '-h' option value: %s", text);
}

static void set_insecure_mx(struct finger *f, const char *text)
{
	if (strcasecmp(text, "may") != 0 && strcasecmp(text, "encrypt") != 0 &&
	    strcasecmp(text, "dane") != 0)
		fatal("bad '-M' option value: %s", text);
	f->insecure_mx = text;
}

static void add_override(struct options *o, char *text)
{
	char *value = strchr(text, '=');

	if (value == NULL || o->override_count == MAX_OPTIONS)
		fatal("-o option: missing '=' after attribute name: \"%s\"", text);
	*value++ = '\0';
	text[strcspn(text, " \t")] = '\0';
	o->overrides[o->override_count++] =
	    (struct postfix_override){ .name = text, .value = value + strspn(value, " \t") };
}

static void add_path(const char **list, size_t *count, const char *path)
{
	if (*count < MAX_OPTIONS)
		list[(*count)++] = path;
}

static void add_paths(struct options *o, const char *paths)
{
	char *copy = xstrdup(paths), *rest = copy, *path;

	while ((path = strsep(&rest, ", \t")) != NULL)
		if (*path)
			add_path(o->chains, &o->chain_count, xstrdup(path));
	free(copy);
}

static bool take_flag(struct finger *f, int option)
{
	const struct {
		char letter;
		bool *flag;
	} flags[] = { { 'c', &f->quiet }, { 'C', &f->show_chain }, { 'f', &f->force_tlsa },
		{ 'S', &f->lmtp }, { 'w', &f->wrapper } };

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (flags[i].letter == option) {
			*flags[i].flag = true;
			return true;
		}
	/* Nothing more to tell; certificates are asked for in any case. */
	return option == 'v' || option == 'x';
}

static bool take_text(struct finger *f, struct options *o, int option)
{
	const struct {
		char letter;
		const char **text;
	} texts[] = { { 'd', &o->digest }, { 'F', &o->ca_file }, { 'g', &f->grade },
		{ 'k', &o->cert }, { 'K', &o->key }, { 'l', &o->level }, { 'L', &o->log },
		{ 'p', &f->protocols }, { 'P', &o->ca_path }, { 's', &f->server_name } };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i].letter == option) {
			*texts[i].text = optarg;
			return true;
		}
	return false;
}

static void take_option(struct finger *f, struct options *o, int option)
{
	if (take_flag(f, option) || take_text(f, o, option))
		return;
	switch (option) {
	case 'a':
		set_family(f, optarg);
		break;
	case 'A':
		add_path(o->anchors, &o->anchor_count, optarg);
		break;
	case 'h':
		set_lookup(f, optarg);
		break;
	case 'H':
		add_paths(o, optarg);
		break;
	case 'm':
		f->reconnects = number_of('m', optarg);
		break;
	case 'M':
		set_insecure_mx(f, optarg);
		break;
	case 'o':
		add_override(o, optarg);
		break;
	case 'r':
		f->delay = number_of('r', optarg);
		break;
	case 't':
		f->connect_seconds = number_of('t', optarg);
		break;
	case 'T':
		f->command_seconds = number_of('T', optarg);
		break;
	default:
		usage();
	}
}

static enum finger_level level_of(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
		if (strcasecmp(text, level_names[i]) == 0)
			return (enum finger_level)i;
	fatal("Invalid TLS level \"%s\"", text);
}

static void check_options(struct finger *f, const struct options *o)
{
	f->level = level_of(o->level);
	if (o->chain_count > 0 && (o->cert || o->key))
		fatal("When the '-H' option is used, neither the '-k', nor the '-K' options may be "
		      "used");
	if (f->wrapper && f->level == FINGER_NONE)
		fatal("SSL wrapper mode requires that TLS not be disabled");
	if (f->matches[0] && (f->level <= FINGER_ENCRYPT))
		log_warning("TLS level '%s' does not implement certificate matching",
		    level_names[f->level]);
	if (!tls_log_parts(o->log, &f->log))
		log_warning("unknown -L option value \"%s\" in \"%s\"", o->log, o->log);
	if (f->delay > 0)
		f->log |= TLS_LOG_CACHE;
}

static void read_parameters(struct finger *f, struct options *o)
{
	const char *dir = postfix_conf_dir(NULL);
	struct postfix_source *source = postfix_source_read(dir, NULL);
	struct postfix_service role = { .overrides = o->overrides,
		.override_count = o->override_count };

	if (source == NULL)
		fatal("open %s/main.cf: %m", dir);
	f->params = postfix_params_new(source, &role, NULL);
	postfix_source_free(source);
}

static void load_anchors(struct finger *f, const struct options *o)
{
	struct reason why;

	if (o->anchor_count == 0)
		return;
	f->anchors = arena_alloc(&f->arena, (o->anchor_count + 1) * sizeof(*f->anchors));
	for (size_t i = 0; i < o->anchor_count; i++) {
		f->anchors[i] = tls_anchors_load(o->anchors[i], &why);
		if (f->anchors[i] == NULL) {
			log_warning("%s", why.text);
			fatal("Failed to load trust anchor file: %s", o->anchors[i]);
		}
	}
	f->anchors[o->anchor_count] = NULL;
}

static void open_tls(struct finger *f, const struct options *o)
{
	const struct postfix_params *p = f->params;
	const struct tls_files files[] = { { o->cert	? o->cert
					       : o->key ? o->key
							: "",
					       o->key },
		{ NULL, NULL } };
	struct reason why;

	if (f->level == FINGER_NONE)
		return;
	if (!tls_library_open(p->tls_config_file, p->tls_config_name, &why)) {
		log_warning("%s, disabling TLS support", why.text);
		return;
	}
	f->tls = tls_client_new(
	    &(struct tls_client_config){
		.files = files,
		.kinds = tls_certificate_kinds,
		.chains = o->chain_count ? o->chains : NULL,
		.ca_file = o->ca_file,
		.ca_path = o->ca_path,
		.default_cas = p->tls_append_default_CA,
		.verify_depth = (int)p->smtp_tls_scert_verifydepth,
		.digest = o->digest ? o->digest : p->smtp_tls_fingerprint_digest,
		.dane_digests = p->tls_dane_digests,
		.curves = p->tls_eecdh_auto_curves,
		.groups = p->tls_ffdhe_auto_groups,
		.options = p->tls_ssl_options,
		.workarounds_off = p->tls_disable_workarounds,
		.session_seconds = f->delay > 0 ? 3600 : 0,
		.session_max = 100,
		.cache_name = "memory",
		.verbose = (f->log & TLS_LOG_VERBOSE) != 0,
		.log_errors = true,
	    },
	    &why);
}

/* Behind a load balancer each connection may find another server, with sessions of its own. */
static void reconnect(struct finger *f, const struct finger_target *target)
{
	char names[32][sizeof(f->server)];
	size_t known = 0;
	struct reason why;

	f->log = RECONNECTED_LOG;
	f->show_chain = false;
	f->again = true;
	for (long i = 0; i < f->reconnects; i++) {
		snprintf(names[known % ARRAY_LEN(names)], sizeof(names[0]), "%s", f->server);
		known++;
		log_info("Reconnecting after %ld seconds", f->delay);
		sleep((unsigned)f->delay);
		if (finger_talk(f, target, &why) != FINGER_WITH_TLS)
			return;
		for (size_t k = 0; k < known && k < ARRAY_LEN(names); k++) {
			if (strcmp(names[k], f->server) != 0)
				continue;
			log_info("%s", f->resumed ? "Found a previously used server.  Done "
						    "reconnecting."
						  : "Server declined session caching. Done "
						    "reconnecting.");
			return;
		}
	}
	log_info("Maximum reconnect count reached.");
}

static void finger(struct finger *f)
{
	struct finger_target *targets;
	struct reason why;
	size_t count = finger_find(f, &targets, &why);

	if (count == 0) {
		log_info("Destination address lookup failed: %s", why.text);
		return;
	}
	for (size_t i = 0; i < count; i++)
		switch (finger_talk(f, &targets[i], &why)) {
		case FINGER_UNREACHED:
			if (targets[i].path)
				log_info("Failed to establish session to %s: %s", f->destination,
				    why.text);
			else
				log_info("Failed to establish session to %s via %s:%u: %s",
				    f->destination, targets[i].host, targets[i].port, why.text);
			break;
		case FINGER_WITH_TLS:
			if (f->delay > 0)
				reconnect(f, &targets[i]);
			return;
		case FINGER_ENDED:
			return;
		}
}

int main(int argc, char **argv)
{
	static struct finger f = { .arena = ARENA_INIT,
		.connect_seconds = 30,
		.command_seconds = 30,
		.reconnects = 5,
		.protocols = ">=TLSv1",
		.grade = "medium",
		.insecure_mx = "dane",
		.family = AF_UNSPEC };
	static struct options o = { .level = "dane", .log = "routine,certmatch" };
	int option;

	log_command("posttls-finger");
	while ((option = getopt(argc, argv, OPTIONS)) != -1)
		take_option(&f, &o, option);
	if (optind == argc)
		usage();
	f.destination = argv[optind];
	f.matches = (const char *const *)(argv + optind + 1);
	/* All that is told is the output. */
	if (dup2(STDOUT_FILENO, STDERR_FILENO) == -1)
		fatal("dup2: %m");
	check_options(&f, &o);
	read_parameters(&f, &o);
	load_anchors(&f, &o);
	dns_open();
	if (*f.params->postcote_dns_server && !dns_use_server(f.params->postcote_dns_server))
		fatal("bad postcote_dns_server parameter: %s", f.params->postcote_dns_server);
	open_tls(&f, &o);
	finger(&f);
	tls_context_free(f.tls);
	return 0;
}
