/*
 * fuzz_header.c: a header block is read, its values decoded, and the message named; the name must
 * have its form.
 */
#include <gmime/gmime.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uninorm.h>

#include "base/text.h"
#include "model/header.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    g_mime_init();
    return 0;
}

static void require(bool fact)
{
    if (!fact) {
        abort();
    }
}

static void require_printable(const char *text)
{
    size_t len = strlen(text);
    for (size_t at = 0; at < len;) {
        uint32_t character = 0;
        size_t step = text_char(text + at, len - at, &character);
        require(step > 0 && !text_is_unprintable(character));
        at += step;
    }
}

static void try_value(const char *value)
{
    if (value == NULL) {
        return;
    }
    size_t len = strlen(value);
    require(len <= HEADER_VALUE_MAX && strpbrk(value, "\r\n\t") == NULL);
    require(len == 0 || (value[0] != ' ' && value[len - 1] != ' '));
    CLEANUP(free) char *shown = header_decode(value);
    require_printable(shown);
    int64_t seconds = -1;
    bool dated = header_date(value, &seconds);
    require(dated ? seconds >= 0 && seconds <= 253402300799 : seconds == -1);
}

static void require_name(const char *name)
{
    size_t len = strlen(name);
    require(len <= 128 && len > 22 && file_name_is_message(name));
    require(name[4] == '-' && name[7] == '-' && name[10] == '.' && name[len - 11] == '.');
    require(strspn(name, "0123456789") == 4 && strncmp(name, "1970-01-01", 10) >= 0);
    require(name[11] != '-' && name[len - 12] != '-' && strstr(name + 11, "--") == NULL);
    for (const char *at = name; *at != '\0'; at++) {
        require((unsigned char)*at >= 0x80 || g_ascii_isalnum(*at) || *at == '-' || *at == '.');
    }
    require_printable(name);
    size_t nfc_len = 0;
    CLEANUP(free)
    uint8_t *nfc = u8_normalize(UNINORM_NFC, (const uint8_t *)name, len, NULL, &nfc_len);
    require(nfc != NULL && nfc_len == len && memcmp(nfc, name, len) == 0);
}

static void try_ranks(const char *name, uint32_t rank)
{
    CLEANUP(buf) struct buf ranked = BUF_INIT;
    CLEANUP(buf) struct buf back = BUF_INIT;
    uint32_t read = 0;
    file_name_ranked(&ranked, name, rank);
    require(ranked.len <= FILE_NAME_MAX);
    file_name_split(&back, &read, ranked.data);
    require(read == (rank < 2 ? 1 : rank) && strcmp(back.data, name) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(header_fields) struct header_fields read = HEADER_FIELDS_INIT;
    CLEANUP(buf) struct buf name = BUF_INIT;
    CLEANUP(buf) struct buf again = BUF_INIT;
    header_read(&read, (const char *)data, size);
    try_value(read.fields.date);
    try_value(read.fields.subject);
    try_value(read.fields.from);
    try_value(read.fields.message_id);
    file_name_make(&name, &read.fields, (int64_t)size * 1000000, (int64_t)size);
    require_name(name.data);
    file_name_make(&again, &read.fields, (int64_t)size * 1000000, (int64_t)size);
    require(strcmp(name.data, again.data) == 0);
    try_ranks(name.data, (uint32_t)size);
    try_ranks(name.data, UINT32_MAX);

    buf_reset(&again); /* any text as a component */
    buf_append(&again, data, size);
    uint32_t rank = 0;
    file_name_split(&name, &rank, again.data);
    require(rank >= 1);
    if (rank > 1) {
        CLEANUP(buf) struct buf ranked = BUF_INIT;
        file_name_ranked(&ranked, name.data, rank);
        require(strcmp(ranked.data, again.data) == 0);
    }
    return 0;
}
