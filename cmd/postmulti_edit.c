// SPDX-License-Identifier: BSD-2-Clause
/*
 * postmulti -e.  Files are edited by the command postconf, which knows how; what is made or removed
 * here are directories, and the first main.cf and master.cf of an instance.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "cmd/control.h"
#include "cmd/postmulti.h"
#include "cmd/programs.h"
#include "log/log.h"
#include "server/spool_layout.h"
#include "sys/file.h"
#include "sys/priv.h"

#define FILE_LIMIT ((size_t)8 << 20)
#define EDITS_MAX  20

/* ---- helpers ---- */

/* A list of arguments for postconf -e. */
struct edits {
	char *list[EDITS_MAX];
	size_t count;
};

static void add_edit(struct edits *edits, const char *name, const char *value)
{
	ASSERT(edits->count < EDITS_MAX);
	edits->list[edits->count++] = xasprintf("%s = %s", name, value);
}

static void apply(struct edits *edits, const char *dir)
{
	char *path = programs_command("postconf");
	char name[] = "postconf", flag_c[] = "-c", flag_e[] = "-e";
	char *argv[EDITS_MAX + 5] = { name, flag_c, (char *)(uintptr_t)dir, flag_e };
	for (size_t i = 0; i < edits->count; i++)
		argv[4 + i] = edits->list[i];
	if (edits->count > 0 && programs_run(path, argv) != 0)
		fatal("cannot edit %s/main.cf", dir);
	while (edits->count > 0)
		free(edits->list[--edits->count]);
	free(path);
}

static void set_one(const char *dir, const char *name, const char *value)
{
	struct edits edits = { .count = 0 };
	add_edit(&edits, name, value);
	apply(&edits, dir);
}

/* LIST without DIR, and with it at the end when ADD. */
static char *list_with(const char *list, const char *dir, bool add)
{
	struct strbuf out = STRBUF_INIT(FILE_LIMIT), word = STRBUF_INIT(4096);
	strbuf_addstr(&out, "");
	while (postfix_list_next(&list, &word))
		if (strcmp(word.ptr, dir) != 0)
			strbuf_addf(&out, "%s%s", out.len > 0 ? " " : "", word.ptr);
	if (add)
		strbuf_addf(&out, "%s%s", out.len > 0 ? " " : "", dir);
	strbuf_release(&word);
	return strbuf_detach(&out);
}

/* Moves DIR between the instances that the primary one looks after and those it only knows. */
static void update_lists(
    const struct multi_instance *primary, const char *dir, bool managed, bool known)
{
	struct edits edits = { .count = 0 };
	char *ours = list_with(primary->params->multi_instance_directories, dir, managed);
	char *others = list_with(primary->params->alternate_config_directories, dir, known);
	add_edit(&edits, "multi_instance_directories", ours);
	if (strcmp(others, primary->params->alternate_config_directories) != 0)
		add_edit(&edits, "alternate_config_directories", others);
	apply(&edits, primary->dir);
	free(ours);
	free(others);
}

static void need_init(const struct multi_instance *primary)
{
	if (primary->params->multi_instance_wrapper[0] == '\0')
		fatal("multi_instance_wrapper is empty, run 'postmulti -e init' first.");
	if (!primary->enabled)
		fatal("multi_instance_enable!=yes, run 'postmulti -e init' first.");
}

static void need_stopped(const struct multi_instance *instance)
{
	char *pid_file = xasprintf("%s/pid/master.pid", instance->queue_dir);
	if (control_running(pid_file) != 0)
		fatal("Instance '%s' is not stopped", instance->dir);
	free(pid_file);
}

static bool is_file(const char *dir, const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	bool there = access(path, F_OK) == 0;
	free(path);
	return there;
}

/* ---- init, enable, disable, assign ---- */

static int do_init(struct postmulti *pm)
{
	struct edits edits = { .count = 0 };
	add_edit(&edits, "multi_instance_wrapper", "${command_directory}/postmulti -p --");
	add_edit(&edits, "multi_instance_enable", "yes");
	apply(&edits, pm->list[0].dir);
	return 0;
}

