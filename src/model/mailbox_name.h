/*
 * model/mailbox_name.h - mailbox names of the server <-> components of a path, one to one for every
 * name.
 *
 * A server's name is bytes: modified UTF-7 (RFC 3501 5.1.3), split into levels by a hierarchy
 * delimiter or not at all (NIL). A component is UTF-8, 1..255 bytes, has no '/' and is neither "."
 * nor "..". A level is shown in one of four ways, told apart by what follows a '%':
 *
 *   decoded    sound modified UTF-7, as UTF-8. "%XX" (upper-case hex) stands for each byte of: '%',
 * '/', what text_is_unprintable() names, a leading '.', the '.' of a final ".eml" (so that nothing
 * hides what the mount itself serves), and the 'l' of "lost+found" as the first level. raw any
 * other bytes: "%%", then printable ASCII as it is and every other byte, '%', '/' and the '.' of a
 *              final ".eml" as "%XX".
 *   cut        what would pass 255 bytes: as much of the above as fits whole characters into 229
 * bytes, then "%~" and the first 24 hex digits (lower case) of SHA-256 over the raw level. empty
 * "%empty".
 *
 * Only "INBOX" as the first level, in any case, is the one component INBOX (RFC 9051 5.1). Pure
 * functions; any thread.
 */
#ifndef IMAPFS_MODEL_MAILBOX_NAME_H
#define IMAPFS_MODEL_MAILBOX_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/cleanup.h"

enum { MAILBOX_COMPONENT_MAX = 255 };

/*
 * Whether the C library converts modified UTF-7. Where it does not (it may keep its tables in files
 * of their own), levels beyond ASCII would be shown raw: main asks once and ends with a sentence.
 */
bool mailbox_name_works(void) MUST_USE;

/* The component that shows one level, the raw bytes between two delimiters; `first` says that it is
 * a name's first. */
void mailbox_component(struct buf *ret_component, const char *level, size_t len, bool first);

/*
 * The level's raw bytes from a component: 0; -EINVAL if no level gives this component;
 * -ENAMETOOLONG if it was cut (then only a list of the known levels can tell). `ret_level` is
 * written only on success.
 */
int mailbox_level(struct buf *ret_level, const char *component, bool first) MUST_USE;

/*
 * Calls `each` for every level of a server's name, first level first. `prefix_len` is the length of
 * the raw name up to and with this level. `delimiter` 0 is NIL: the name is one level. "a//b" has
 * an empty level between. Stops when `each` returns non-zero and returns that; else 0.
 */
int mailbox_levels(const char *raw, size_t len, char delimiter,
    int (*each)(void *arg, const char *level, size_t level_len, size_t prefix_len), void *arg);

#endif
