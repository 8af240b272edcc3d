/*
 * base/text.h - server and user text made fit to be printed.
 * Pure functions; any thread.
 */
#ifndef IMAPFS_BASE_TEXT_H
#define IMAPFS_BASE_TEXT_H

#include <stddef.h>

/*
 * Copies at most dst_size - 1 bytes of src as printable UTF-8 and ends with NUL. Control characters (C0, DEL, C1),
 * bidirectional overrides and invalid bytes become '?'; never cuts a character. Returns the length written.
 */
size_t text_clean(char *dst, size_t dst_size, const void *src, size_t src_len);

#endif
