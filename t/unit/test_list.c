// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include "base/list.h"

struct element {
	char name;
	struct list node;
};

static void want_names(const char *name, struct list *head, const char *want)
{
	char got[16] = "", back[16] = "";
	size_t count = 0;

	list_for_each(pos, head)
		got[count++] = list_entry(pos, struct element, node)->name;
	want_str(name, got, want);
	for (struct list *pos = head->prev; pos != head; pos = pos->prev)
		back[--count] = list_entry(pos, struct element, node)->name;
	want_str(name, back, want);
}

static void test_order(void **state)
{
	struct list head = LIST_INIT(head);
	struct element a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' };

	(void)state;
	assert_true(list_is_empty(&head));
	list_add_tail(&head, &b.node);
	list_add_tail(&head, &c.node);
	list_add_head(&head, &a.node);
	want_names("all", &head, "abc");
	list_del(&b.node);
	assert_true(list_is_empty(&b.node));
	want_names("without b", &head, "ac");
	list_del(&b.node);
	want_names("deleted twice", &head, "ac");
	list_del(&a.node);
	list_del(&c.node);
	assert_true(list_is_empty(&head));
}

static void test_removal_in_a_walk(void **state)
{
	struct element elements[6];
	struct list head;
	int seen = 0;

	(void)state;
	list_init(&head);
	for (size_t i = 0; i < ARRAY_LEN(elements); i++) {
		elements[i].name = (char)('a' + i);
		list_add_tail(&head, &elements[i].node);
	}
	list_for_each_safe(pos, next, &head) {
		seen++;
		if (list_entry(pos, struct element, node)->name % 2)
			list_del(pos);
	}
	want_int("seen", seen, 6);
	want_names("left", &head, "bdf");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_removal_in_a_walk),
	};

	return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
