/*
 * fuzz_uidset.c: two texts, divided by a line feed, become sets; what the sets promise must hold.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/uidset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact)
{
    if (!fact) {
        abort();
    }
}

static void require_form(const struct uidset *set)
{
    uint64_t size = 0;
    for (size_t i = 0; i < set->count; i++) {
        struct uid_range range = set->ranges[i];
        require(range.first >= 1 && range.first <= range.last);
        require(i == 0 || (uint64_t)set->ranges[i - 1].last + 1 < range.first);
        require(uidset_has(set, range.first) && uidset_has(set, range.last));
        require(!uidset_has(set, range.first - 1));
        require(range.last == UINT32_MAX || !uidset_has(set, range.last + 1));
        size += (uint64_t)range.last - range.first + 1;
    }
    require(uidset_size(set) == size);
}

static bool same(const struct uidset *a, const struct uidset *b)
{
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->ranges, b->ranges, a->count * sizeof a->ranges[0]) == 0);
}

static void add_all(struct uidset *set, const struct uidset *more)
{
    for (size_t i = 0; i < more->count; i++) {
        require(uidset_add(set, more->ranges[i].first, more->ranges[i].last) == 0);
    }
}

/* A set, its text, and the set of that text again. */
static void try_text(struct uidset *set, const char *text, size_t len)
{
    CLEANUP(uidset) struct uidset again = UIDSET_INIT;
    CLEANUP(buf) struct buf canonical = BUF_INIT;
    int rc = uidset_parse(set, text, len);
    require((rc == 0) == (set->count > 0));
    require_form(set);
    uidset_format(set, &canonical);
    require((uidset_parse(&again, buf_text(&canonical), canonical.len) == 0) == (rc == 0));
    require(same(set, &again));
}

/* a without b, and what both hold, are apart and together a. */
static void try_subtract(const struct uidset *a, const struct uidset *b)
{
    CLEANUP(uidset) struct uidset difference = UIDSET_INIT;
    CLEANUP(uidset) struct uidset both = UIDSET_INIT;
    CLEANUP(uidset) struct uidset sum = UIDSET_INIT;
    uidset_subtract(&difference, a, b);
    uidset_subtract(&both, a, &difference);
    require_form(&difference);
    require_form(&both);
    require(uidset_size(&difference) + uidset_size(&both) == uidset_size(a));
    for (size_t i = 0; i < difference.count; i++) {
        require(!uidset_has(b, difference.ranges[i].first));
        require(!uidset_has(b, difference.ranges[i].last));
    }
    for (size_t i = 0; i < both.count; i++) {
        require(uidset_has(b, both.ranges[i].first) && uidset_has(b, both.ranges[i].last));
    }
    add_all(&sum, &both);
    add_all(&sum, &difference);
    require(same(&sum, a));
}

static void try_take(struct uidset *set, uint64_t n)
{
    CLEANUP(uidset) struct uidset before = UIDSET_INIT;
    CLEANUP(uidset) struct uidset taken = UIDSET_INIT;
    add_all(&before, set);
    uidset_take_highest(set, n, &taken);
    require_form(set);
    require_form(&taken);
    uint64_t all = uidset_size(&before);
    require(uidset_size(&taken) == (n < all ? n : all));
    require(set->count == 0 || taken.count == 0 ||
            set->ranges[set->count - 1].last < taken.ranges[0].first);
    add_all(set, &taken);
    require(same(set, &before));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *line_feed = size == 0 ? NULL : memchr(text, '\n', size);
    size_t first_len = line_feed == NULL ? size : (size_t)(line_feed - text);
    CLEANUP(uidset) struct uidset a = UIDSET_INIT;
    CLEANUP(uidset) struct uidset b = UIDSET_INIT;
    try_text(&a, text, first_len);
    if (line_feed != NULL) {
        try_text(&b, line_feed + 1, size - first_len - 1);
    }
    try_subtract(&a, &b);
    try_subtract(&b, &a);
    try_take(&a, uidset_size(&b));
    return 0;
}
