// SPDX-License-Identifier: BSD-2-Clause
/* Variables of dovecot.conf: what Dovecot 2.3.19 makes of the same templates. */
#include <stdio.h>
#include <stdlib.h>

#include "conf/dovecot_conf.h"
#include "unit.h"

/* The user is "t<number>@Sub.Dom". */
static const struct var_case {
	const char *text;
	unsigned number;
	const char *want; /* NULL: an error */
	const char *error;
} cases[] = {
	{ "%u", 0, "t0@Sub.Dom", "" },
	{ "%n", 1, "t1", "" },
	{ "%d", 2, "Sub.Dom", "" },
	{ "%{user}", 3, "t3@Sub.Dom", "" },
	{ "%{username}", 4, "t4", "" },
	{ "%{domain}", 5, "Sub.Dom", "" },
	{ "%s", 6, "imap", "" },
	{ "%l", 8, "10.1.1.1", "" },
	{ "%r", 9, "10.9.9.9", "" },
	{ "%m", 13, "PLAIN", "" },
	{ "%c", 14, "secured", "" },
	{ "%a", 15, "143", "" },
	{ "%b", 16, "5555", "" },
	{ "%%", 57, "%", "" },
	{ "%%u", 58, "%u", "" },
	{ "%%%u", 59, "%t59@Sub.Dom", "" },
	{ "%Lu", 60, "t60@sub.dom", "" },
	{ "%Uu", 61, "T61@SUB.DOM", "" },
	{ "%LRu", 62, "mod.bus@26t", "" },
	{ "%RLu", 63, "mod.bus@36t", "" },
	{ "%Eu", 64, "t64@Sub.Dom", "" },
	{ "%E{session}", 65, "se", "" },
	{ "%Xa", 66, "8f", "" },
	{ "%X{lport}", 67, "8f", "" },
	{ "%Xu", 68, "0", "" },
	{ "%Rn", 69, "96t", "" },
	{ "%Nu", 70, "fe3d2c29", "" },
	{ "%256Nu", 71, "70", "" },
	{ "%2.256Nu", 72, "bf", "" },
	{ "%3.16Nu", 73, "006", "" },
	{ "%Hu", 74, "ac4830d", "" },
	{ "%100Hu", 75, "15", "" },
	{ "%5.100Hu", 76, "00035", "" },
	{ "%Mu", 77, "3992560691633615d97ee544ffba10e4", "" },
	{ "%Du", 78, "t78@Sub,dc=Dom", "" },
	{ "%Dd", 79, "Sub,dc=Dom", "" },
	{ "%Tu", 80, "t80@Sub.Dom", "" },
	{ "%LMu", 81, "ca00eeaa750bd5b4892c5388cb46907b", "" },
	{ "%1u", 82, "t", "" },
	{ "%2u", 83, "t8", "" },
	{ "%2.1u", 84, "4", "" },
	{ "%-2u", 85, "t8", "" },
	{ "%-2.2u", 86, "om", "" },
	{ "%-3.1u", 87, "D", "" },
	{ "%0.-2u", 88, "t88@Sub.D", "" },
	{ "%0.2u", 89, "t8", "" },
	{ "%020u", 91, "000000000t91@Sub.Dom", "" },
	{ "%05a", 92, "00143", "" },
	{ "%2.0u", 93, "3@Sub.Dom", "" },
	{ "%1.-1u", 94, "94@Sub.Do", "" },
	{ "%99.2u", 95, "", "" },
	{ "%-99.2u", 96, "t9", "" },
	{ "%99u", 97, "t97@Sub.Dom", "" },
	{ "%-99u", 98, "t98@Sub.Dom", "" },
	{ "%L2u", 99, NULL, "Unknown variable '%2'" },
	{ "%2Lu", 100, "t1", "" },
	{ "%-2Lu", 101, "t1", "" },
	{ "%0.3LRu", 102, "mod", "" },
	{ "%z", 103, NULL, "Unknown variable '%z'" },
	{ "%{zz}", 104, NULL, "Unknown variable '%zz'" },
	{ "%{}", 105, NULL, "Unknown variable '%'" },
	{ "%{user", 106, NULL, "Unknown variable '%{'" },
	{ "%LLLLLLLLu", 110, "t110@sub.dom", "" },
	{ "%{md5:user}", 111, "0d09dd405f984caa2341af5c37ab3090", "" },
	{ "%{sha1:user}", 112, "961752db7740e95af2387d21f8f3c6d62e24ec67", "" },
	{ "%{sha256:user}", 113, "28cba02de3ccf245be4425af3b00a194f229127ec9d6948afa469c737a91805f",
	    "" },
	{ "%{sha384:user}", 114,
	    "428186c6c8274ca3e3240bd2d2d38560d74695a21e37d5e2ea8f2b4682b96ade9b3c9d32c12a969b7190275c5e0ccab9",
	    "" },
	{ "%{sha512:user}", 115,
	    "edf87e01529de3c1bcdfa59bbc74e500daaaad2c77b32bb20a7e1246dd46ed940c623973529abefbbf3d02ae6a39da4f082f990588688fabecf214128ba588e7",
	    "" },
	{ "%{sha3-256:user}", 116,
	    "7319f11acd8b05d21735447bc97e80e70fcf7c572064f670987a373032f823fb", "" },
	{ "%{nohash:user}", 118, NULL, "Unknown variable '%nohash'" },
	{ "%{sha256;truncate=32:user}", 119, "ea1d765f", "" },
	{ "%{sha256;truncate=12:user}", 120, "06a6", "" },
	{ "%{sha256;truncate=9:user}", 121, "0184", "" },
	{ "%{sha256;truncate=1:user}", 122, "01", "" },
	{ "%{sha256;truncate=0:user}", 123,
	    "025000988875e83a031866c1c0299a5c5b219a5f13799f659efd8e865ec03ac9", "" },
	{ "%{sha256;truncate=999:user}", 124,
	    "4f8418de0466d83643becc8d0099735967932e4e2240d83b849ac0ec5c0fd2f0", "" },
	{ "%{sha256;rounds=3:user}", 125,
	    "0ecb253f0c44d4bfd0b870b3b659675d680215670ef0066ad9634c95d5c44899", "" },
	{ "%{sha256;rounds=0:user}", 126, NULL,
	    "Cannot parse hash arguments:rounds must be at least 1" },
	{ "%{sha256;rounds=x:user}", 127, NULL,
	    "Cannot parse hash arguments:'x' is not number for rounds" },
	{ "%{sha256;salt=ab:user}", 128,
	    "1c79770e2af0a7a4944306a14fd35a9f70deb268ccdfa89866e5897b8dc615ed", "" },
	{ "%{sha256;salt=%u:user}", 129,
	    "b34db5d27f363a30a7c67b4c53a3c58d38cd3662dd8d5bff07f42a2c3b64d31a", "" },
	{ "%{sha256;rounds=2,salt=ab,format=base64:user}", 130,
	    "8f98c83c1eeb8a970a5820d1aac43ccbc773a1367bd3b2bd5b5001cafd1e8188", "" },
	{ "%{sha256;rounds=2,format=base64,salt=ab:user}", 131,
	    "2e/PcxPbv9nVq2xqKQ6tRahAbULhQWbTzdegJfhMW/o=", "" },
	{ "%{sha256;format=hexuc:user}", 132,
	    "45b8da9255c00f77e4392d9b7edacba8b1a937e04dd1566a68ffd0a74068b358", "" },
	{ "%{sha256;format=base64:user}", 133, "Rqo7bpXfzWt1RTTW7PB9oZFKo/iPVO3wDlbV9jvuVXE=", "" },
	{ "%{sha256;format=zz:user}", 134, NULL,
	    "Cannot parse hash arguments:'zz' is not supported format" },
	{ "%{sha256;bogus=1:user}", 135,
	    "803c1d6dc70e865628a64c1c9eae8622c9a57fc639552b20fec23ce6673ab16b", "" },
	{ "%{sha256;bogus:user}", 136,
	    "4c4539e9d9f786d59966e13bf7bf83413dbb677abf5ded0e33fca819bd2ff3e1", "" },
	{ "%{sha256:nosuch}", 137, NULL, "Unknown variable '%nosuch'" },
	{ "%{sha256}", 138, NULL, "Unknown variable '%'" },
	{ "%{sha256:}", 139, NULL, "Unknown variable '%'" },
	{ "%L{sha256:user}", 140,
	    "1deaa24e4e95ebdf8f8be3700c7b7fce862bbfce0162da91b18371f525bad4e0", "" },
	{ "%4{sha256:user}", 141, "7193", "" },
	{ "%{md5;truncate=16:user}", 142, "cf70", "" },
	{ "%{sha256:username}", 143,
	    "d3f07c0c18c3929b810ea61af7c3a32cbb17a6b8acfc2d2c9cc57999a92189fb", "" },
	{ "%{if;%s;eq;imap;a;b}", 145, "a", "" },
	{ "%{if;%s;eq;pop3;a;b}", 146, "b", "" },
	{ "%{if;%s;ne;imap;a;b}", 147, "b", "" },
	{ "%{if;%s;eq;imap;a}", 148, "a", "" },
	{ "%{if;%s;eq;imap}", 149, NULL, "if: requires four or five parameters, got 3" },
	{ "%{if;%s;eq;pop3;a}", 150, "", "" },
	{ "%{if;1;==;1;y;n}", 151, "y", "" },
	{ "%{if;1;<;2;y;n}", 152, "y", "" },
	{ "%{if;2;<=;2;y;n}", 153, "y", "" },
	{ "%{if;3;>;2;y;n}", 154, "y", "" },
	{ "%{if;3;>=;4;y;n}", 155, "n", "" },
	{ "%{if;3;!=;4;y;n}", 156, "y", "" },
	{ "%{if;a;==;b;y;n}", 157, NULL, "if: a (lhs) is not a number" },
	{ "%{if;;==;1;y;n}", 158, NULL, "if:  (lhs) is not a number" },
	{ "%{if;a;lt;b;y;n}", 159, "y", "" },
	{ "%{if;a;le;b;y;n}", 160, "y", "" },
	{ "%{if;a;gt;b;y;n}", 161, "n", "" },
	{ "%{if;a;ge;a;y;n}", 162, "y", "" },
	{ "%{if;abc;*;a*;y;n}", 163, "y", "" },
	{ "%{if;abc;*;b*;y;n}", 164, "n", "" },
	{ "%{if;abc;!*;a*;y;n}", 165, "n", "" },
	{ "%{if;abc;~;^a.c$;y;n}", 166, "y", "" },
	{ "%{if;abc;!~;^a.c$;y;n}", 167, "n", "" },
	{ "%{if;abc;~;[;y;n}", 168, NULL, "if: regex failed: Invalid regular expression" },
	{ "%{if;abc;zz;a;y;n}", 169, NULL, "if: Unsupported comparator 'zz'" },
	{ "%{if;%u;*;t*;%n;%d}", 170, "t170", "" },
	{ "%{if;%{user};*;t*;%{username};%{domain}}", 171, "t171", "" },
	{ "%{if;%{if;a;eq;a;x;y};eq;x;Y;N}", 172, "Y", "" },
	{ "%{if;a\\;b;eq;a\\;b;y;n}", 173, "y", "" },
	{ "%{if;a;eq;a;y;n;z}", 175, NULL, "if: requires four or five parameters, got 6" },
	{ "%{if}", 176, NULL, "if: missing parameter(s)" },
	{ "%{if;}", 177, NULL, "if: requires four or five parameters, got 0" },
	{ "%U{if;%s;eq;imap;a;b}", 178, "A", "" },
	{ "%{if;-1;<;0;y;n}", 179, "y", "" },
	{ "%{if;1.5;<;2;y;n}", 180, NULL, "if: 1.5 (lhs) is not a number" },
	{ "%{if;%{zz};eq;a;y;n}", 181, NULL, "Unknown variable '%zz'" },
	{ "%{if;a;eq;a;%{zz};n}", 182, NULL, "Unknown variable '%zz'" },
	{ "%{if;a;eq;a;y;%{zz}}", 183, NULL, "Unknown variable '%zz'" },
	{ "\\%u", 184, "\\t184@Sub.Dom", "" },
	/* ours alone */
	{ "%", 1, "", "" },
	{ "%2", 1, "", "" },
	{ "%L", 1, "", "" },
	{ "%{if;a:b;eq;a:b;y:z;n}", 1, "y:z", "" },
	{ "%{env:NO_SUCH_VARIABLE}", 1, "", "" },
	{ "%{system:os}", 1, "Linux", "" },
	{ "%{system:x}", 1, NULL, "Unsupported system key 'x'" },
	{ "%999999u", 1, NULL, "Too large a width of a variable" },
};

