// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include "base/heap.h"

#define NODES 500

static struct heap_node nodes[NODES];

/* A generator of our own: a failure is to be the same on the next run. */
static uint32_t draw(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void want_order(struct heap *heap, size_t count)
{
	int64_t last = INT64_MIN;

	want_int("count", heap->count, count);
	for (; count; count--) {
		struct heap_node *node = heap_min(heap);

		assert_true(node->key >= last);
		last = node->key;
		heap_remove(heap, node);
		assert_false(heap_contains(node));
	}
	assert_null(heap_min(heap));
}

static void test_order(void **state)
{
	struct heap heap = HEAP_INIT;
	uint32_t seed = 1;

	(void)state;
	for (size_t i = 0; i < NODES; i++)
		heap_set(&heap, &nodes[i], draw(&seed) % 100);
	want_order(&heap, NODES);
	heap_release(&heap);
}

static void test_changes(void **state)
{
	struct heap heap = HEAP_INIT;
	uint32_t seed = 2;
	size_t removed = 0;

	(void)state;
	for (size_t i = 0; i < NODES; i++)
		heap_set(&heap, &nodes[i], draw(&seed) % 1000);
	for (size_t i = 0; i < NODES; i += 3)
		heap_set(&heap, &nodes[i], (int64_t)(draw(&seed) % 2000) - 500);
	for (size_t i = 0; i < NODES; i += 7, removed++)
		heap_remove(&heap, &nodes[i]);
	heap_remove(&heap, &nodes[0]);
	want_order(&heap, NODES - removed);
	heap_release(&heap);
}

static void test_extremes(void **state)
{
	struct heap heap = HEAP_INIT;

	(void)state;
	assert_null(heap_min(&heap));
	heap_set(&heap, &nodes[0], INT64_MAX);
	heap_set(&heap, &nodes[1], INT64_MIN);
	heap_set(&heap, &nodes[2], 0);
	assert_ptr_equal(heap_min(&heap), &nodes[1]);
	heap_set(&heap, &nodes[1], INT64_MAX);
	assert_ptr_equal(heap_min(&heap), &nodes[2]);
	heap_release(&heap);
	for (size_t i = 0; i < 3; i++)
		assert_false(heap_contains(&nodes[i]));
	heap_set(&heap, &nodes[0], 5);
	want_order(&heap, 1);
	heap_release(&heap);
}

static void use_two_heaps(void)
{
	struct heap one = HEAP_INIT, other = HEAP_INIT;

	heap_set(&one, &nodes[0], 1);
	heap_set(&other, &nodes[1], 1);
	heap_set(&other, &nodes[0], 2);
}

static void test_bugs(void **state)
{
	(void)state;
	want_abort("a node of another heap", use_two_heaps);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_bugs),
	};

	return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
