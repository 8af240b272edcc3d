#include "base/text.h"

#include <string.h>

/* The length that a first byte announces, its share of the code point, and the least code point of
 * that length. */
static size_t lead_length(unsigned char lead, uint32_t *ret_bits, uint32_t *ret_least)
{
    if (lead < 0x80) {
        *ret_bits = lead;
        *ret_least = 0;
        return 1;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
        *ret_bits = lead & 0x1FU;
        *ret_least = 0x80;
        return 2;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        *ret_bits = lead & 0x0FU;
        *ret_least = 0x800;
        return 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        *ret_bits = lead & 0x07U;
        *ret_least = 0x10000;
        return 4;
    }
    return 0;
}

size_t text_char(const void *src, size_t src_len, uint32_t *ret_char)
{
    const unsigned char *bytes = src;
    uint32_t code = 0;
    uint32_t least = 0;
    size_t len = src_len == 0 ? 0 : lead_length(bytes[0], &code, &least);
    if (len == 0 || len > src_len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((bytes[i] & 0xC0) != 0x80) {
            return 0;
        }
        code = code << 6 | (bytes[i] & 0x3FU);
    }
    if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
        return 0;
    }
    *ret_char = code;
    return len;
}

bool text_is_unprintable(uint32_t character)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0, 0x1F}, {0x7F, 0x9F}, {0x200E, 0x200F}, {0x2028, 0x202E}, {0x2066, 0x2069},
        {0xFEFF, 0xFEFF}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (character >= ranges[i].first && character <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

size_t text_clean(char *dst, size_t dst_size, const void *src, size_t src_len)
{
    if (dst_size == 0) {
        return 0;
    }
    const char *bytes = src;
    size_t written = 0;
    for (size_t at = 0; at < src_len;) {
        uint32_t character = 0;
        size_t len = text_char(bytes + at, src_len - at, &character);
        bool plain = len > 0 && !text_is_unprintable(character);
        size_t grows = plain ? len : 1;
        if (grows > dst_size - 1 - written) {
            break;
        }
        memcpy(dst + written, plain ? bytes + at : "?", grows);
        written += grows;
        at += len > 0 ? len : 1;
    }
    dst[written] = '\0';
    return written;
}
