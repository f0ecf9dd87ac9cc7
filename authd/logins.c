// SPDX-License-Identifier: BSD-2-Clause
#include "authd/logins.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/map.h"

#define LOGINS_MAX 1000 /* of one connection */

struct login {
	struct list node;
	uint32_t id;
	int64_t expires;
	struct arena arena;
	struct subject subject;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct map clients = MAP_INIT; /* by pid */

static struct slice pid_key(const uint32_t *pid)
{
	return slice_mem(pid, sizeof(*pid));
}

bool login_client_add(struct login_client *client, uint32_t pid)
{
	bool is_new;

	pthread_mutex_lock(&mutex);
	is_new = !client->pid && !map_get(&clients, pid_key(&pid));
	if (is_new) {
		client->pid = pid;
		map_put(&clients, pid_key(&pid), client);
	}
	pthread_mutex_unlock(&mutex);
	return is_new;
}

static void login_free(struct login *login)
{
	list_del(&login->node);
	arena_wipe(&login->arena); /* a proxy's password, or a block's own fields */
	arena_release(&login->arena);
	free(login);
}

void login_client_remove(struct login_client *client)
{
	pthread_mutex_lock(&mutex);
	if (client->pid)
		map_remove(&clients, pid_key(&client->pid));
	list_for_each_safe(pos, next, &client->logins)
		login_free(list_entry(pos, struct login, node));
	pthread_mutex_unlock(&mutex);
}

/* Oldest first, so those that are due stand in front. Returns how many are left. */
static size_t drop_expired(struct login_client *client)
{
	int64_t now = clock_ms();
	size_t count = 0;

	list_for_each_safe(pos, next, &client->logins) {
		struct login *login = list_entry(pos, struct login, node);

		if (login->expires <= now)
			login_free(login);
		else
			count++;
	}
	return count;
}

static void drop_number(struct login_client *client, uint32_t id)
{
	list_for_each_safe(pos, next, &client->logins) {
		struct login *login = list_entry(pos, struct login, node);

		if (login->id == id)
			login_free(login);
	}
}

static void copy_subject(struct subject *to, const struct subject *from, struct arena *arena)
{
	*to = *from;
	to->arena = arena;
	to->user = arena_strdup(arena, from->user);
	to->login_user = arena_strdup(arena, from->login_user);
	to->service = arena_strdup(arena, from->service);
	to->session = arena_strdup(arena, from->session);
	to->mechanism = arena_strdup(arena, from->mechanism);
	to->local_ip = arena_strdup(arena, from->local_ip);
	to->remote_ip = arena_strdup(arena, from->remote_ip);
	to->local_port = arena_strdup(arena, from->local_port);
	to->remote_port = arena_strdup(arena, from->remote_port);
	to->local_name = arena_strdup(arena, from->local_name);
	to->real_local_ip = arena_strdup(arena, from->real_local_ip);
	to->real_remote_ip = arena_strdup(arena, from->real_remote_ip);
	to->real_local_port = arena_strdup(arena, from->real_local_port);
	to->real_remote_port = arena_strdup(arena, from->real_remote_port);
	to->cert_username = arena_strdup(arena, from->cert_username);
	to->client_id = arena_strdup(arena, from->client_id);
	to->master_user = arena_strdup(arena, from->master_user);
	to->requested_login_user = arena_strdup(arena, from->requested_login_user);
	to->password = SLICE_NULL; /* no userdb may ask for it */
	pairs_copy(&to->extra, &from->extra, arena);
	pairs_copy(&to->userdb, &from->userdb, arena);
	pairs_copy(&to->answer, &from->answer, arena);
}

bool login_keep(struct login_client *client, uint32_t id, const struct subject *subject)
{
	struct login *login = xcalloc(1, sizeof(*login));
	bool room;

	login->id = id;
	login->expires = clock_ms() + AUTH_REQUEST_LIFE_MS;
	list_init(&login->node);
	copy_subject(&login->subject, subject, &login->arena);
	pthread_mutex_lock(&mutex);
	room = drop_expired(client) < LOGINS_MAX;
	/* A number that is used again is not answered with whom it meant before. */
	drop_number(client, id);
	if (room)
		list_add_tail(&client->logins, &login->node);
	pthread_mutex_unlock(&mutex);
	if (!room)
		login_free(login);
	return room;
}

static struct login *find_login(uint32_t client_pid, uint32_t id, struct slice cookie)
{
	struct login_client *client = map_get(&clients, pid_key(&client_pid));

	if (!client || !secret_equal(cookie, slice_of(client->cookie)))
		return NULL;
	drop_expired(client);
	list_for_each(pos, &client->logins) {
		struct login *login = list_entry(pos, struct login, node);

		if (login->id == id)
			return login;
	}
	return NULL;
}

struct subject *login_take(
    uint32_t client_pid, uint32_t id, struct slice cookie, struct arena *arena)
{
	struct subject *subject = NULL;
	struct login *login;

	pthread_mutex_lock(&mutex);
	login = find_login(client_pid, id, cookie);
	if (login) {
		subject = ARENA_NEW(arena, struct subject);
		copy_subject(subject, &login->subject, arena);
		login_free(login);
	}
	pthread_mutex_unlock(&mutex);
	return subject;
}
