/*
 * model/flags.h - the flags of a message as one canonical text.
 *
 * "\Answered \Seen $Forwarded": system flags first, each kind sorted by bytes, single spaces, no
 * duplicates (flags are compared without regard to case, RFC 9051 2.3.2; the first spelling seen
 * stays), \Recent left out. Empty for none. Pure; any thread.
 */
#ifndef IMAPFS_MODEL_FLAGS_H
#define IMAPFS_MODEL_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum { FLAGS_MAX = 1024, FLAG_LENGTH_MAX = 256 };

/* Makes the canonical text of `n` flags; what is no flag is dropped. */
void flags_canonical(struct buf *ret_text, const char *const *flags, size_t n);
/* Whether a canonical text names the flag. */
bool flags_has(const char *text, const char *flag);

#endif
