# SPDX-License-Identifier: BSD-2-Clause
# Turns the lists of dovecot.conf's settings into those of dovecot.conf(5): reads dovecot.conf.5.in
# and, where a line says @SETTINGS@, @BLOCK kind@, or @OTHERS@, writes the global settings that work,
# those of a block that do, or the names of all that do not yet.
# Run as: awk -f man-functions.awk -f settings-to-man.awk dovecot_settings.def dovecot_blocks.def
#	dovecot.conf.5.in

function kind(type, def) {
	if (type == "BOOL") return "yes or no"
	if (type == "TIME") return "a time with its unit"
	if (type == "TIME_MS") return "a time with its unit, also msecs"
	if (type == "SIZE") return "a size, such as 10 M"
	if (type == "UINT") return "a number"
	if (type == "OCTAL") return "an octal mode"
	if (type == "ENUM") {
		gsub(/:/, ", ", def)
		return "one of " def
	}
	return ""
}

function add_row(    block, type, name, def, works, text, what, key) {
	block = "GLOBAL"
	if (row ~ /^BLOCK_SETTING/) {
		sub(/^BLOCK_SETTING/, "", row)
		block = argument(); type = argument(); name = argument()
	} else {
		sub(/^SETTING/, "", row)
		type = argument(); argument(); name = argument()
	}
	def = argument(); works = argument(); text = argument()
	if (works != "YES") {
		others[++other_count] = block == "GLOBAL" ? name : name " (in " tolower(block) ")"
		return
	}
	count[block]++
	key = block SUBSEP count[block]
	names[key] = name
	texts[key] = roff(text)
	what = kind(type, def)
	values[key] = what == "" ? "" : "Value: " what "."
	if (type == "ENUM")
		sub(/:.*/, "", def)
	defaults[key] = "Default: " (def == "" ? "empty" : "\\fB" roff(def) "\\fR") "."
}

function print_block(block,    i) {
	for (i = 1; i <= count[block]; i++) {
		print ".It Va " names[block, i]
		wrap(texts[block, i])
		wrap(values[block, i])
		wrap(defaults[block, i])
	}
}

function print_others(    i, s) {
	for (i = 1; i <= other_count; i++)
		s = s others[i] (i < other_count ? ", " : ".")
	wrap(s)
}

FILENAME ~ /\.def$/ && /^(BLOCK_)?SETTING\(/ { row = $0; open_row = 1 }
FILENAME ~ /\.def$/ && !/^(BLOCK_)?SETTING\(/ && open_row { row = row $0 }
FILENAME ~ /\.def$/ && open_row && /"\)$/ { open_row = 0; add_row() }
FILENAME ~ /\.def$/ { next }

/^@SETTINGS@$/ { print_block("GLOBAL"); next }
/^@BLOCK [a-z_]+@$/ { sub(/@$/, "", $2); print_block(toupper($2)); next }
/^@OTHERS@$/ { print_others(); next }
{ print }
