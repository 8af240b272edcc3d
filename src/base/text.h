/*
 * base/text.h - server and user text made fit to be printed.
 * Pure functions; any thread.
 */
#ifndef IMAPFS_BASE_TEXT_H
#define IMAPFS_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Copies at most dst_size - 1 bytes of src as printable UTF-8 and ends with NUL. What
 * text_is_unprintable() names, and each byte that belongs to no valid character, becomes '?'; never
 * cuts a character. Returns the length written.
 */
size_t text_clean(char *dst, size_t dst_size, const void *src, size_t src_len);

/*
 * Reads the character that `src` begins with: its length in bytes (1..4) and its code point, or 0
 * if there is no valid UTF-8 character (RFC 3629: no overlong form, no surrogate, nothing beyond
 * U+10FFFF).
 */
size_t text_char(const void *src, size_t src_len, uint32_t *ret_char);

/*
 * Whether a character may steer a terminal, hide, or turn the direction of its neighbours: C0, DEL,
 * C1, U+200E/F, U+202A-202E, U+2066-2069, the separators U+2028/2029, and U+FEFF.
 */
bool text_is_unprintable(uint32_t character);

#endif
