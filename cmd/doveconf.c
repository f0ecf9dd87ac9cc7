// SPDX-License-Identifier: BSD-2-Clause
/* doveconf: prints what dovecot.conf means.  "dovecot -n" and "doveadm config" are this, too. */
#include "cmd/doveconf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "cmd/version.h"
#include "sys/file.h"

#define EXIT_CONFIG 89 /* the peer's for every fatal error */

struct doveconf {
	const char *path;
	struct doveconf_options options;
	bool only_value, simple, defaults, quiet;
	bool chosen; /* the scope was asked for */
	struct dovecot_source *source;
	struct conf_errors errors;
};

void doveconf_die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("doveconf: Fatal: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(EXIT_CONFIG);
}

/* --- the comments at the top --- */

static void read_line(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "re");

	text[0] = '\0';
	if (!f)
		return;
	if (!fgets(text, (int)size, f))
		text[0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	fclose(f);
}

/* The file system below the mailboxes, as far as their place has no variables. */
static const char *mail_filesystem(const char *location)
{
	static const struct {
		long magic;
		const char *name;
	} known[] = { { 0xef53, "ext4" }, { 0x58465342, "xfs" }, { 0x9123683e, "btrfs" },
		{ 0x01021994, "tmpfs" }, { 0x6969, "nfs" }, { 0x9fa0, "proc" },
		{ 0x2fc12fc1, "zfs" }, { 0x794c7630, "overlay" } };
	const char *path = strchr(location, ':');
	char *fixed;
	struct statfs fs;
	size_t len;
	int rc;

	if (!path || path[1] != '/')
		return "";
	len = strcspn(++path, ":%");
	while (path[len] == '%' && len > 1 && path[len - 1] != '/')
		len--;
	fixed = xstrndup(path, len);
	rc = statfs(fixed, &fs);
	free(fixed);
	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(known); i++)
		if (known[i].magic == (long)fs.f_type)
			return known[i].name;
	return "";
}

static void print_host(const struct doveconf *dc)
{
	const struct dovecot_entry *location = dovecot_tree_find(dc->source->root, "mail_location");
	char release[64], distribution[128] = "";
	struct utsname host;

	read_line("/etc/debian_version", release, sizeof(release));
	if (*release)
		snprintf(distribution, sizeof(distribution), "Debian %s", release);
	else
		read_line("/etc/redhat-release", distribution, sizeof(distribution));
	if (uname(&host) != 0)
		return;
	printf("# OS: %s %s %s %s %s\n", host.sysname, host.release, host.machine, distribution,
	    location ? mail_filesystem(location->value) : "");
	printf("# Hostname: %s\n", host.nodename);
	if (dc->options.scope == DOVECONF_ALL && !dc->options.hidden)
		puts("# NOTE: Send doveconf -n output instead when asking for help.");
}

/* --- findings --- */

/* The peer does not say whose value is wrong: the line tells it. */
static const char *without_name(const char *text)
{
	static const char *const texts[] = { "Invalid ", "Time interval ", "Milliseconds not " };
	const char *rest = strstr(text, ": ");

	for (size_t i = 0; rest && i < ARRAY_LEN(texts); i++)
		if (!strncmp(rest + 2, texts[i], strlen(texts[i])))
			return rest + 2;
	return text;
}

/* Where it is, in the peer's words. */
static void print_finding(const char *level, const struct conf_finding *f)
{
	const char *text = without_name(f->text);

	fprintf(stderr, "doveconf: %s: ", level);
	if (f->line)
		fprintf(
		    stderr, "Error in configuration file %s line %u: %s\n", f->file, f->line, text);
	else
		fprintf(stderr, "Error in configuration file %s: %s\n", f->file, text);
}

static void print_warning(const struct conf_finding *f)
{
	if (f->text && strncmp(f->text, "Obsolete", 8) == 0)
		fprintf(stderr, "doveconf: Warning: Obsolete setting in %s:%u:%s\n", f->file,
		    f->line, f->text + strlen("Obsolete setting:"));
	else if (f->text && strncmp(f->text, "Ambiguous", 9) == 0)
		fprintf(stderr, "doveconf: Warning: Configuration file %s line %u: %s\n", f->file,
		    f->line, f->text);
	else
		fprintf(stderr, "doveconf: Warning: %s line %u: %s\n", f->file, f->line, f->text);
}

static void print_warnings(const struct doveconf *dc)
{
	bool has_obsolete = false;

	for (size_t i = 0; i < dc->errors.count; i++) {
		const struct conf_finding *f = &dc->errors.list[i];

		if (f->severity != CONF_WARNING)
			continue;
		if (!has_obsolete && strncmp(f->text, "Obsolete", 8) == 0 && !dc->quiet) {
			has_obsolete = true;
			fprintf(stderr, "doveconf: Warning: NOTE: You can get a new clean config "
					"file with: doveconf -Pn > dovecot-new.conf\n");
		}
		if (!dc->quiet || strncmp(f->text, "Obsolete", 8) != 0)
			print_warning(f);
	}
}

static const struct conf_finding *first_error(const struct doveconf *dc)
{
	const struct conf_finding *f = dc->errors.list;

	while (f->severity != CONF_ERROR)
		f++;
	return f;
}

/* All that is wrong, the first finding first, as the one that the peer stops at. */
static void stop_at_errors(const struct doveconf *dc)
{
	fflush(stdout);
	for (size_t i = 0; i < dc->errors.count; i++)
		if (dc->errors.list[i].severity == CONF_ERROR)
			print_finding("Fatal", &dc->errors.list[i]);
	if (dc->errors.error_count)
		exit(EXIT_CONFIG);
}

