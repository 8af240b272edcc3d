/*
 * model/uidset.h - sets of UIDs as sorted, disjoint ranges: "1:5,7,9:12".
 *
 * Memory is bound by the number of ranges, never by the numbers they span: "1:4294967295" is one
 * range. One owner, no locks. RFC 9051 `sequence-set`.
 */
#ifndef IMAPFS_MODEL_UIDSET_H
#define IMAPFS_MODEL_UIDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"

struct uid_range {
    uint32_t first, last;
};

struct uidset {
    struct uid_range *ranges; /* ascending, a gap between neighbours; owned */
    size_t count;
    size_t capacity;
};

#define UIDSET_INIT                                                                                \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }

void uidset_finish(struct uidset *set);
void uidset_reset(struct uidset *set);
/* Adds first..last (in either order; 0 is refused: -EINVAL). Appending in ascending order is O(1)
 * amortised, otherwise O(ranges). */
int uidset_add(struct uidset *set, uint32_t first, uint32_t last) MUST_USE;
/* Adds every UID of a text; strict: no '*', no empty member, numbers 1..2^32-1, ranges may run
 * backwards. -EINVAL, and the set is unchanged. Linear-log in the text, whatever the order of its
 * members. */
int uidset_parse(struct uidset *set, const char *text, size_t len) MUST_USE;
bool uidset_has(const struct uidset *set, uint32_t uid);
uint64_t uidset_size(const struct uidset *set);
/* ret = a without b. */
void uidset_subtract(struct uidset *ret, const struct uidset *a, const struct uidset *b);
/* Moves the `n` highest UIDs of the set into ret (which is emptied first): newest first, block by
 * block. */
void uidset_take_highest(struct uidset *set, uint64_t n, struct uidset *ret);
/* Appends the set as text. */
void uidset_format(const struct uidset *set, struct buf *ret_text);

static inline void cleanup_uidset(struct uidset *set)
{
    uidset_finish(set);
}

#endif