static void add_names(const struct postmulti *pm, struct edits *edits)
{
	if (pm->new_name)
		add_edit(
		    edits, "multi_instance_name", strcmp(pm->new_name, "-") ? pm->new_name : "");
	if (pm->new_group)
		add_edit(
		    edits, "multi_instance_group", strcmp(pm->new_group, "-") ? pm->new_group : "");
}

static int do_enable(struct postmulti *pm, struct multi_instance *instance)
{
	need_init(&pm->list[0]);
	set_one(instance->dir, "multi_instance_enable", "yes");
	return 0;
}

static int do_disable(struct postmulti *pm, struct multi_instance *instance)
{
	need_init(&pm->list[0]);
	set_one(instance->dir, "multi_instance_enable", "no");
	return 0;
}

static int do_assign(struct postmulti *pm, struct multi_instance *instance)
{
	struct edits edits = { .count = 0 };
	need_init(&pm->list[0]);
	add_names(pm, &edits);
	apply(&edits, instance->dir);
	return 0;
}

/* ---- create and import ---- */

static void read_setting(struct multi_instance *new, const char *setting)
{
	const char *equal = strchr(setting, '=');
	struct {
		const char *name;
		char **member;
	} settings[] = { { "config_directory", &new->dir }, { "queue_directory", &new->queue_dir },
		{ "data_directory", &new->data_dir } };
	if (!equal)
		fatal("Malformed parameter setting '%s'", setting);
	struct slice name = slice_trim(slice_mem(setting, (size_t)(equal - setting)), " \t");
	struct slice value = slice_trim(slice_of(equal + 1), " \t");
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (!slice_eq_str(name, settings[i].name))
			continue;
		if (value.len == 0 || value.ptr[0] != '/')
			fatal("Invalid %s parameter value '%.*s': want a path that begins with "
			      "'/'",
			    settings[i].name, SLICE_ARG(value));
		free(*settings[i].member);
		*settings[i].member = xstrndup(value.ptr, value.len);
		return;
	}
	fatal("'%.*s' is not a parameter of new instances (want config_directory, queue_directory "
	      "or data_directory)",
	    SLICE_ARG(name));
}

/* Beside the primary one's, called as the instance. */
static char *beside(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	return xasprintf("%.*s/%s", slash ? (int)(slash - path) : 0, path, name);
}

static void need_unused(struct postmulti *pm, const struct multi_instance *new)
{
	for (size_t i = 0; i < pm->count; i++) {
		const struct multi_instance *other = &pm->list[i];
		const struct {
			const char *name, *ours, *theirs;
		} values[] = { { "config_directory", new->dir, other->dir },
			{ "queue_directory", new->queue_dir, other->queue_dir },
			{ "data_directory", new->data_dir, other->data_dir } };
		for (size_t v = 0; v < ARRAY_LEN(values); v++)
			if (values[v].ours && strcmp(values[v].ours, values[v].theirs) == 0)
				fatal("new %s=%s is already in use by instance %s, %s=%s",
				    values[v].name, values[v].ours, other->dir, values[v].name,
				    values[v].theirs);
		if (new->name[0] != '\0' && strcmp(new->name, other->name) == 0)
			fatal("instance %s, multi_instance_name=%s conflicts with instance %s, "
			      "multi_instance_name=%s",
			    new->dir, new->name, other->dir, other->name);
	}
}

static void read_settings(struct postmulti *pm, struct multi_instance *new, char **settings)
{
	const char *name = pm->new_name ? pm->new_name : "-";
	const struct multi_instance *primary = &pm->list[0];
	if (strcmp(name, "-") != 0 && strncmp(name, "postfix-", 8) != 0)
		fatal("New instance name must start with 'postfix-'");
	if (strchr(name, '/'))
		fatal("Invalid instance name '%s'", name);
	for (; *settings; settings++)
		read_setting(new, *settings);
	new->name = xstrdup(strcmp(name, "-") == 0 ? "" : name);
	if (!new->dir &&new->name[0] == '\0')
		fatal("Missing config_directory parameter value");
	if (!new->dir)
		new->dir = beside(primary->dir, new->name);
	const char *base = strrchr(new->dir, '/') + 1;
	if (strcmp(pm->action, "create") != 0)
		return;
	if (!new->queue_dir)
		new->queue_dir = beside(primary->queue_dir, base);
	if (!new->data_dir)
		new->data_dir = beside(primary->data_dir, base);
}