/* What is wrong although each value by itself is right: found after all was printed. */
static int check_meaning(const struct doveconf *dc)
{
	struct conf_errors errors = CONF_ERRORS_INIT;
	const struct conf_finding *first = NULL;
	int rc = 0;

	dovecot_conf_check(dc->source, &errors);
	fflush(stdout);
	for (size_t i = 0; i < errors.count; i++) {
		if (errors.list[i].severity != CONF_ERROR)
			continue;
		fprintf(stderr, "doveconf: Error: %s\n", errors.list[i].text);
		if (!first)
			first = &errors.list[i];
	}
	if (first) {
		fprintf(stderr, "doveconf: Fatal: Error in configuration file %s: %s\n", dc->path,
		    first->text);
		rc = EXIT_CONFIG;
	}
	conf_errors_release(&errors);
	return rc;
}

/* --- options --- */

static void set_filter(struct doveconf *dc, const char *text)
{
	const char *equals = strchr(text, '=');
	struct slice name = slice_first(slice_of(text), equals ? (size_t)(equals - text) : 0);
	struct dovecot_filter *filter = &dc->options.filter;

	dc->options.is_filtered = true;
	if (slice_eq_str(name, "protocol") || slice_eq_str(name, "service"))
		filter->protocol = equals + 1;
	else if (slice_eq_str(name, "lname"))
		filter->local_name = equals + 1;
	else if (slice_eq_str(name, "local"))
		filter->local_ip = equals + 1;
	else if (slice_eq_str(name, "remote"))
		filter->remote_ip = equals + 1;
	else
		doveconf_die("Unknown filter argument: %s", text);
}

static void set_scope(struct doveconf *dc, enum doveconf_scope scope)
{
	dc->options.scope = scope;
	dc->chosen = true;
}

static void take_option(struct doveconf *dc, int option)
{
	switch (option) {
	case 'a':
		set_scope(dc, DOVECONF_ALL);
		break;
	case 'c':
		dc->path = optarg;
		break;
	case 'd':
		dc->defaults = true;
		set_scope(dc, DOVECONF_ALL);
		break;
	case 'f':
		set_filter(dc, optarg);
		break;
	case 'h':
		dc->only_value = true;
		break;
	case 'H':
		dc->quiet = true;
		break;
	case 'm':
		dc->options.module = optarg;
		break;
	case 'n':
		set_scope(dc, DOVECONF_CHANGED);
		break;
	case 'N':
		set_scope(dc, DOVECONF_SET);
		break;
	case 'p': /* The peer parses modules on demand unless -p is given; here all are parsed. */
		break;
	case 'P':
		dc->options.secrets = true;
		break;
	case 's':
		dc->options.hidden = true;
		break;
	case 'S':
		dc->simple = true;
		break;
	case 'x':
		dc->options.expands = true;
		break;
	default:
		exit(EXIT_CONFIG);
	}
}

static void open_source(struct doveconf *dc, bool with_host)
{
	struct stat st;

	if (stat(dc->path, &st) < 0)
		doveconf_die("open(%s) failed: %s", dc->path, strerror(errno));
	if (dc->options.expands)
		dc->source = dovecot_source_read(dc->path, &dc->errors);
	else
		dc->source = dovecot_source_read_lazily(dc->path, &dc->errors);
	if (dc->source)
		dovecot_conf_check_values(dc->source, &dc->errors);
	print_warnings(dc);
	/* The peer notices the end of the file only after these lines. */
	if (with_host && dc->errors.error_count && !first_error(dc)->line)
		print_host(dc);
	stop_at_errors(dc);
	if (!dc->defaults)
		return;
	dovecot_source_free(dc->source);
	dc->source = dovecot_source_parse(slice_of(""), NULL);
}

static void print_all(struct doveconf *dc)
{
	struct doveconf_items items;

	printf("# %s: %s\n", DOVECOT_VERSION, dc->path);
	printf("# Pigeonhole version %s\n", PIGEONHOLE_VERSION);
	fflush(stdout);
	open_source(dc, true);
	print_host(dc);
	fflush(stdout);
	doveconf_collect(&items, dc->source, &dc->options);
	doveconf_print(&items, NULL, 0, &dc->options);
	doveconf_print_filters(dc->source, &dc->options);
	doveconf_items_release(&items);
}

static void print_part(struct doveconf *dc, char **names)
{
	struct doveconf_items items;

	open_source(dc, false);
	if (dc->simple && !*names)
		doveconf_print_simple(dc->source, &dc->options);
	doveconf_collect(&items, dc->source, &dc->options);
	for (; *names; names++)
		doveconf_print_named(&items, *names, dc->only_value, &dc->options);
	doveconf_items_release(&items);
}

int main(int argc, char **argv)
{
	struct doveconf dc = { .path = PC_SYSCONFDIR "/dovecot/dovecot.conf" };
	bool has_names;
	int option, rc;

	dc.options.scope = DOVECONF_ALL;
	while ((option = getopt(argc, argv, "ac:df:hHm:nNpPsSx")) != -1)
		take_option(&dc, option);
	has_names = argv[optind] != NULL;
	if (!dc.chosen && !has_names)
		dc.options.scope = DOVECONF_CHANGED;
	if (dc.simple || has_names)
		print_part(&dc, argv + optind);
	else
		print_all(&dc);
	rc = has_names ? 0 : check_meaning(&dc);
	conf_errors_release(&dc.errors);
	dovecot_source_free(dc.source);
	return rc;
}
