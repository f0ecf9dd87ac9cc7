// SPDX-License-Identifier: BSD-2-Clause
/*
 * A file of maildrop, which any user of the host can write: postdrop's check and pickup's reading
 * of it.  What postdrop lets pass pickup must be able to take.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "mail/dsn.h"
#include "pickup/pickup.h"
#include "queue/maildrop.h"
#include "sys/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct submission sub = { .arena = ARENA_INIT,
		.fd = memfd_create("submission", MFD_CLOEXEC) };
	struct reason why = { .dsn = "" };

	ASSERT(sub.fd >= 0 && file_write_all(sub.fd, slice_mem(data, size)) == 0);
	bool good = maildrop_check(sub.fd, 1000, &why);
	enum submission_verdict verdict = submission_read(&sub);

	ASSERT(verdict != SUBMISSION_LATER);
	ASSERT(good ? verdict == SUBMISSION_GOOD : why.dsn[0] == '5');
	if (verdict == SUBMISSION_GOOD) {
		ASSERT(sub.has_sender && sub.recipient_count > 0 && sub.content > 0);
		for (size_t i = 0; i < sub.recipient_count; i++)
			ASSERT(sub.recipients[i].address.len > 0 && sub.recipients[i].notify <= 15);
	}
	submission_release(&sub);
	close(sub.fd);
	return 0;
}
