# SPDX-License-Identifier: BSD-2-Clause
# Reading the rows of a .def file, and writing text for roff.

# Takes the next argument of a row such as PARAM(...) off `row`: a word, or C strings and names of directories.
function argument(    text) {
	text = ""
	sub(/^[ \t,(]+/, "", row)
	while (row !~ /^[,)]/ && row != "") {
		if (match(row, /^"([^"\\]|\\.)*"/)) {
			text = text unquote(substr(row, 2, RLENGTH - 2))
		} else {
			match(row, /^[^ ,)]+/)
			word = substr(row, 1, RLENGTH)
			text = text (word in directory ? directory[word] : word)
		}
		row = substr(row, RLENGTH + 1)
		sub(/^[ \t]+/, "", row)
	}
	return text
}

function unquote(s) {
	gsub(/\\"/, "\"", s)
	gsub(/\\\\/, "\\", s)
	return s
}

# For roff: no backslash of the text is an escape.
function roff(s) {
	gsub(/\\/, "\\e", s)
	return s
}

# Text in lines of less than 80 columns, none of which begins like a request.
function wrap(s,    words, n, i, line) {
	n = split(s, words, " ")
	line = ""
	for (i = 1; i <= n; i++) {
		if (line != "" && length(line) + length(words[i]) > 76) {
			print line
			line = ""
		}
		if (line == "" && words[i] ~ /^[.']/)
			words[i] = "\\&" words[i]
		line = line (line == "" ? "" : " ") words[i]
	}
	if (line != "")
		print line
}