static void make_dir(const char *path, mode_t mode, const char *owner)
{
	struct priv_user user;
	bool there = access(path, F_OK) == 0;
	if (dir_make(AT_FDCWD, path, mode) < 0)
		fatal("mkdir %s: %s", path, strerror(errno));
	if (there || !owner || geteuid() != 0)
		return;
	if (!priv_find_user(owner, &user) || chown(path, user.uid, (gid_t)-1) < 0)
		fatal("chown %s: %s", path, strerror(errno));
}

static void put_file(const char *dir, const char *name, struct slice text)
{
	char *path = xasprintf("%s/%s", dir, name);
	if (file_replace(AT_FDCWD, path, text, 0644) < 0)
		fatal("write %s: %s", path, strerror(errno));
	free(path);
}

/* Where no prototype is installed, a first main.cf says no more than it has to. */
static void take_prototype(
    const struct multi_instance *primary, const char *name, struct strbuf *out)
{
	char *proto = xasprintf("%s/%s.proto", primary->params->meta_directory, name);
	char *own = xasprintf("%s/%s", primary->dir, name);
	if (file_read(AT_FDCWD, proto, out) < 0) {
		strbuf_reset(out);
		if (strcmp(name, "main.cf") == 0)
			strbuf_addf(out, "compatibility_level = %s\n",
			    primary->params->compatibility_level);
		else if (file_read(AT_FDCWD, own, out) < 0)
			fatal("open %s: %s", own, strerror(errno));
	}
	free(proto);
	free(own);
}

/* What the primary one's main.cf says of the installation holds for all. */
static void add_shared(const struct multi_instance *primary, struct edits *edits)
{
	static const char *const shared[] = { "command_directory", "daemon_directory", "mail_owner",
		"meta_directory", "setgid_group", "shlib_directory" };
	struct postfix_source *source = postfix_source_read(primary->dir, NULL);
	for (size_t i = 0; source && i < ARRAY_LEN(shared); i++) {
		const char *value = postfix_source_raw(source, shared[i], NULL);
		if (value)
			add_edit(edits, shared[i], value);
	}
	postfix_source_free(source);
}

/* master.cf comes last: with it the instance is complete. */
static void make_files(struct postmulti *pm, const struct multi_instance *new)
{
	const struct multi_instance *primary = &pm->list[0];
	struct strbuf text = STRBUF_INIT(FILE_LIMIT);
	struct edits edits = { .count = 0 };
	make_dir(new->dir, 0755, NULL);
	make_dir(new->queue_dir, 0755, NULL);
	make_dir(new->data_dir, 0700, primary->params->mail_owner);
	take_prototype(primary, "main.cf", &text);
	put_file(new->dir, "main.cf", strbuf_slice(&text));
	add_edit(&edits, "queue_directory", new->queue_dir);
	add_edit(&edits, "data_directory", new->data_dir);
	/* Nothing of it is reachable until somebody says so. */
	add_edit(&edits, "authorized_submit_users", "");
	add_edit(&edits, "master_service_disable", "inet");
	add_shared(primary, &edits);
	apply(&edits, new->dir);
	strbuf_reset(&text);
	take_prototype(primary, "master.cf", &text);
	put_file(new->dir, "master.cf", strbuf_slice(&text));
	strbuf_release(&text);
}

static int do_add(struct postmulti *pm, char **settings)
{
	struct multi_instance new = { .dir = NULL }, made;
	struct edits edits = { .count = 0 };
	bool create = strcmp(pm->action, "create") == 0;
	read_settings(pm, &new, settings);
	need_unused(pm, &new);
	need_init(&pm->list[0]);
	if (create && !(is_file(new.dir, "main.cf") && is_file(new.dir, "master.cf")))
		make_files(pm, &new);
	if (!is_file(new.dir, "main.cf"))
		fatal("'%s' lacks a main.cf file", new.dir);
	if (!is_file(new.dir, "master.cf"))
		fatal("'%s' lacks a master.cf file", new.dir);
	add_names(pm, &edits);
	/* Names must not be given before it is sure that nobody else has the directories. */
	postmulti_read_instance(&made, new.dir);
	for (size_t i = 0; i < pm->count; i++)
		postmulti_need_distinct(&made, &pm->list[i]);
	apply(&edits, new.dir);
	update_lists(&pm->list[0], new.dir, true, false);
	postmulti_release_instance(&made);
	postmulti_release_instance(&new);
	return 0;
}