static struct slice lookup(const char *name, void *arg)
{
	static const char *const known[][2] = {
		{ "domain", "Sub.Dom" },
		{ "service", "imap" },
		{ "lip", "10.1.1.1" },
		{ "rip", "10.9.9.9" },
		{ "lport", "143" },
		{ "rport", "5555" },
		{ "mech", "PLAIN" },
		{ "secured", "secured" },
		{ "session", "se" },
	};
	static char user[64];

	snprintf(user, sizeof(user), "t%u@Sub.Dom", *(unsigned *)arg);
	if (!strcmp(name, "user"))
		return slice_of(user);
	if (!strcmp(name, "username"))
		return slice_mem(user, strcspn(user, "@"));
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!strcmp(known[i][0], name))
			return slice_of(known[i][1]);
	return SLICE_NULL;
}

static void test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct var_case *c = &cases[i];
		struct strbuf out = STRBUF_INIT(1000);
		unsigned number = c->number;
		char *error = NULL;
		bool good = dovecot_var_expand(&out, c->text, lookup, &number, &error);

		want_int(c->text, good, c->want != NULL);
		want_str(c->text, good ? out.ptr : error, c->want ? c->want : c->error);
		want_int(c->text, error == NULL, good);
		free(error);
		strbuf_release(&out);
	}
}

