# Finds rootpwd= and sshkey= in a kernel command line, and prints `rootpwd VALUE` (the last one) and `sshkey VALUE` (all).
#
# Quotes are those of the kernel (lib/cmdline.c, next_arg): around a value or around a whole word. A quote that is not closed is
# not there. A key is of two words at least: without quotes, it is its kind and what follows it, and no more.

# The place of the quote that closes one before `from`, or 0: spaces or the end come after it, and no other quoted value begins before.
function closing(quote, from,    length_, at, inside) {
  length_ = length(line)
  for (at = from; at <= length_; at++)
    if (substr(line, at, 1) == quote && (at == length_ || substr(line, at + 1, 1) ~ /[ \t]/)) {
      inside = substr(line, from, at - from)
      return inside ~ /[ \t][A-Za-z0-9_.-]+=["']/ ? 0 : at
    }
  return 0
}

# Takes the next word off the line, without its quotes. Returns 0 when there is none.
function next_word(    at, letter, end) {
  sub(/^[ \t]+/, "", line)
  word = ""
  if (line == "") return 0
  for (at = 1; at <= length(line); at++) {
    letter = substr(line, at, 1)
    if (letter ~ /[ \t]/) break
    if ((letter == "\"" || letter == "'") && (word == "" || word ~ /=$/)) {
      end = closing(letter, at + 1)
      if (end > 0) {
        word = word substr(line, at + 1, end - at - 1)
        at = end
      }
    } else if (letter != "\"") word = word letter
  }
  line = substr(line, at)
  return 1
}

{ line = line (NR > 1 ? " " : "") $0 }

END {
  while (next_word()) {
    if (word ~ /^rootpwd=/) password = substr(word, 9)
    if (word !~ /^sshkey=/) continue
    key = substr(word, 8)
    gsub(/^[ \t]+|[ \t]+$/, "", key)
    if (key != "" && key !~ /[ \t]/) {
      rest = line
      if (next_word() && word ~ /^AAAA/) key = key " " word
      else line = rest
    }
    if (key != "") print "sshkey " key
  }
  if (password != "") print "rootpwd " password
}