/* ---- deport and destroy ---- */

static int do_deport(struct postmulti *pm, struct multi_instance *instance)
{
	need_init(&pm->list[0]);
	need_stopped(instance);
	update_lists(&pm->list[0], instance->dir, false, true);
	return 0;
}

static void remove_dir(const char *parent, const char *name)
{
	char *path = name ? xasprintf("%s/%s", parent, name) : xstrdup(parent);
	if (rmdir(path) < 0 && errno != ENOENT)
		log_warning("%s: please verify contents and remove by hand", path);
	free(path);
}

/* Only what is empty, and what an instance that was never started consists of. */
static int do_destroy(struct postmulti *pm, struct multi_instance *instance)
{
	static const char *const files[] = { "master.cf", "main.cf" };
	need_init(&pm->list[0]);
	need_stopped(instance);
	update_lists(&pm->list[0], instance->dir, false, false);
	for (const struct spool_directory *d = spool_directories; d->name != NULL; d++)
		remove_dir(instance->queue_dir, d->name);
	remove_dir(instance->data_dir, NULL);
	remove_dir(instance->queue_dir, NULL);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char *path = xasprintf("%s/%s", instance->dir, files[i]);
		unlink(path);
		free(path);
	}
	remove_dir(instance->dir, NULL);
	return 0;
}

/* ---- which ---- */

static const struct {
	const char *name;
	int (*run)(struct postmulti *pm, struct multi_instance *instance);
	bool not_primary, not_enabled, names;
} actions[] = {
	{ "assign", do_assign, false, false, true },
	{ "deport", do_deport, true, true, false },
	{ "destroy", do_destroy, true, true, false },
	{ "disable", do_disable, false, false, false },
	{ "enable", do_enable, false, false, false },
};

static struct multi_instance *need_instance(struct postmulti *pm)
{
	if (!pm->name)
		fatal("Select an instance via '-i name'");
	struct multi_instance *instance = postmulti_find(pm, pm->name);
	if (!instance)
		fatal("No instance named %s", pm->name);
	return instance;
}

/* A new name is no other instance's. */
static void check_names(struct postmulti *pm, const struct multi_instance *instance)
{
	if (!pm->new_name && !pm->new_group)
		fatal("Specify new instance name or group with '-e assign'");
	if (!pm->new_name || strcmp(pm->new_name, "-") == 0)
		return;
	if (strncmp(pm->new_name, "postfix-", 8) != 0 && instance != &pm->list[0])
		fatal("New instance name must start with 'postfix-'");
	const struct multi_instance *other = postmulti_find(pm, pm->new_name);
	if (other && other != instance)
		fatal("instance %s, multi_instance_name=%s conflicts with instance %s, "
		      "multi_instance_name=%s",
		    instance->dir, pm->new_name, other->dir, other->name);
}

int postmulti_edit(struct postmulti *pm, char **settings)
{
	const char *action = pm->action;
	if (strcmp(action, "create") == 0 || strcmp(action, "import") == 0)
		return do_add(pm, settings);
	if (strcmp(action, "init") == 0) {
		if (*settings)
			fatal("Parameter overrides not valid with '-e init'");
		return do_init(pm);
	}
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (strcmp(action, actions[i].name) != 0)
			continue;
		if (*settings)
			fatal("Parameter overrides not valid with '-e %s'", action);
		struct multi_instance *instance = need_instance(pm);
		if (actions[i].names)
			check_names(pm, instance);
		if (actions[i].not_primary && instance == &pm->list[0])
			fatal("Cannot remove the primary instance");
		if (actions[i].not_enabled && instance->enabled)
			fatal("Cannot remove enabled instances");
		return actions[i].run(pm, instance);
	}
	fatal("Invalid '-e' edit action '%s'. Specify 'create', 'destroy', 'import', 'deport', "
	      "'enable', 'disable', 'assign' or 'init'",
	    action);
}
