# SPDX-License-Identifier: BSD-2-Clause
# Turns conf/postfix_params.def into the two lists of main.cf(5): reads main.cf.5.in and, where a line
# says @PARAMETERS@ or @OTHERS@, writes the parameters that work, or those that do not yet.
# Run as: awk -v PC_SBINDIR=... -f man-functions.awk -f params-to-man.awk postfix_params.def main.cf.5.in

function unit(def) {
	if (def ~ /m$/) return "minutes"
	if (def ~ /h$/) return "hours"
	if (def ~ /d$/) return "days"
	if (def ~ /w$/) return "weeks"
	return "seconds"
}

function kind(type, def, min, max,    text) {
	if (type == "BOOL") return "yes or no"
	if (type == "RAW") return "text that is expanded for each delivery"
	if (type == "TIME") text = "a time, in " unit(def) " when it has no unit"
	else if (type == "SIZE") text = "a number of bytes"
	else if (type == "INT") text = "a number"
	else return ""
	if (min > 0 && max > 0) text = text ", from " min " to " max
	else if (min > 0) text = text ", at least " min
	else if (max > 0) text = text ", at most " max
	return text (type == "TIME" && (min > 0 || max > 0) ? " seconds" : "")
}

function add_row(    type, name, def, min, max, works, text, what) {
	sub(/^PARAM/, "", row)
	type = argument(); argument(); name = argument(); def = argument()
	min = argument() + 0; max = argument() + 0; argument(); works = argument(); text = argument()
	if (works != "YES") {
		others[++other_count] = name
		return
	}
	what = kind(type, def, min, max)
	names[++count] = name
	texts[name] = roff(text)
	values[name] = what == "" ? "" : "Value: " what "."
	notes[name] = "Default: " (def == "" ? "empty" : "\\fB" roff(def) "\\fR") "."
	if (name ~ /^(myhostname|mydomain|mynetworks|process_id|process_name|service_name)$/)
		notes[name] = "The default is computed."
}

function print_parameters(    i) {
	for (i = 1; i <= count; i++) {
		print ".It Va " names[i]
		wrap(texts[names[i]])
		wrap(values[names[i]])
		wrap(notes[names[i]])
	}
}

function print_others(    i, s) {
	for (i = 1; i <= other_count; i++)
		s = s others[i] (i < other_count ? ", " : ".")
	wrap(s)
}

BEGIN {
	directory["PC_SBINDIR"] = PC_SBINDIR
	directory["PC_LIBEXECDIR"] = PC_LIBEXECDIR
	directory["PC_SYSCONFDIR"] = PC_SYSCONFDIR
	directory["PC_LOCALSTATEDIR"] = PC_LOCALSTATEDIR
}

FILENAME ~ /\.def$/ && /^PARAM\(/ { row = $0; open_row = 1 }
FILENAME ~ /\.def$/ && !/^PARAM\(/ && open_row { row = row $0 }
FILENAME ~ /\.def$/ && open_row && /"\)$/ { open_row = 0; add_row() }
FILENAME ~ /\.def$/ { next }

/^@PARAMETERS@$/ { print_parameters(); next }
/^@OTHERS@$/ { print_others(); next }
{ print }
