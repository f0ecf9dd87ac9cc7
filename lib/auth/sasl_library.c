// SPDX-License-Identifier: BSD-2-Clause
#include "auth/sasl_library.h"

#include <pthread.h>
#include <sasl/sasl.h>
#include <stdlib.h>

#include "base/check.h"

static void *mutex_new(void)
{
	pthread_mutex_t *mutex = xmalloc(sizeof(*mutex));

	pthread_mutex_init(mutex, NULL);
	return mutex;
}

static int mutex_lock(void *mutex)
{
	return pthread_mutex_lock(mutex) ? SASL_FAIL : SASL_OK;
}

static int mutex_unlock(void *mutex)
{
	return pthread_mutex_unlock(mutex) ? SASL_FAIL : SASL_OK;
}

static void mutex_free(void *mutex)
{
	pthread_mutex_destroy(mutex);
	free(mutex);
}

void sasl_library_threads(void)
{
	sasl_set_mutex(mutex_new, mutex_lock, mutex_unlock, mutex_free);
}
