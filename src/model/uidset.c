#include "model/uidset.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

void uidset_finish(struct uidset *set)
{
    free(set->ranges);
    *set = (struct uidset)UIDSET_INIT;
}

void uidset_reset(struct uidset *set)
{
    set->count = 0;
}

static void reserve(struct uidset *set, size_t count)
{
    if (count > set->capacity) {
        size_t capacity = set->capacity < 4 ? 4 : set->capacity * 2;
        set->capacity = capacity < count ? count : capacity;
        set->ranges = alloc_resize(set->ranges, set->capacity, sizeof *set->ranges);
    }
}

/* The index of the first range that ends at `uid` or above; `count` if there is none. */
static size_t first_ending_from(const struct uidset *set, uint32_t uid)
{
    size_t low = 0;
    size_t high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->ranges[middle].last < uid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Appends a range that begins no earlier than the last one: joins it if it overlaps or touches. */
static void append(struct uidset *set, struct uid_range range)
{
    if (set->count > 0) {
        struct uid_range *tail = &set->ranges[set->count - 1];
        assert(tail->first <= range.first);
        if (range.first - 1 <= tail->last) {
            tail->last = tail->last > range.last ? tail->last : range.last;
            return;
        }
    }
    reserve(set, set->count + 1);
    set->ranges[set->count++] = range;
}

int uidset_add(struct uidset *set, uint32_t first, uint32_t last)
{
    if (first == 0 || last == 0) {
        return -EINVAL;
    }
    struct uid_range added = {first < last ? first : last, first < last ? last : first};
    if (set->count == 0 || added.first >= set->ranges[set->count - 1].first) {
        append(set, added);
        return 0;
    }
    /* ranges[from, to) overlap or touch the new one */
    size_t from = first_ending_from(set, added.first - 1);
    size_t to = from;
    while (to < set->count && set->ranges[to].first - 1 <= added.last) {
        to++;
    }
    if (from < to) {
        const struct uid_range *low = &set->ranges[from];
        const struct uid_range *high = &set->ranges[to - 1];
        added.first = low->first < added.first ? low->first : added.first;
        added.last = high->last > added.last ? high->last : added.last;
    } else {
        reserve(set, set->count + 1);
    }
    memmove(&set->ranges[from + 1], &set->ranges[to], (set->count - to) * sizeof set->ranges[0]);
    set->ranges[from] = added;
    set->count = set->count - (to - from) + 1;
    return 0;
}

/* Reads a number of 1..2^32-1 at text[*at] and moves *at behind it; 0 if there is none. */
static uint32_t read_number(const char *text, size_t len, size_t *at)
{
    uint64_t value = 0;
    size_t start = *at;
    while (*at < len && text[*at] >= '0' && text[*at] <= '9') {
        value = value * 10 + (uint64_t)(text[*at] - '0');
        if (value > UINT32_MAX) {
            return 0;
        }
        (*at)++;
    }
    bool leading_zero = *at > start && text[start] == '0';
    return leading_zero ? 0 : (uint32_t)value;
}

/* Appends the members of a text as they come, in no order. */
static int read_members(struct uidset *members, const char *text, size_t len)
{
    size_t at = 0;
    for (;;) {
        uint32_t first = read_number(text, len, &at);
        uint32_t last = first;
        if (first != 0 && at < len && text[at] == ':') {
            at++;
            last = read_number(text, len, &at);
        }
        if (first == 0 || last == 0) {
            return -EINVAL;
        }
        reserve(members, members->count + 1);
        members->ranges[members->count++] =
            (struct uid_range){first < last ? first : last, first < last ? last : first};
        if (at == len) {
            return 0;
        }
        if (text[at] != ',') {
            return -EINVAL;
        }
        at++;
    }
}

static int by_first(const void *left, const void *right)
{
    const struct uid_range *a = left;
    const struct uid_range *b = right;
    return (a->first > b->first) - (a->first < b->first);
}

int uidset_parse(struct uidset *set, const char *text, size_t len)
{
    CLEANUP(uidset) struct uidset members = UIDSET_INIT;
    int rc = read_members(&members, text, len);
    if (rc < 0) {
        return rc;
    }
    reserve(&members, members.count + set->count);
    for (size_t i = 0; i < set->count; i++) {
        members.ranges[members.count++] = set->ranges[i];
    }
    qsort(members.ranges, members.count, sizeof members.ranges[0], by_first);
    uidset_reset(set);
    for (size_t i = 0; i < members.count; i++) {
        append(set, members.ranges[i]);
    }
    return 0;
}

bool uidset_has(const struct uidset *set, uint32_t uid)
{
    size_t at = first_ending_from(set, uid);
    return at < set->count && set->ranges[at].first <= uid;
}

static uint64_t range_size(struct uid_range range)
{
    return (uint64_t)range.last - range.first + 1;
}

uint64_t uidset_size(const struct uidset *set)
{
    uint64_t size = 0;
    for (size_t i = 0; i < set->count; i++) {
        size += range_size(set->ranges[i]);
    }
    return size;
}

void uidset_subtract(struct uidset *ret, const struct uidset *a, const struct uidset *b)
{
    assert(ret != a && ret != b);
    uidset_reset(ret);
    size_t at = 0;
    for (size_t i = 0; i < a->count; i++) {
        uint64_t first = a->ranges[i].first; /* wider, so that 2^32-1 has a successor */
        uint32_t last = a->ranges[i].last;
        while (at < b->count && b->ranges[at].last < first) {
            at++;
        }
        /* a range of b may reach into the next of a, so `at` stays at the last one looked at */
        for (size_t j = at; j < b->count && b->ranges[j].first <= last && first <= last; j++) {
            at = j;
            if (b->ranges[j].first > first) {
                append(ret, (struct uid_range){(uint32_t)first, b->ranges[j].first - 1});
            }
            first = (uint64_t)b->ranges[j].last + 1;
        }
        if (first <= last) {
            append(ret, (struct uid_range){(uint32_t)first, last});
        }
    }
}

void uidset_take_highest(struct uidset *set, uint64_t n, struct uidset *ret)
{
    assert(ret != set);
    uidset_reset(ret);
    size_t whole = set->count; /* ranges[whole, count) go as they are */
    uint64_t left = n;
    while (whole > 0 && range_size(set->ranges[whole - 1]) <= left) {
        whole--;
        left -= range_size(set->ranges[whole]);
    }
    size_t kept = whole;
    if (whole > 0 && left > 0) { /* of this one only the upper part */
        struct uid_range *split = &set->ranges[whole - 1];
        uint32_t first_taken = split->last - (uint32_t)left + 1;
        append(ret, (struct uid_range){first_taken, split->last});
        split->last = first_taken - 1;
    }
    for (size_t i = whole; i < set->count; i++) {
        append(ret, set->ranges[i]);
    }
    set->count = kept;
}

void uidset_format(const struct uidset *set, struct buf *ret_text)
{
    for (size_t i = 0; i < set->count; i++) {
        struct uid_range range = set->ranges[i];
        buf_printf(ret_text, "%s%u", i == 0 ? "" : ",", range.first);
        if (range.last != range.first) {
            buf_printf(ret_text, ":%u", range.last);
        }
    }
}
