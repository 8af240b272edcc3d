/*
 * model/mailbox_name.h - mailbox names of the server <-> components of a path, one to one for every
 * name.
 *
 * A server's name is bytes: modified UTF-7 (RFC 3501 5.1.3), split into levels by a hierarchy
 * delimiter or not at all (NIL). A component is UTF-8, 1..255 bytes, has no '/' and is neither "."
 * nor "..". Pure functions; any thread.
 */
#ifndef IMAPFS_MODEL_MAILBOX_NAME_H
#define IMAPFS_MODEL_MAILBOX_NAME_H

#include <stddef.h>

#include "base/buf.h"
#include "base/cleanup.h"

enum { MAILBOX_COMPONENT_MAX = 255 };

/*
 * The component that shows one level (raw bytes between delimiters). What cannot stand as it is
 * gets %-escaped; a level that is no sound modified UTF-7 shows its raw bytes escaped, marked so
 * that it collides with nothing; a component that would pass 255 bytes is cut at a character and
 * carries a mark and a hash of the whole raw level. A leading dot and a final ".eml" are escaped,
 * so that neither hides what the mount itself serves. "INBOX" in any case, as the first level of a
 * name, is INBOX.
 */
void mailbox_component(struct buf *ret_component, const char *level, size_t len);

/* The level's raw bytes from a component: 0; -EINVAL if no level gives this component;
 * -ENAMETOOLONG if it was cut (then only a list of the known levels can tell). */
int mailbox_level(struct buf *ret_level, const char *component) MUST_USE;

/*
 * Calls `each` for every level of a server's name, first level first. `delimiter` 0 is NIL: the
 * name is one level. "a//b" has an empty level between. Stops when `each` returns non-zero and
 * returns that; else 0.
 */
int mailbox_levels(const char *raw, size_t len, char delimiter,
    int (*each)(void *arg, const char *level, size_t level_len, size_t prefix_len), void *arg);

#endif