/* What is unknown is nothing when nobody wants to hear of it. */
static void test_lenient(void **state)
{
	static const char *const texts[] = { "a%{none}b", "a%zb", "a%{if;x;zz;y;1;2}b", "a%{if}b",
		"a%{sha256;rounds=0:none}b" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct strbuf out = STRBUF_INIT(1000);
		unsigned number = 1;

		want_int(texts[i], dovecot_var_expand(&out, texts[i], lookup, &number, NULL), true);
		want_int(texts[i], out.ptr[0] == 'a' && out.ptr[out.len - 1] == 'b', true);
		strbuf_release(&out);
	}
}

static void test_limits(void **state)
{
	struct strbuf text = STRBUF_INIT(100000), out = STRBUF_INIT(100);
	unsigned number = 1;
	char *error = NULL;

	(void)state;
	for (int i = 0; i < 1000; i++)
		strbuf_addstr(&text, "%{if;a;eq;a;");
	for (int i = 0; i < 1000; i++)
		strbuf_addstr(&text, "}");
	want_int("nested", dovecot_var_expand(&out, text.ptr, lookup, &number, &error), false);
	free(error);
	strbuf_reset(&text);
	strbuf_reset(&out);
	for (int i = 0; i < 100; i++)
		strbuf_addstr(&text, "%u");
	want_int("long", dovecot_var_expand(&out, text.ptr, lookup, &number, &error), false);
	want_str("long", error, "Value too long");
	free(error);
	strbuf_release(&text);
	strbuf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_lenient),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
